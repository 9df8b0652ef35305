"""What a tracker is told, read from a job's or a sweep's folder: nothing but these files is needed."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from pare.artifact import MANIFEST
from pare.errors import PareError
from pare.files import atomic_write_text
from pare.provenance import HOW, digest
from pare.result import BUNDLE, CONFIG, PLAN, Result, plan_in
from pare.study.collecting import Study, collect, plain
from pare.study.commands import again
from pare.study.keys import short

#: beside result.json: what it does not hold
FILE = "tracking.json"
SCHEMA = "pare/tracking@1"
TITLE = 80  # characters

#: training curves by stage
Curves = Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True)
class Made:
    """A network that a stage made. path: in the store of the machine that has it."""

    stage: str
    digest: str
    path: str


@dataclass(frozen=True)
class Model:
    """A network or a bundle that a tracker may be told of. about: where it comes from and what it can do."""

    role: Literal["teacher", "student", "bundle"]
    name: str
    files: Sequence[Path]
    about: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        files = [file.as_uri() for file in self.files]
        return {"role": self.role, "name": self.name, "files": files, **self.about}


@dataclass(frozen=True)
class JobRecord:
    """All about one job. group: the sweep it belongs to. networks: the fine-tuned one first."""

    result: Result
    config: Mapping[str, Any]
    group: str
    title: str
    curves: Curves
    networks: Sequence[Made]
    folder: Path

    @property
    def note(self) -> str:
        """The command that makes it again, and what stages found out besides scores."""
        return "\n\n".join([f"`{again(self.result, self.config)}`", *self.result.findings()])

    @property
    def id(self) -> str:
        """The same for the same job on the same machine, another for every other job.

        The key alone would not do: jobs with one key may differ in how they measure, and where.
        """
        whole = {name: value for name, value in self.config.items() if name not in HOW}
        return f"{self.result.key}-{digest([whole, self.result.measurement.fingerprint])[:8]}"


@dataclass(frozen=True)
class StudyRecord:
    """A sweep, with those of its jobs that have no result. id: of its report, wherever its folder lies."""

    study: Study
    folder: Path
    group: str
    id: str


def write_job(folder: Path, group: str, title: str, curves: Curves, networks: Sequence[Made]) -> None:
    """What `read_job` needs besides config.yaml and result.json."""
    told = {
        "schema": SCHEMA,
        "group": group,
        "title": title,
        "curves": {stage: list(curve) for stage, curve in curves.items()},
        "networks": [asdict(network) for network in networks],
    }
    atomic_write_text(folder / FILE, json.dumps(told, allow_nan=False, ensure_ascii=False) + "\n")


def read_job(folder: Path) -> JobRecord:
    """Of results from elsewhere, `pare evaluate` say, curves and networks are unknown."""
    result = Result.read(folder)
    config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    told = told_in(folder) if (folder / FILE).is_file() else {}
    return JobRecord(
        result=result,
        config=config,
        group=told.get("group", folder.name),
        title=told.get("title") or title_of(result.overrides) or result.name,
        curves=told.get("curves", {}),
        networks=[Made(**network) for network in told.get("networks", ())],
        folder=folder,
    )


def models_of(job: JobRecord) -> list[Model]:
    """Teacher, students and bundle, each made from the one before; those that are on this machine."""
    found = []
    stages = {stage["name"]: stage for stage in job.result.stages}
    before = None
    for made in job.networks:
        about = {
            "digest": made.digest,
            "from": before,
            **{name: stages[made.stage].get(name) for name in ("kind", "key", "params", "size_mb", "scores")},
        }
        role: Literal["teacher", "student"] = "teacher" if before is None else "student"
        found.append(Model(role, f"{job.result.task}-{made.stage}", files_in(Path(made.path)), about))
        before = made.digest
    measured = job.result.measurement
    about = {
        "from": before,
        "scores": dict(job.result.scores),
        "precision": measured.precision,
        "runtime": measured.runtime,
        "size_mb": measured.size_mb,
    }
    found.append(Model("bundle", f"{job.result.task}-bundle", files_in(job.folder / BUNDLE), about))
    return [model for model in found if model.files]


def files_in(folder: Path) -> list[Path]:
    """Without folders below: what a bundle carries for `pare evaluate` is no part of the model."""
    if not folder.is_dir():
        return []
    return sorted(path.absolute() for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)


def read_study(folder: Path) -> StudyRecord:
    """As its jobs stand now."""
    plan = plan_in(folder)
    name = re.sub(r"[^\w.-]", "-", plan.get("id") or plan["group"])  # wandb refuses the rest in ids
    return StudyRecord(collect([folder]), folder, plan["group"], f"{name}-report")


def is_study(folder: Path) -> bool:
    return (folder / PLAN).is_file()


def jobs_of(folder: Path) -> list[Path]:
    """Those of a sweep that have a result."""
    return [job.folder for job, _ in collect([folder]).done]


def told_in(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if told.get("schema") != SCHEMA:
        raise PareError(f"{folder / FILE}: schema {told.get('schema')!r}, expected {SCHEMA!r}")
    return told


def title_of(overrides: Sequence[str]) -> str:
    """What a job is, by the last word of its overrides' keys: `compression.width.keep=0.5` is `keep=0.5`."""
    return " ".join(f"{name}={value}" for name, value in named(plain(overrides)).items())[:TITLE]


def named(overrides: Sequence[str]) -> dict[str, str]:
    """Values by the short names of their keys."""
    values = dict(split(overrides))
    return {name: values[key] for key, name in shortened(values).items()}


def shortened(keys: Iterable[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """The last word of each key, or the whole key where two end alike or the word is taken."""
    lasts = {key: short(key) for key in keys}
    used = Counter([*lasts.values(), *taken])
    return {key: last if used[last] == 1 else key for key, last in lasts.items()}


def split(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    for override in overrides:
        key, _, value = override.partition("=")
        yield key.lstrip("+~"), "none" if override.startswith("~") else value
