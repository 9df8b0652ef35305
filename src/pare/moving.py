"""A job on another target than its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pare.build import build
from pare.composition import composed, override_keys, plain
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

    home: its config. typed: its overrides; those of its own hardware go where `given` has hardware=…, and so
    with measure.
    """
    keys = override_keys(given)
    problems = [
        f"{override}: hardware and measure can be chosen here; all else is in the bundle as it is"
        for override, key in zip(given, keys, strict=True)
        if key.partition(".")[0] not in MOVABLE
    ]
    if problems:
        raise ConfigError(problems)
    kept = [
        (override, key)
        for override, key in zip(typed, override_keys(typed), strict=True)
        if (top := key.partition(".")[0]) not in MOVABLE or top not in keys
    ]
    # an experiment may set its target's batch, whichever target it is
    composing = [override for override, key in kept if key.partition(".")[0] in (*WHOLE, *MOVABLE)]
    chosen = composed([*composing, *given])
    problems += [
        f"{key}: found {chosen.get(key)!r}; a group of keys is needed"
        for key in MOVABLE
        if not isinstance(chosen.get(key), DictConfig)
    ]
    if problems:
        raise ConfigError(problems)
    # a target may refer to the job, hardware.length=${task.max_length} say
    whole = OmegaConf.create({**home, **{key: OmegaConf.to_container(chosen[key]) for key in MOVABLE}})
    nodes = {key: plain(whole[key]) for key in MOVABLE}
    hardware = build(nodes["hardware"], "hardware", problems, Hardware)
    measure = build(nodes["measure"], "measure", problems, Measure)
    if problems:
        raise ConfigError(problems)
    return Move(hardware, measure, {**home, **nodes}, [*(override for override, _ in kept), *given])
