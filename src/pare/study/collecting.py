"""Folders of sweeps and jobs → records: what each job found, or why there is nothing."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pare.errors import ConfigError, PareError
from pare.provenance import HOW
from pare.result import PLAN, RESULT, STATUS, Result

DONE = "done"
WITHOUT_JOBS = {"bundle", "nodes", "wandb", "mlruns", "objects"}  # folders in which there are none
#: overrides that change no result; `sweep=` does, whose file may set any key
HOUSEKEEPING = ("tracker=", "engine=", "hydra/", *(f"{key}." for key in (*HOW, "bundle", "hydra")))


@dataclass(frozen=True)
class Record:
    """What a folder says of its job. apart: the overrides that not all jobs of the study have."""

    number: int
    folder: Path
    overrides: Sequence[str]
    apart: Sequence[str]
    result: Result | None
    reason: str  # empty where there is a result

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
        jobs = dict(jobs_in(path)) if path.exists() else {}
        if not jobs:
            told = "no job in it: no result.json, status.json or plan.json" if path.exists() else "not found"
            problems.append(f"{path}: {told}")
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
    return [re.sub(r"\bcompression[./]", "", override) for override in apart]


def named(apart: Sequence[str]) -> str:
    return " ".join(stripped(apart)) or "as it is"


def jobs_in(path: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """Also those that a sweep has yet to start."""
    if path.is_file() or any((path / name).is_file() for name in (RESULT, STATUS)):
        yield path, ()
        return
    planned = dict(planned_in(path))
    yield from planned.items()
    for folder in sorted((each for each in path.iterdir() if each.is_dir()), key=in_order):
        if folder not in planned and folder.name not in WITHOUT_JOBS:
            yield from jobs_in(folder)


def planned_in(sweep: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """The jobs of a sweep as it was planned, wherever its folder lies now."""
    try:
        jobs = json.loads((sweep / PLAN).read_text(encoding="utf-8"))["jobs"]
        yield from [(sweep / job["within"], job["overrides"]) for job in jobs]
    except (OSError, ValueError, KeyError):
        return


def in_order(folder: Path) -> tuple[float, str]:
    return (float(folder.name) if folder.name.isdecimal() else math.inf), folder.name


def read(number: int, place: Path, overrides: Sequence[str]) -> Record:
    """place: a job's folder, or its result under any name."""
    folder = place.parent if place.is_file() else place
    result, reason = None, DONE if place.is_file() else reason_of(folder)
    if reason == DONE:
        try:
            result = Result.read(place)
            reason = problem_of(result)
        except FileNotFoundError:
            reason = f"{RESULT} is missing"
        except PareError as e:
            reason = str(e)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            reason = f"{RESULT} cannot be read: {type(e).__name__}: {e}"
    if reason:
        result = None
    told = overrides if result is None else result.overrides
    return Record(number, folder, tuple(told), (), result, reason)


def reason_of(folder: Path) -> str:
    file = folder / STATUS
    if not file.is_file():
        return DONE if (folder / RESULT).is_file() else "not started"
    try:
        status = json.loads(file.read_text(encoding="utf-8"))
        state, message = status["state"], status.get("error", {}).get("message", "")
    except (ValueError, KeyError, AttributeError):
        return f"{STATUS} cannot be read"
    if state == "running" and status.get("stages"):
        return f"running, {status['stages'][-1]} is done"
    return f"{state}: {message}" if message else str(state)


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
            later = max((before, record), key=lambda each: written(each.folder))
            earlier = before if later is record else record
            notes.append(f"job {earlier.number} is left out: {later.folder} is the same job, and later")
            record = later
        last[same] = record
    return sorted(last.values(), key=lambda record: record.number), notes


def written(folder: Path) -> float:
    return (folder / RESULT).stat().st_mtime if (folder / RESULT).exists() else 0.0


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
    """The task with its metric and, where they are known, its rows."""
    rows = f", rows {result.split}" if result.split else ""
    return f"{result.task} by {result.primary}{rows}"
