"""The command that makes a trial again, alone."""

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig

from pare.composition import override_keys, plain
from pare.study.commands import command_line
from pare.sweeps.composing import Composer

#: parts of a config that are for sweeps only
FOR_SWEEPS = ("sweep", "engine")


def again(composer: Composer, number: int, overrides: Sequence[str]) -> str:
    """overrides: of the trial with that number."""
    keyed = list(zip(override_keys(overrides), overrides, strict=True))
    kept = [one for one in keyed if one[0].partition(".")[0] not in FOR_SWEEPS]
    job, engine = composed(composer, number, kept)
    if job != composed(composer, number, keyed)[0]:  # the sweep's file sets more than how to search
        kept = [*(one for one in keyed if one[0] == "sweep"), *kept]
        _, engine = composed(composer, number, kept)
    line = [override for _, override in kept]
    if any(key in ("sweep", "experiment") for key, _ in kept):  # whose files may ask for several jobs
        line.append("hydra.mode=RUN")
    if engine != "local":
        line.append("engine=local")
    return command_line([*searchpath(composer), *line])


def composed(
    composer: Composer, number: int, keyed: Sequence[tuple[str, str]]
) -> tuple[dict[str, Any], str | None]:
    """(the job's config without what is for sweeps, the choice of engine)."""
    with composer.job(number, [override for _, override in keyed]) as job:
        config = plain(job.config)
        engine = HydraConfig.get().runtime.choices.get("engine")
    return {key: value for key, value in config.items() if key not in FOR_SWEEPS}, engine


def searchpath(composer: Composer) -> list[str]:
    """Where else configs are looked for, as it was typed."""
    typed = list(composer.master.hydra.overrides.hydra)
    return [one for one, key in zip(typed, override_keys(typed), strict=True) if key == "hydra.searchpath"]
