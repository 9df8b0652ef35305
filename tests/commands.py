"""Running the real command line in fresh processes, on a job of seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeAlias

from pare.nursery import Nursery

Finished: TypeAlias = "subprocess.CompletedProcess[str]"

ROOT = Path(__file__).parents[1]
TINY = (  # whatever the strategy
    "task.source.train=400",
    "task.source.dev=60",
    "task.source.test=80",
    "task.source.unlabelled=60",
    "model=micro",
    "train.steps=25",
    "measure.launches=2",
    "measure.more=0",
    "measure.seconds=0.2",
    "measure.peak=false",
    "measure.texts=20",
)
SMALL = (*TINY, "compression.distill.train.steps=10")  # the default strategy


@cache
def nursery() -> Nursery:
    """Libraries only: what is Pare's own each run imports itself."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), before])
    try:
        found = Nursery.fresh("launched")
    finally:
        os.environ["PYTHONPATH"] = before
    found.door.settimeout(300)
    return found


def run(*arguments: str, to: int | None = None) -> Finished:
    """`python run.py …` from the repository, forked from a process that has imported the libraries.

    to: the descriptor that it prints to, where that is not to be heard.
    """
    told = {"arguments": arguments, "cwd": str(ROOT), "env": dict(os.environ)}
    theirs, ours = os.pipe()
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        pid = nursery().fork([theirs, output.fileno() if to is None else to, errors.fileno()])
        os.close(theirs)
        with os.fdopen(ours, "w") as line:
            line.write(json.dumps(told) + "\n")
        code = nursery().status(pid)
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, output.read(), errors.read())


def fresh(*arguments: str, env: Mapping[str, str] | None = None) -> Finished:
    """`python run.py …` from nothing, as a user has it; env: in addition."""
    return subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def job(folder: Path, *overrides: str) -> Finished:
    """One whose store and output are in that folder, store/ and job/, unless the overrides say otherwise."""
    return run(*within(folder), *overrides)


def within(folder: Path) -> tuple[str, str]:
    return f"store.root={folder / 'store'}", f"hydra.run.dir={folder / 'job'}"


def result_of(folder: Path) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not strict JSON")

    text = (folder / "result.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def status_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    return found
