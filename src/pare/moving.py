"""A job on another target than its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pare.build import build
from pare.composition import changed, composed, override_keys, plain
from pare.errors import ConfigError
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure

MOVABLE = ("hardware", "measure")  # what `pare evaluate` may choose anew
WHOLE = ("experiment", "sweep")  # groups whose files may set any key


@dataclass(frozen=True)
class Move:
    """A job's config on another target, and the overrides that would make it at home."""

    hardware: Hardware
    measure: Measure
    config: Mapping[str, Any]
    overrides: Sequence[str]


def moved(home: Mapping[str, Any], typed: Sequence[str], given: Sequence[str]) -> Move:
    """A job on the target that `given` chooses; nothing but the target and the measuring can be chosen.

    home: its config, which stays as it is but for what `given` names: the files that made it may be others
    here, or none. typed: its overrides; those of its own hardware go where `given` has hardware=…, and so
    with measure.
    """
    keys = override_keys(given)
    problems = [
        f"{override}: hardware and measure can be chosen here; all else is in the bundle as it is"
        for override, key in zip(given, keys, strict=True)
        if top_of(key) not in MOVABLE
    ]
    if problems:
        raise ConfigError(problems)
    chosen = [key for key in MOVABLE if key in keys]  # as a whole, not a key of it
    before = list(zip(typed, override_keys(typed), strict=True))
    kept = [override for override, key in before if top_of(key) not in chosen]
    anew = [override for override, key in zip(given, keys, strict=True) if top_of(key) in chosen]
    single = [override for override, key in zip(given, keys, strict=True) if top_of(key) not in chosen]
    found: dict[str, Any] = {key: home[key] for key in MOVABLE}
    if single:
        found |= unresolved(changed(found, single))
    if anew:
        other = unresolved(recomposed([override for override, key in before if key in WHOLE], anew))
        found |= {key: other.get(key) for key in chosen}
    problems += [
        f"{key}: found {value!r}; a group of keys is needed"
        for key, value in found.items()
        if not isinstance(value, Mapping)
    ]
    if problems:
        raise ConfigError(problems)
    # a target may refer to the job, hardware.length=${task.max_length} say
    whole = OmegaConf.create({**home, **found})
    nodes = {key: plain(whole[key]) for key in MOVABLE}
    hardware = build(nodes["hardware"], "hardware", problems, Hardware)
    measure = build(nodes["measure"], "measure", problems, Measure)
    if problems:
        raise ConfigError(problems)
    return Move(hardware, measure, {**home, **nodes}, [*kept, *given])


def recomposed(files: Sequence[str], given: Sequence[str]) -> DictConfig:
    """files: the job's experiment and sweep, which may set keys of its target, whichever target it is."""
    try:
        composed(files)
    except ConfigError as e:
        raise ConfigError(
            f"{' '.join(files)}: may set keys of any target, so {' '.join(given)} cannot be composed "
            f"without: {e}; single keys can be chosen all the same, hardware.threads=1 say"
        ) from None
    return composed([*files, *given])


def unresolved(cfg: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(cfg)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def top_of(key: str) -> str:
    return key.partition(".")[0]
