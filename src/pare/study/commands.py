"""The exact command that makes a row again, and the one that uses it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pare.result import BUNDLE
from pare.study.collecting import Record, bare, plain
from pare.study.keys import config_of
from pare.study.statistics import Row, without_seed

#: what keeps a search's file from searching, and from the values that it would choose from
NO_SEARCH = ("sweep.search=null", "hydra.sweeper.params=null")


def reproduce(row: Row) -> str:
    """All its seeds."""
    overrides = plain(row.first.overrides)
    (_, result), *_ = row.jobs
    if result.scored_on != "test":
        target = [each for each in overrides if bare(each).startswith(("hardware", "measure"))]
        return shlex.join(["pare", "evaluate", "BUNDLE", "--data", result.scored_on, *target])
    if len(row.jobs) == 1:
        # a sweep's file may choose more than what is swept over, but asks for several jobs
        single = ["hydra.mode=RUN"] if any(each.startswith("sweep=") for each in overrides) else []
        return command_line([*overrides, *single])
    seeds = ",".join(str(result.seed) for result in row.results)
    alone = NO_SEARCH if is_of_search(row.first) else ()
    return command_line(["-m", *without_seed(overrides), f"seed={seeds}", *alone])


def is_of_search(record: Record) -> bool:
    return (config_of(record).get("sweep") or {}).get("search") is not None


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
