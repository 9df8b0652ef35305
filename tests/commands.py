"""Running the real command line in fresh processes, on a job of seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

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
    "measure.seconds=0.2",
    "measure.peak=false",
    "measure.texts=20",
)
SMALL = (*TINY, "compression.distill.train.steps=10")  # the default strategy


def run(*arguments: str, env: dict[str, str] | None = None) -> Finished:
    """`python run.py …` from the repository."""
    return subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def job(folder: Path, *overrides: str, env: dict[str, str] | None = None) -> Finished:
    """One whose store and output are in that folder, store/ and job/, unless the overrides say otherwise."""
    return run(f"store.root={folder / 'store'}", f"hydra.run.dir={folder / 'job'}", *overrides, env=env)


def result_of(folder: Path) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not strict JSON")

    text = (folder / "result.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def status_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    return found
