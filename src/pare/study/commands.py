"""The exact command that makes a row again, and the one that uses it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pare.result import BUNDLE, Result
from pare.study.collecting import Record, bare, plain
from pare.study.keys import config_of
from pare.study.statistics import Row, without_seed


def reproduce(row: Row) -> str:
    """All its seeds."""
    (record, result), *_ = row.jobs
    seeds = [result.seed for result in row.results]
    return again(result, config_of(record), seeds if len(seeds) > 1 else ())


def again(result: Result, config: Mapping[str, Any], seeds: Sequence[int] = ()) -> str:
    """config: the job's. seeds: where not its own alone."""
    overrides = plain(result.overrides)
    if result.scored_on != "test":
        target = [each for each in overrides if bare(each).startswith(("hardware", "measure"))]
        return shlex.join(["pare", "evaluate", "BUNDLE", "--data", result.scored_on, *target])
    # files that set more than what is swept over, but ask for several jobs too
    of_file = any(each.startswith(("sweep=", "experiment=")) for each in overrides)
    if not seeds:
        return command_line([*overrides, *(["hydra.mode=RUN"] if of_file else [])])
    no_search = ["sweep.search=null"] if (config.get("sweep") or {}).get("search") is not None else []
    no_grid = ["hydra.sweeper.params=null"] if of_file else []
    numbers = ",".join(map(str, seeds))
    return command_line(["-m", *without_seed(overrides), f"seed={numbers}", *no_search, *no_grid])


def command_line(arguments: Sequence[str]) -> str:
    """Of run.py, for a shell."""
    return shlex.join(["python", "run.py", *arguments])


def deploy(row: Row) -> str | None:
    """Of several seeds the one that is best on dev; None where no bundle is there."""
    there = [(record, result) for record, result in row.jobs if bundle(record).is_dir()]
    if not there:
        return None
    record, _ = max(there, key=lambda job: job[1].on_dev()[-1:])
    return shlex.join(["python", str(bundle(record) / "predict.py"), "TEXT"])


def bundle(record: Record) -> Path:
    return record.folder / BUNDLE
