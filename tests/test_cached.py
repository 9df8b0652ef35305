"""What keys in the store are made of: all that a result depends on, and nothing else."""

import gc
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from commands import ROOT, TINY, fresh
from pare import provenance
from pare.cached import code_of
from pare.checkpoint import Checkpoint
from pare.encoders.network import Network
from pare.ondemand import Rows
from pare.pipeline import Pipeline
from pare.progress import Advance, silent
from pare.stages.depth import Depth
from pare.stages.distill import Distill
from pare.stages.export import Export
from pare.stages.qat import Qat
from pare.stages.quantize import Quantize
from pare.stages.sensitivity import Sensitivity
from pare.stages.stage import Gate
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.stages.width_sensitivity import WidthSensitivity
from pare.store import Store
from pare.targets.hardware import Hardware, Provider
from pare.targets.measurement import Measure
from pare.targets.tensorrt import PACKAGES
from pare.tasks.classify import Classify
from pare.tasks.example import Example
from pare.tasks.mine import Mine
from pare.tasks.several import Several
from pare.tasks.sources import Generated, Splits
from pare.training import Device
from small import FINETUNE, HARDWARE, OPENVINO, QUICK, TASK, TORCH, ignore, pipeline

SLOW = pytest.mark.slow
TENSORRT: tuple[Provider, ...] = ("TensorrtExecutionProvider",)


def test_scores_are_those_of_one_chip(
    root: Path, finetuned: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pare.cached.torch_finds_a_gpu", lambda: False)
    pipeline(root).score(finetuned, "dev")
    assert pipeline(root).scored(finetuned.digest, "torch", "dev")
    monkeypatch.setattr("pare.cached.cpu", lambda: "one without VNNI")
    assert not pipeline(root).scored(finetuned.digest, "torch", "dev")


def test_scoring_says_how_far_it_is(tmp_path: Path, finetuned: Checkpoint) -> None:
    told: dict[str, list[int]] = {}

    @contextmanager
    def progress(title: str, total: int) -> Iterator[Advance]:
        told[title] = [total, 0]

        def advance(more: int, state: str) -> None:
            told[title][1] += more

        yield advance

    Pipeline(Store(tmp_path), TASK, 0, HARDWARE, progress).score(finetuned, "dev")
    assert told == {"scoring on dev": [150, 150]}


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


def networks() -> int:
    return sum(type(one) is Network for one in gc.get_objects())


def test_what_a_stage_had_on_the_gpu_is_free_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch keeps it for itself, and what is measured runs in other processes."""
    before, left = networks(), []
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: left.append(networks() - before))
    there = pipeline(tmp_path)
    for _ in range(2):  # the second time there is nothing to compute
        outcome = there.execute(replace(FINETUNE, train=QUICK), [("export", Export())], ignore)
        assert outcome.final.format == "onnx"
        assert left == [0] * 4  # checkpoints and scores


WORDS = ("open", "close", "stop")


def of_words(root: Path, corrected: str = "") -> Pipeline:
    """On files whose labels are numbers of words; corrected: the split of which one label is another."""
    files = {}
    for split, count in (("train", 60), ("dev", 9), ("test", 9)):
        rows = [f"{WORDS[i % 3]} {split} {i}\t{i % 3}" for i in range(count)]
        rows[-1] = rows[-1][:-1] + ("0" if split == corrected else "2")
        file = root / f"{split}.tsv"
        file.write_text("\n".join(["text\tlabel", *rows, ""]), encoding="utf-8")
        files[split] = str(file)
    task = Mine(name="words", max_length=16, **files)
    return Pipeline(Store(root / "store"), task, 0, HARDWARE, silent)


def test_a_label_of_test_that_is_corrected_costs_scores_on_test_alone(tmp_path: Path) -> None:
    finetune = replace(FINETUNE, train=QUICK)

    def carried_out(corrected: str) -> tuple[list[bool], list[bool], str]:
        """Which stages were in the store, which scores of what they make were, and what is measured."""
        there = of_words(tmp_path, corrected)
        scored: list[bool] = []
        outcome = there.execute(finetune, [("export", Export())], ignore)
        final = outcome.final
        for split in ("dev", "test"):
            scored.append(there.scored(final.digest, final.format, split))
            there.score(final, split)
        measured = there.measured_key(there.what_is_measured(final.digest, []), Measure())
        return [step.cached for step in outcome.steps], scored, measured

    cached, scored, measured = carried_out("")
    assert (cached, scored) == ([False, False], [True, False])
    assert carried_out("") == ([True, True], [True, True], measured)
    assert carried_out("test") == ([True, True], [True, False], measured)
    # nothing looks at dev in so short a training: it makes the same network
    assert carried_out("dev") == ([False, False], [True, True], measured)
    assert carried_out("train")[:2] == ([False, False], [True, False])


class Sealed(Rows[Example]):
    """Rows that nobody may read any more, once it is said."""

    def __init__(self, rows: Sequence[Example]) -> None:
        self.rows, self.sealed = rows, False

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, number: int) -> Example:
        assert not self.sealed, "a stage read test"
        return self.rows[number]


@dataclass(frozen=True, kw_only=True)
class Watched(Generated):
    def read(self) -> Splits:
        splits = super().read()
        return {**splits, "test": Sealed(splits["test"])}


def test_no_stage_reads_test(tmp_path: Path) -> None:
    source = Watched(train=200, dev=40, test=20, unlabelled=20)
    there = Pipeline(Store(tmp_path), replace(TASK, source=source), 0, HARDWARE, silent)
    there.task.fingerprint("test")
    test = there.task.examples("test")
    assert isinstance(test, Sealed)
    test.sealed = True
    looked = replace(QUICK, evaluate_every=2)
    strategy = (
        ("vocabulary", Vocabulary()),
        ("depth", Depth(layers=1, keep="importance", rows=32)),
        ("width_sensitivity", WidthSensitivity(rows=32)),
        ("width", Width(keep=0.5, rows=32)),
        ("distill", Distill(train=looked)),
        ("export", Export()),
        ("sensitivity", Sensitivity(by="layer", calibration_rows=32, threads=1)),
        ("quantize", Quantize(calibration_rows=32, gate=Gate(on_fail="keep"))),
    )
    assert there.execute(replace(FINETUNE, train=looked), strategy, ignore).final.format == "onnx"


def test_networks_are_scored_once_whatever_the_target(root: Path, finetuned: Checkpoint) -> None:
    """By PyTorch; what runs in the target's runtime is scored there."""
    pipeline(root).score(finetuned, "dev")
    gpu = Hardware(name="gpu", device="cuda")
    for hardware in (OPENVINO, TORCH, gpu, replace(gpu, providers=TENSORRT)):
        assert pipeline(root, hardware=hardware).scored(finetuned.digest, "torch", "dev")
    keys = {pipeline(root, hardware=one).score_key("0123", one.runs, "dev") for one in (HARDWARE, gpu)}
    assert len(keys) == 2


def test_networks_are_scored_where_they_are_trained(
    tmp_path: Path, finetuned: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a GPU's name, and on a CPU by nothing that has to do with GPUs."""

    def there(device: Device) -> Pipeline:
        return Pipeline(Store(tmp_path), TASK, 0, HARDWARE, silent, device)

    def key(device: Device) -> str:
        return there(device).score_key("0123", "torch", "dev")

    on_the_cpu = key("cpu")
    monkeypatch.setattr("pare.cached.torch_finds_a_gpu", lambda: False)
    assert key("auto") == on_the_cpu
    monkeypatch.setattr("pare.cached.torch_finds_a_gpu", lambda: True)
    keys = {on_the_cpu, key("cpu")}
    for card in ("NVIDIA H200", "Tesla T4"):
        monkeypatch.setattr("pare.cached.gpu", lambda card=card: (card, "GPU-1"))
        keys.add(key("auto"))
        assert key("cuda") == key("auto")
    assert len(keys) == 3
    assert len({there(device).score_key("0123", "onnx", "dev") for device in ("auto", "cpu")}) == 1
    asked: list[str] = []
    monkeypatch.setattr(Network, "to", lambda self, device: asked.append(device) or self)
    for device in ("auto", "cpu"):
        there(device).score(finetuned, "test")
    assert asked == ["cuda", "cpu"]
