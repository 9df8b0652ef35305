"""Runs of jobs that a tracker does not have, or not whole: told again from their folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pare.errors import ConfigError
from pare.result import CONFIG, RESULT
from pare.tracking.mirroring import built, trouble_with
from pare.tracking.record import is_study, jobs_of

PATIENCE_S = 120.0  # at least: no job waits


@dataclass(frozen=True)
class Told:
    """What became of one folder; trouble: None where the tracker has it now."""

    folder: Path
    trouble: str | None


def resync(folders: Sequence[Path], tracker: Mapping[str, Any] | None) -> Iterator[Told]:
    """folders: of jobs and sweeps. tracker: its config; None: that of each job.

    Raises ConfigError before the first is told where one of them cannot be.
    """
    plan = [(place, tracker or tracker_of(place)) for folder in folders for place in places(folder)]
    limits = [checked(place, config) for place, config in plan]
    for (place, config), limit_s in zip(plan, limits, strict=True):
        yield Told(place, trouble_with(config, max(limit_s, PATIENCE_S), place))


def places(folder: Path) -> list[Path]:
    """A job, or the jobs of a sweep that have a result, and the sweep."""
    if is_study(folder):
        return [*jobs_of(folder), folder]
    if not (folder / RESULT).is_file():
        raise ConfigError(f"{folder}: neither a job with a {RESULT} nor a sweep")
    return [folder]


def tracker_of(folder: Path) -> Mapping[str, Any]:
    """Of a sweep it is its first job's."""
    job = next(iter(jobs_of(folder)), folder) if is_study(folder) else folder
    config = yaml.safe_load((job / CONFIG).read_text(encoding="utf-8")) if (job / CONFIG).is_file() else {}
    found: Mapping[str, Any] | None = config.get("tracker")
    if found is None:
        raise ConfigError(f"{folder}: had no tracker; tracker=wandb or tracker=mlflow is needed")
    return found


def checked(folder: Path, config: Mapping[str, Any]) -> float:
    """How long the tracker may take."""
    try:
        found = built(config)
    except ConfigError as e:
        raise ConfigError(f"{folder}: {problem}" for problem in e.problems) from None
    found.check()
    return found.limit_s
