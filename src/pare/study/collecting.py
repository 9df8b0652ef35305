"""Folders of sweeps and jobs → records: what each job found, or why there is nothing."""

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pare.errors import ConfigError, PareError
from pare.machine import process_space
from pare.provenance import HOW
from pare.result import PLAN, RESULT, STATUS, Result, plan_in

DONE = "done"
AS_IT_IS = "as it is"  # what a job or a row is called that nothing sets apart
WITHOUT_JOBS = {"bundle", "nodes", "wandb", "mlruns", "objects"}  # folders in which there are none
#: what JSON comes to that is not what it should be
ODD = (ValueError, KeyError, TypeError, AttributeError)
#: overrides that change no result; `sweep=` does, whose file may set any key
HOUSEKEEPING = ("tracker=", "engine=", "hydra/", *(f"{key}." for key in (*HOW, "bundle", "hydra")))


@dataclass(frozen=True)
class Record:
    """What a folder says of its job. apart: the overrides that not all jobs of the study have.

    ended: in seconds since 1970; 0 where it is not known.
    """

    number: int
    folder: Path
    overrides: Sequence[str]
    apart: Sequence[str]
    result: Result | None
    reason: str  # empty where there is a result
    ended: float = 0.0

    @property
    def name(self) -> str:
        return named(self.apart) if self.overrides else self.folder.name


@dataclass(frozen=True)
class Study:
    """The jobs of one or many sweeps; notes: what was left out, and why, one line each."""

    records: Sequence[Record]
    notes: Sequence[str] = ()

    @property
    def done(self) -> list[tuple[Record, Result]]:
        return [(record, record.result) for record in self.records if record.result is not None]

    @property
    def without(self) -> list[Record]:
        return [record for record in self.records if record.result is None]


def collect(paths: Sequence[Path]) -> Study:
    """paths: folders of sweeps, of jobs, or above them, and result.json files. Raises ConfigError."""
    problems, found = [], dict[Path, Sequence[str]]()
    for path in paths:
        try:
            path.stat()
        except OSError as e:
            problems.append(f"{path}: {'not found' if isinstance(e, FileNotFoundError) else e.strerror}")
            continue
        jobs = dict(jobs_in(path))
        if not jobs:
            problems.append(f"{path}: no job in it: no result.json, status.json or plan.json")
        found |= {folder: overrides for folder, overrides in jobs.items() if folder not in found}
    if problems:
        raise ConfigError(problems)
    return study_of(list(found.items()))


def study_of(jobs: Sequence[tuple[Path, Sequence[str]]]) -> Study:
    """jobs: folder, or file, and overrides of each, as far as they are known without a result."""
    numbers = numbers_of([folder for folder, _ in jobs])
    records = [read(number, *job) for number, job in sorted(zip(numbers, jobs, strict=True))]
    records, notes = without_repeats(records)
    known = [record.number for record in records if record.result or record.overrides]
    apart = distinguishing([plain(record.overrides) for record in records if record.number in known])
    own = dict(zip(known, apart, strict=True))
    told = [replace(record, apart=own.get(record.number, ())) for record in records]
    return Study(told, notes)


def numbers_of(folders: Sequence[Path]) -> list[int]:
    """As the folders are called, which a search numbers as its trials; of several sweeps as they come."""
    names = [folder.name for folder in folders]
    if all(name.isdecimal() for name in names) and len(set(map(int, names))) == len(names):
        return list(map(int, names))
    return list(range(len(folders)))


def plain(overrides: Iterable[str]) -> list[str]:
    """Those that can make a difference to a result."""
    return [override for override in overrides if not bare(override).startswith(HOUSEKEEPING)]


def bare(override: str) -> str:
    """Without the signs that add or take away: `+engine.extra={…}`, `++seed=1`, `~tracker.tags`."""
    return override.lstrip("+~")


def distinguishing(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of each job the overrides that not all jobs have."""
    common = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    return [[override for override in overrides if override not in common] for overrides in jobs]


def stripped(apart: Sequence[str]) -> list[str]:
    """compression.width.keep=0.5 is long, and what it is of is plain."""
    return [re.sub(r"^([^=]*?)\bcompression[./]", r"\1", override) for override in apart]


def named(apart: Sequence[str]) -> str:
    return " ".join(stripped(apart)) or AS_IT_IS


def jobs_in(path: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """Also those that a sweep has yet to start, and whatever cannot be looked into."""
    try:
        if path.is_file() or any((path / name).is_file() for name in (RESULT, STATUS)):
            yield path, ()
            return
        folders = sorted((each for each in path.iterdir() if each.is_dir()), key=in_order)
    except OSError:  # what it is, `read` says
        yield path, ()
        return
    planned: Mapping[Path, Sequence[str]] = {}
    try:
        planned = planned_in(path)
    except (OSError, *ODD):
        yield path, ()
    yield from planned.items()
    for folder in folders:
        if folder not in planned and folder.name not in WITHOUT_JOBS:
            yield from (job for job in jobs_in(folder) if job[0] not in planned)


def planned_in(sweep: Path) -> dict[Path, Sequence[str]]:
    """The jobs of a sweep as it was planned, wherever its folder lies now."""
    if not (sweep / PLAN).is_file():
        return {}
    jobs = plan_in(sweep)["jobs"]
    return {sweep / job["within"]: list(map(str, job["overrides"])) for job in jobs}


def in_order(folder: Path) -> tuple[float, str]:
    return (float(folder.name) if folder.name.isdecimal() else math.inf), folder.name


def read(number: int, place: Path, overrides: Sequence[str]) -> Record:
    """place: a job's folder, or its result under any name. overrides: as they were planned."""
    folder, file, ended = place, place / RESULT, 0.0
    result, status = None, dict[str, Any]()
    try:
        if place.is_file():
            folder, file, reason = place.parent, place, DONE
            if file.name == RESULT:
                _, status = state_of(folder)
        else:
            reason, status = state_of(folder)
        if isinstance(told := status.get("overrides"), list):
            overrides = list(map(str, told))
        if reason == DONE:
            result = Result.read(file)
            overrides, reason = list(map(str, result.overrides)), problem_of(result)
            ended = ended_at(status, file)
    except FileNotFoundError:
        reason = f"{RESULT} is missing"
    except PareError as e:
        reason = str(e)
    except OSError as e:
        reason = f"{e.filename}: {e.strerror}"
    except ODD as e:
        reason = f"{file.name} cannot be read: {type(e).__name__}: {e}"
    return Record(number, folder, tuple(overrides), (), None if reason else result, reason, ended)


def ended_at(status: Mapping[str, Any], file: Path) -> float:
    """A result that came by itself is as old as its file; copying a folder makes all of them new."""
    ended = status.get("ended")
    return float(ended) if isinstance(ended, (int, float)) else file.stat().st_mtime


def reason_of(folder: Path) -> str:
    """DONE, or why there is no result."""
    return state_of(folder)[0]


def state_of(folder: Path) -> tuple[str, dict[str, Any]]:
    """DONE, or why there is no result; and what its status.json says. Raises OSError."""
    if not (folder / STATUS).is_file():
        return without_status(folder), {}
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        state, message = status["state"], status.get("error", {}).get("message", "")
        if state == "running":
            state = "running" if is_at_work(status) else "killed"
            state += f", {status['stages'][-1]} is done" if status.get("stages") else ""
    except ODD:
        return f"{STATUS} cannot be read", {}
    return f"{state}: {message}" if message else str(state), status


def is_at_work(status: Mapping[str, Any]) -> bool:
    """False only where its process was one that would be seen here, and is gone."""
    if status.get("host") != process_space():
        return True
    try:
        os.kill(int(status["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def without_status(folder: Path) -> str:
    if (folder / RESULT).is_file():
        return DONE
    if (folder / PLAN).is_file():  # or its jobs were there in its place
        return f"{PLAN} cannot be read"
    if folder.is_dir():
        next(folder.iterdir(), None)  # raises where nobody may look
    return "not started"


def problem_of(result: Result) -> str:
    """Why a result cannot be ranked; empty where it can."""
    numbers = {**result.scores, "latency": result.measurement.latency_ms["p50"]}
    odd = [name for name, value in numbers.items() if not math.isfinite(value)]
    return f"{', '.join(odd)}: not a finite number" if odd else ""


def without_repeats(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Of the same job on the same machine only what was found last."""
    last: dict[tuple[object, ...], Record] = {}
    notes = []
    for record in records:
        if record.result is None:
            last[(record.number,)] = record
            continue
        asked = frozenset(plain(record.overrides))  # the key does not know how it was measured
        same = (record.result.key, record.result.seed, asked, str(place_of(record.result)))
        if (before := last.pop(same, None)) is not None:
            later = max((before, record), key=lambda each: each.ended)
            earlier = before if later is record else record
            notes.append(f"job {earlier.number} is left out: {later.folder} is the same job, and later")
            record = later
        last[same] = record
    return sorted(last.values(), key=lambda record: record.number), notes


def place_of(result: Result) -> Mapping[str, Any]:
    """Where it was measured, and with what load: milliseconds compare only within one such place."""
    m = result.measurement
    machine = {name: m.fingerprint.get(name) for name in ("cpu", "cores", "gpu")}
    return {**machine, "batch": m.batch, "length": m.length}


def machine_of(result: Result) -> str:
    place = place_of(result)
    machine = ", ".join(map(str, (place["cpu"], f"{place['cores']} cores", *(place["gpu"] or ()))))
    length = f", {place['length']} tokens" if place["length"] else ""
    return f"{machine}, batch {place['batch']}{length}"


def task_of(result: Result) -> str:
    """The task with its metric and, where they are known, its rows; their file, where that is not test."""
    where = "" if result.scored_on == "test" else f" on {result.scored_on}"
    rows = f", rows {result.split}" if result.split else ""
    return f"{result.task} by {result.primary}{where}{rows}"
