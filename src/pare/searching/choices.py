"""What a command line leaves to a search to choose, and what all trials have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from pare.aims import Search
from pare.errors import ConfigError
from pare.searching.space import Interval, Space, dimension_of, written
from pare.sweeps.sweep import COMMON


def space_of(
    loader: Any, master: DictConfig, arguments: Sequence[str], settings: Search
) -> tuple[list[str], Space]:
    """What is the same in all trials, and what is not."""
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    last = {override.get_key_element(): override for override in parsed}
    asked = {
        key: override
        for key, override in last.items()
        if override.is_sweep_override() or bare(override) in settings.when
    }
    searched = {bare(override) for override in asked.values()}
    problems = [
        f"sweep.search.when.{key}: neither searched nor in rungs; there are {', '.join(sorted(searched))}"
        for key in settings.when
        if key not in searched and key not in settings.rungs
    ]
    problems += [f"sweep.search.rungs.{key}: is searched too" for key in settings.rungs if key in searched]
    problems += [
        f"{key}: all trials have it in common" for key in searched if key.partition(".")[0] in COMMON
    ]
    if not asked:
        problems.append(
            "sweep.search: nothing to choose; give a key some values, compression.width.keep=0.25,0.5"
        )
    fixed = {key: override for key, override in last.items() if key not in asked}
    elsewhere = in_common(master, {bare(override): override for override in fixed.values()})
    for key, conditions in settings.when.items():
        for other, values in conditions.items():
            where = f"sweep.search.when.{key}.{other}"
            if other not in searched and elsewhere(other) is None:
                told = ", ".join(sorted(searched))
                problems.append(f"{where}: neither searched nor in the config; searched are {told}")
                continue
            known = values_of(loader, master, other, parsed)
            problems += [
                f"{where}: found {written(value)!r}; there are {', '.join(known)}"
                for value in values
                if known and written(value) not in known
            ]
    if problems:
        raise ConfigError(problems)
    space = Space({key: dimension_of(override) for key, override in asked.items()}, settings.when, elsewhere)
    if settings.sampler == "grid":
        for key, dimension in space.dimensions.items():
            try:
                dimension.all()
            except ConfigError as e:
                raise ConfigError(f"{key}: {e}") from None
    return [str(override.input_line) for override in fixed.values()], space


def bare(override: Override) -> str:
    return override.get_key_element().lstrip("+")


def in_common(master: DictConfig, fixed: Mapping[str, Override]) -> Callable[[str], str | None]:
    """What a key that is not searched has in all trials, by itself; None where there is no such key."""
    choices, nowhere = dict(master.hydra.runtime.choices), object()

    def value(key: str) -> str | None:
        if key in fixed:
            return written(fixed[key].value())
        if key in choices:
            return written(choices[key])
        found = OmegaConf.select(master, key.replace("/", "."), default=nowhere)
        return None if found is nowhere else written(found)

    return value


def values_of(loader: Any, master: DictConfig, key: str, parsed: Sequence[Override]) -> list[str]:
    """All that a key may have in any search of this file, as far as that can be told; none: who knows."""
    swept = [dimension_of(one) for one in parsed if bare(one) == key and one.is_sweep_override()]
    if any(isinstance(one, Interval) for one in swept):
        return []
    if swept:
        return list(dict.fromkeys(value for one in swept for value in one.all()))
    where = (master.hydra.job.config_name, list(master.hydra.overrides.hydra))
    options = loader.get_group_options(key.partition("@")[0], ObjectType.CONFIG, *where)
    return [*options, "null"] if options else []
