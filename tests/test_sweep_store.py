"""Sweeps and what befalls their store: damage, a full disk, changes, and twenty sweeps at once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from commands import ROOT, SMALL, Finished, fresh, result_of, run
from pare.store import Store
from test_files import tmpfs

WIDTHS = (*SMALL, "compression=width", "compression.width.keep=0.25,0.5")


def arguments(root: Path, *overrides: str) -> tuple[str, ...]:
    return "-m", *WIDTHS, f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'jobs'}", *overrides


def sweep(root: Path, *overrides: str) -> Finished:
    return run(*arguments(root, *overrides))


def scores(root: Path) -> list[Mapping[str, Any]]:
    return [result_of(root / "jobs" / str(number))["scores"] for number in range(2)]


def checkpoints(store: Path) -> dict[str, tuple[str, float]]:
    """Digest of each, and when it was made."""
    return {e.key: (e.digest, e.created) for e in Store(store).entries() if e.kind == "checkpoint"}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two widths that went well."""
    root = tmp_path_factory.mktemp("two")
    finished = sweep(root)
    assert finished.returncode == 0, finished.stderr
    return root


@pytest.fixture
def copied(two: Path, tmp_path: Path) -> Path:
    """Its store, to be spoilt."""
    shutil.copytree(two / "store", tmp_path / "store")
    return tmp_path


def test_an_unchanged_sweep_computes_nothing(two: Path, copied: Path) -> None:
    finished = sweep(copied)
    assert finished.returncode == 0, finished.stderr
    assert "8 stages, 7 distinct, 0 computed" in finished.stdout
    for number in range(2):
        before, after = (result_of(root / "jobs" / str(number)) for root in (two, copied))
        assert all(stage["cached"] for stage in after["stages"])
        assert before["measurement"] == after["measurement"]


def test_one_leaf_more_computes_only_what_is_its_own(copied: Path) -> None:
    finished = sweep(copied, "compression.width.keep=0.25,0.5,0.75")
    assert finished.returncode == 0, finished.stderr
    assert "12 stages, 10 distinct, 3 computed" in finished.stdout


def test_one_flipped_byte_in_each_of_fifty_files_is_found_and_mended(two: Path, copied: Path) -> None:
    files = [file for file in sorted((copied / "store" / "objects").rglob("*")) if file.is_file()]
    for file in Random(0).sample([file for file in files if file.stat().st_size], 50):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    hit = {folder.name for folder in (copied / "store" / "objects").glob("*/*") if damaged(two, folder)}
    finished = sweep(copied)
    assert finished.returncode == 0, finished.stderr
    store = Store(copied / "store")
    assert {place.name.partition(".")[0] for place in (copied / "store" / "quarantine").iterdir()} >= hit
    assert store.verify().damaged == ()
    assert checkpoints(copied / "store").keys() == checkpoints(two / "store").keys()
    assert scores(copied) == scores(two)


def damaged(two: Path, folder: Path) -> bool:
    """Whether it is not as it was written."""
    before = two / "store" / "objects" / folder.parent.name / folder.name
    return any(
        file.read_bytes() != (before / file.relative_to(folder)).read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    )


def test_a_disk_that_fills_keeps_what_was_done_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=4m") as disk:
        store = (f"store.root={disk / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
        finished = run("-m", *WIDTHS, *store)
        assert finished.returncode == 1
        assert "error: the disk is full" in finished.stderr
        assert "Traceback" not in finished.stderr
        before = checkpoints(disk / "store")
        assert before
        assert Store(disk / "store").verify().damaged == ()
        assert os.system(f"mount -o remount,size=100m {disk}") == 0
        finished = run("-m", *WIDTHS, *store)
        assert finished.returncode == 0, finished.stderr
        assert before.items() <= checkpoints(disk / "store").items()


def test_a_store_on_a_read_only_disk_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=1m,ro") as disk:
        finished = run("-m", *WIDTHS, f"store.root={disk / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"error: store.root: store {disk}/store: ")
    assert "Read-only file system" in line
    assert not list((tmp_path / "jobs").rglob("*.json"))


#: another version of one library than the one that is installed
UPGRADED = """
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda name: "9.9" if name == "onnx" else version(name)
"""


@pytest.mark.slow
def test_an_upgraded_library_touches_only_what_depends_on_it(copied: Path) -> None:
    (copied / "sitecustomize.py").write_text(UPGRADED, "utf-8")
    finished = fresh(*arguments(copied), env={"PYTHONPATH": str(copied)})
    assert finished.returncode == 0, finished.stderr
    asked = [stage["name"] for stage in result_of(copied / "jobs" / "0")["stages"]]
    assert asked == ["finetune", "width", "distill", "export"]
    assert [node["name"] for node in nodes(copied) if node["kind"] == "stage"] == ["export"] * 2


def nodes(root: Path) -> list[dict[str, Any]]:
    """Those that were carried out."""
    plan = json.loads((root / "jobs" / "plan.json").read_text("utf-8"))["nodes"]
    return [plan[file.stem] for file in (root / "jobs" / "nodes").glob("*.json")]


#: a line for each pruning there was
COUNTED = """
import os, sys

def counting():
    if "pare.sweeps.work" in sys.modules:
        from pare.stages import width as module
        prune = getattr(module, "prune_alone", module.Width.run)

        def run(self, inputs, context):
            with open(os.environ["PRUNED"], "a") as file:
                file.write(f"{self.keep}\\n")
            prune(self, inputs, context)

        module.Width.run, module.prune_alone = run, prune

os.register_at_fork(after_in_child=counting)
"""


@pytest.mark.slow
def test_twenty_sweeps_that_start_at_once_compute_everything_once(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(COUNTED, "utf-8")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PRUNED": str(tmp_path / "pruned")}
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path}/${{now:%S}}-${{pare.token:}}")
    command = [sys.executable, "run.py", "-m", *WIDTHS, *where]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True) for _ in range(20)
    ]
    outputs = [process.communicate(timeout=1200) for process in started]
    assert [process.returncode for process in started] == [0] * 20, outputs[0][1]
    folders = {file.parent.parent for file in tmp_path.glob("*/*/result.json")}
    assert len(folders) == 20
    results = [result_of(folder / str(number)) for folder in folders for number in range(2)]
    assert len({str(result["measurement"]["speedup"]) for result in results}) == 2
    assert sorted((tmp_path / "pruned").read_text("utf-8").split()) == ["0.25", "0.5"]
    assert not list((tmp_path / "store" / "quarantine").glob("*"))
