"""A layer that compression ruins is found, named, and can be spared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pare.checkpoint import Checkpoint
from pare.errors import StageFailed
from pare.files import write_json
from pare.outputs import Output
from pare.pipeline import Outcome
from pare.progress import silent
from pare.report import Terminal
from pare.runtimes.onnx_session import Session
from pare.stages.export import Export
from pare.stages.networks import open_network, open_text_encoder, write_network
from pare.stages.quantize import Quantize
from pare.stages.sensitivity import Sensitivity, divergence, groups, kl
from pare.stages.stage import Context, Stage
from pare.stages.vocabulary import Vocabulary
from pare.stages.width_sensitivity import WidthSensitivity
from pare.steps import stage_record
from pare.tasks.example import Encoded
from sample import RESULT
from small import FINETUNE, TASK, ignore, pipeline


def executed(root: Path, *strategy: tuple[str, Stage]) -> Outcome:
    return pipeline(root).execute(FINETUNE, strategy, ignore)


@pytest.fixture
def fragile(finetuned: Checkpoint, tmp_path: Path) -> Checkpoint:
    """One neuron of the first layer says a great deal and is not listened to: it takes INT8's whole range."""
    network = open_network(finetuned)
    block = network.blocks()[0]
    with torch.no_grad():
        block.intermediate.bias[5] = 3000.0
        block.output.weight[:, 5] = 0.0
    for name in ("torch", "onnx"):
        (tmp_path / name).mkdir()
    write_network(tmp_path / "torch", network, open_text_encoder(finetuned), dict(finetuned.facts))
    source = Checkpoint(tmp_path / "torch", "fragile")
    Export().run({"model": source}, Context(TASK, 0, tmp_path / "onnx", silent))
    return Checkpoint(tmp_path / "onnx", "fragile, exported")


@pytest.mark.parametrize(("by", "worst"), [("map", "layer.0/output/dense"), ("layer", "layer.0/")])
def test_what_int8_ruins_comes_first(fragile: Checkpoint, tmp_path: Path, by: str, worst: str) -> None:
    (tmp_path / "out").mkdir()
    stage = Sensitivity(by=by, calibration_rows=16)  # type: ignore[arg-type]
    stage.run({"model": fragile}, Context(TASK, 0, tmp_path / "out", silent))
    table = Checkpoint(tmp_path / "out", "").facts["found"]["sensitivity"]["table"]
    assert worst in table[0]["name"]
    assert table[0]["divergence"] > 5 * table[1]["divergence"]
    assert table[0]["drop"] >= max(part["drop"] for part in table) > 0
    lines = (tmp_path / "out" / "sensitivity.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(table) + 1
    assert lines[1].startswith(table[0]["name"])


def test_each_graph_answers_dev_once(
    fragile: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    class Counting(Session):
        def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
            read.append(len(ids))
            return super().run(ids, mask)

    monkeypatch.setattr("pare.stages.sensitivity.Session", Counting)
    (tmp_path / "out").mkdir()
    Sensitivity(calibration_rows=8).run({"model": fragile}, Context(TASK, 0, tmp_path / "out", silent))
    maps = len(Checkpoint(tmp_path / "out", "").facts["found"]["sensitivity"]["table"])
    assert sum(read) == (maps + 1) * len(TASK.texts("dev"))


def test_the_worst_can_be_left_in_float(root: Path) -> None:
    before = (("export", Export()), ("sensitivity", Sensitivity(calibration_rows=16)))
    spared = executed(root, *before, ("quantize", Quantize(calibration_rows=16, keep_sensitive=3))).final
    whole = executed(root, *before, ("quantize", Quantize(calibration_rows=16))).final
    integer, maps = whole.facts["integer_linear_maps"]
    assert spared.facts["integer_linear_maps"] == [integer - 3, maps]
    assert len(spared.facts["found"]["sensitivity"]["table"]) == maps


def test_what_stages_find_is_in_the_result_and_in_the_terminal(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = executed(
        root,
        ("vocabulary", Vocabulary(max_tokens=300)),
        ("export", Export()),
        ("int8", Sensitivity(calibration_rows=8)),
        ("quantize", Quantize(calibration_rows=8)),
    ).steps
    result = replace(RESULT, stages=[stage_record(step) for step in steps])
    _, vocabulary, export, sensitivity, quantize = (stage["found"] for stage in result.stages)
    assert (export, quantize) == (None, None)
    shares = [100 * vocabulary[when]["dev"] for when in ("unknown_before", "unknown_after")]
    assert shares[0] < shares[1]
    worst = sensitivity["table"][0]
    Terminal().result(result, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert f"vocabulary: unknown tokens on dev {shares[0]:.2f} % → {shares[1]:.2f} %" in lines
    told = [line for line in lines if line.startswith("int8: ")]
    assert len(told) == 5
    assert told[0].startswith(f"int8: {worst['name']} alone in INT8: divergence {worst['divergence']:.3g}, ")
    assert told[0].endswith(f", {100 * worst['drop']:.2f} points lost")
    write_json(tmp_path / "result.json", {"stages": list(result.stages)})  # which takes no NaN
    older = [{key: value for key, value in stage.items() if key != "found"} for stage in result.stages]
    Terminal().result(replace(result, stages=older), tmp_path)
    assert "unknown tokens" not in capsys.readouterr().out


def test_sparing_needs_a_table(root: Path) -> None:
    with pytest.raises(StageFailed, match="keep_sensitive: needs a sensitivity stage between"):
        executed(root, ("export", Export()), ("quantize", Quantize(keep_sensitive=1)))


def test_each_text_counts_as_much_as_any_other() -> None:
    """Of 33 only the last, alone in its batch, is answered otherwise."""
    encoded = [Encoded([5, 6], [])] * 32 + [Encoded([7], [])]
    outputs = (Output("intent", ("a", "b")), Output("slots", ("a", "b"), "token"))

    def answers(certain: float) -> dict[int, dict[str, np.ndarray]]:
        found = {}
        for i, e in enumerate(encoded):
            ids = np.array([*e.ids, 7])  # and padding, which says nothing
            slots = np.stack([certain * (ids == 7), np.zeros(ids.shape)], -1).astype(np.float32)
            found[i] = {"intent": slots[0], "slots": slots}
        return found

    gap = float(kl(np.zeros((1, 2)), np.array([[3.0, 0.0]]), "one")[0])
    found = divergence(answers(0.0), answers(3.0), outputs, encoded)
    assert found == pytest.approx((gap / 33 + gap / 65) / 2, rel=1e-5)


@pytest.mark.parametrize("word", ["layer", "layers"])  # BERT's, ModernBERT's
def test_maps_are_grouped_by_layer(word: str) -> None:
    first, last = f"/encoder/{word}.0/", f"/encoder/{word}.10/"
    names = [f"{first}a/MatMul", f"{first}b/MatMul", f"{last}a/MatMul", "/heads/MatMul"]
    assert list(groups(names, "layer")) == [f"{first}*", f"{last}*", "/heads/MatMul"]
    assert groups(names, "layer")[f"{first}*"] == names[:2]


def test_a_layer_that_pruning_ruins_comes_first(root: Path, finetuned: Checkpoint, tmp_path: Path) -> None:
    network = open_network(finetuned)
    idle = network.blocks()[0]
    with torch.no_grad():  # nothing that the first layer's neurons say is heard
        idle.output.weight.zero_()
    (tmp_path / "torch").mkdir()
    (tmp_path / "out").mkdir()
    write_network(tmp_path / "torch", network, open_text_encoder(finetuned), dict(finetuned.facts))
    source = Checkpoint(tmp_path / "torch", "idle")
    WidthSensitivity(rows=32).run({"model": source}, Context(TASK, 0, tmp_path / "out", silent))
    found = Checkpoint(tmp_path / "out", "")
    drops = {row["name"]: row["drop"] for row in found.facts["found"]["width_sensitivity"]["table"]}
    assert drops["layer 0 ffn"] == 0
    assert len(drops) == 4
    assert list(drops.values()) == sorted(drops.values(), reverse=True)
    assert open_network(found).parameter_count() == network.parameter_count()


def test_the_order_of_a_network_that_was_not_sorted_says_nothing(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"width_sensitivity.importance: order keeps the first heads and"):
        executed(root, ("width_sensitivity", WidthSensitivity(importance="order")))
