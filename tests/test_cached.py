"""What keys in the store are made of: all that a result depends on, and nothing else."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from commands import ROOT, TINY, fresh
from pare import provenance
from pare.cached import code_of
from pare.checkpoint import Checkpoint
from pare.stages.qat import Qat
from pare.stages.quantize import Quantize
from pare.stages.stage import Gate
from pare.store import Store
from pare.targets.hardware import Hardware, Provider
from pare.targets.tensorrt import PACKAGES
from pare.tasks.classify import Classify
from pare.tasks.several import Several
from pare.tasks.sources import Generated
from small import TASK, pipeline

SLOW = pytest.mark.slow
TENSORRT: tuple[Provider, ...] = ("TensorrtExecutionProvider",)


def test_scores_are_those_of_one_chip(
    root: Path, finetuned: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline(root).score(finetuned, "dev")
    assert pipeline(root).scored(finetuned.digest, "torch", "dev")
    monkeypatch.setattr("pare.cached.cpu", lambda: "one without VNNI")
    assert not pipeline(root).scored(finetuned.digest, "torch", "dev")


def test_scores_are_those_of_one_driver_and_one_tensorrt(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> tuple[str, ...]:
        there = (Hardware(name="there", device="cuda", providers=providers) for providers in ((), TENSORRT))
        return tuple(pipeline(root, hardware=one).score_key("0123", "onnx", "dev") for one in there)

    plain, compiled = keys()
    installed = provenance._version
    newer = {PACKAGES[0]: "10.99"}
    monkeypatch.setattr(provenance, "_version", lambda name: newer.get(name) or installed(name))
    assert keys()[0] == plain
    assert keys()[1] != compiled
    plain, compiled = keys()
    monkeypatch.setattr("pare.cached.driver", lambda: "580.65.06")
    assert not {*keys()} & {plain, compiled}


def test_several_tasks_have_the_code_of_each() -> None:
    labels = Classify(name="labels", max_length=16, source=Generated())
    several = Several(name="both", max_length=16, tasks={"slu": TASK, "labels": labels})
    code = code_of(several)
    assert {"pare.tasks.several", "pare.tasks.slu", "pare.tasks.classify", "pare.tasks.sources"} <= {*code}


def test_what_becomes_of_a_failure_is_no_part_of_what_a_stage_makes(root: Path) -> None:
    plain = Quantize()
    dear = replace(plain, gate=Gate(on_fail="escalate"), escalation=Qat())
    assert pipeline(root).key(plain, {"model": "a"}) == pipeline(root).key(dear, {"model": "a"})


#: appended to the module that fine-tunes: an edit of others by somebody else, while it does
EDITING = """
import os
_fine_tune = Finetune.run

def _edited_meanwhile(self, inputs, context):
    _fine_tune(self, inputs, context)
    for file in os.environ.get("EDITED", "").split():
        with open(file, "a") as opened:
            opened.write("# edited\\n")

Finetune.run = _edited_meanwhile
"""


@pytest.mark.parametrize("where", ["hydra.run.dir={}/0", pytest.param("-m hydra.sweep.dir={}", marks=SLOW)])
def test_what_is_edited_meanwhile_is_not_the_code_that_ran(tmp_path: Path, where: str) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "src" / "pare"
    with (package / "stages" / "finetune.py").open("a") as file:
        file.write(EDITING)
    edited = [str(package / file) for file in ("stages/export.py", "targets/scoring.py", "targets/peak.py")]
    told = (*where.format(tmp_path / "jobs").split(), f"store.root={tmp_path / 'store'}", "compression=none")
    made = []
    for changed in (edited, []):
        finished = fresh(*told, *TINY, env={"PYTHONPATH": str(package.parent), "EDITED": " ".join(changed)})
        assert finished.returncode == 0, finished.stderr
        entries = Store(tmp_path / "store").entries()
        # which baseline is scored on test depends on which was quicker
        made.append(Counter(entry.kind for entry in entries if entry.meta.get("split") != "test"))
    assert made[0] == {"checkpoint": 3, "scores": 2, "measurement": 1}
    assert made[1] == {"checkpoint": 5, "scores": 4, "measurement": 2}
