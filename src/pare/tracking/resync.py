"""Runs of jobs that a tracker does not have, or not whole: told again from their folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pare.errors import ConfigError
from pare.result import CONFIG, RESULT, plan_in
from pare.tracking.mirroring import built, trouble_with
from pare.tracking.record import is_study, jobs_of
from pare.tracking.tracker import Tracker

PATIENCE_S, PREPARE_S = 120.0, 3600.0  # at least: no job waits


@dataclass(frozen=True)
class Told:
    """What became of one folder. trouble: why the tracker does not have it; None where all went well."""

    folder: Path
    outcome: str
    trouble: str | None


def resync(folders: Sequence[Path], tracker: Mapping[str, Any] | None) -> Iterator[Told]:
    """folders: of jobs and sweeps. tracker: its config; None: that of each job.

    Raises ConfigError before the first is told where one of them cannot be.
    """
    plan = [(place, tracker or tracker_of(place)) for folder in folders for place in places(folder)]
    trackers = [checked(place, config) for place, config in plan]
    for (place, config), found in zip(plan, trackers, strict=True):
        trouble = trouble_with(config, max(found.limit_s, PATIENCE_S), place, PREPARE_S)
        yield Told(place, found.outcome(), trouble)


def places(folder: Path) -> list[Path]:
    """A job, or the jobs of a sweep that have a result, and the sweep."""
    if is_study(folder):
        return [*jobs_of(folder), folder]
    if not (folder / RESULT).is_file():
        raise ConfigError(f"{folder}: neither a job with a {RESULT} nor a sweep")
    return [folder]


def tracker_of(folder: Path) -> Mapping[str, Any]:
    """Of a sweep it is its first job's, which may have no folder yet."""
    config: Mapping[str, Any] = {}
    if is_study(folder):
        config = plan_in(folder)["jobs"][0]["config"]
    elif (folder / CONFIG).is_file():
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    found: Mapping[str, Any] | None = config.get("tracker")
    if found is None:
        raise ConfigError(f"{folder}: had no tracker; tracker=wandb or tracker=mlflow is needed")
    return found


def checked(folder: Path, config: Mapping[str, Any]) -> Tracker:
    try:
        found = built(config)
    except ConfigError as e:
        raise ConfigError(f"{folder}: {problem}" for problem in e.problems) from None
    found.check()
    return found
