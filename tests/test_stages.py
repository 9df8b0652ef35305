"""What each stage does to a real network: shapes, files, logits."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from pare.answering import padded
from pare.checkpoint import ONNX_MODEL, Checkpoint
from pare.distillation import Distillation
from pare.encoders.model import Architecture, Model
from pare.encoders.network import Network, load, save
from pare.errors import StageFailed
from pare.importance import importance_of
from pare.lowering.integer import activation_scale, linear_maps, quantize_weight
from pare.progress import silent
from pare.pruning import kept_count, remove
from pare.runtimes.onnx_session import Session
from pare.stages.distill import Distill
from pare.stages.export import Export, largest_difference
from pare.stages.networks import open_network, open_text_encoder, rows_of, start_network
from pare.stages.qat import Qat
from pare.stages.quantize import Quantize
from pare.stages.stage import Context, Stage
from pare.stages.width import Width
from pare.strategy import Strategy
from pare.targets.measurement import Measure
from pare.targets.scoring import runner
from small import FINETUNE, HARDWARE, QUICK, TASK, ignore, pipeline


def made(root: Path, *strategy: tuple[str, Stage]) -> Checkpoint:
    return pipeline(root).execute(FINETUNE, strategy, ignore).final


def batch(checkpoint: Checkpoint, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rows = open_text_encoder(checkpoint).encode(TASK.texts("dev")[:count])
    return padded([row.ids for row in rows], checkpoint.pad_id)


def logits(network: Network, checkpoint: Checkpoint) -> torch.Tensor:
    ids, mask = (torch.from_numpy(array) for array in batch(checkpoint))
    with torch.no_grad():
        return network(ids, mask)["slots"][mask.bool()]


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "fisher", "dynabert"])
@pytest.mark.parametrize(
    ("keep", "heads", "neurons"), [(0.5, 2, 64), (0.25, 1, 32), (0.75, 3, 96), (1.0, 4, 128)]
)
def test_width_leaves_what_was_asked_for(
    root: Path, finetuned: Checkpoint, importance: str, keep: float, heads: int, neurons: int
) -> None:
    stage = Width(keep=keep, importance=importance, rows=64)  # type: ignore[arg-type]
    pruned = made(root, ("width", stage), ("export", Export()))
    assert pruned.facts["shape"] == {
        "family": "bert", "layers": 2, "tokens": 32, "hidden": 64, "head_size": 16,
        "gated": False, "heads": [heads] * 2, "ffn": [neurons] * 2,
    }  # fmt: skip
    if keep < 1:
        assert pruned.parameters < finetuned.parameters


def test_removing_what_does_nothing_changes_nothing(finetuned: Checkpoint) -> None:
    network = open_network(finetuned)
    block = network.blocks()[0]
    head = slice(block.head_size, 2 * block.head_size)
    with torch.no_grad():
        block.attention_output.weight[:, head] = 0
        for linear in (block.query, block.key, block.value):
            linear.weight[head] = 0
        block.output.weight[:, 7] = 0
        block.intermediate.weight[7] = 0
    scores = importance_of(network, "magnitude", [], 0)[0]
    assert (int(scores.heads.argmin()), int(scores.neurons.argmin())) == (1, 7)
    before = logits(network, finetuned)
    remove(network, 0, [1], [7])
    assert (network.blocks()[0].heads, network.blocks()[0].neurons) == (3, 127)
    assert torch.allclose(logits(network, finetuned), before, atol=1e-5)


def test_a_pruned_network_loads_by_the_shapes_of_its_weights(finetuned: Checkpoint, tmp_path: Path) -> None:
    network = open_network(finetuned)
    remove(network, 0, [0, 3], [1, 2, 3])
    remove(network, 1, [2], [])
    save(network, tmp_path)
    again = load(tmp_path, finetuned.outputs)
    assert [block.heads for block in again.blocks()] == [2, 3]
    assert torch.equal(logits(again, finetuned), logits(network, finetuned))
    whole = (finetuned.path / "model.safetensors").stat().st_size
    assert (tmp_path / "model.safetensors").stat().st_size < whole


@pytest.mark.parametrize(
    ("count", "keep", "multiple", "kept"), [(12, 2 / 3, 1, 8), (4, 0.1, 1, 1), (100, 0.5, 16, 48)]
)
def test_kept_count(count: int, keep: float, multiple: int, kept: int) -> None:
    assert kept_count(count, keep, multiple) == kept


@pytest.mark.parametrize("head", ["intent", "slots"])
def test_logits_that_are_no_numbers_are_not_exported(
    finetuned: Checkpoint, tmp_path: Path, head: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(finetuned.path, broken)
    network = open_network(finetuned)
    bias = network.heads[head].bias
    assert isinstance(bias, torch.nn.Parameter)
    with torch.no_grad():
        bias[0] = float("nan")
    save(network, broken)
    with pytest.raises(StageFailed, match="export: the graph's logits, or PyTorch's, are not finite"):
        Export().run({"model": Checkpoint(broken, "")}, Context(TASK, 0, tmp_path, silent))


@pytest.mark.parametrize("lowering", ["fused", "plain"])
@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_the_exported_graph_answers_as_the_network(root: Path, lowering: str, keep: float) -> None:
    width = Width(keep=keep, importance="magnitude")
    network = open_network(torch_checkpoint(root, ("width", width)))
    exported = made(root, ("width", width), ("export", Export(lowering=lowering)))  # type: ignore[arg-type]
    rows = rows_of(TASK, "dev", open_text_encoder(exported))[:20]
    assert largest_difference(network, Session(str(exported.model_file)), rows, exported.pad_id) < 1e-4
    operators = [node.op_type for node in onnx.load(str(exported.path / ONNX_MODEL)).graph.node]
    assert operators.count("MultiHeadAttention") == (2 if lowering == "fused" else 0)
    assert ("Softmax" in operators) == (lowering == "plain")


def torch_checkpoint(root: Path, *strategy: tuple[str, Stage]) -> Checkpoint:
    outcome = pipeline(root).execute(FINETUNE, strategy, ignore)
    assert outcome.final.format == "torch"
    return outcome.final


def test_every_linear_map_becomes_integer_and_the_file_a_third(root: Path) -> None:
    exported = made(root, ("export", Export()))
    quantized = made(root, ("export", Export()), ("quantize", Quantize(calibration_rows=64)))
    before, after = (onnx.load(str(c.path / ONNX_MODEL)) for c in (exported, quantized))
    assert linear_maps(after) == []
    integer = [node for node in after.graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(integer) == len(linear_maps(before)) == 2 * 6 + 2
    assert quantized.model_bytes() < 0.35 * exported.model_bytes()
    assert correlation(exported, quantized) > 0.99


def correlation(one: Checkpoint, other: Checkpoint) -> float:
    ids, mask = batch(one)
    found = [runner(c, HARDWARE)(ids, mask)["slots"][mask.astype(bool)].ravel() for c in (one, other)]
    return float(np.corrcoef(*found)[0, 1])


def test_what_is_to_stay_float_stays_float(root: Path) -> None:
    stage = Quantize(calibration_rows=16, keep_float=("*layer.0/intermediate*",), embeddings=False)
    strategy: Strategy = (("export", Export()), ("quantize", stage))
    quantized = made(root, *strategy)
    left = linear_maps(onnx.load(str(quantized.path / ONNX_MODEL)))
    assert [m.weight.shape for m in left] == [(64, 128)]
    assert quantized.facts["integer_linear_maps"] == [13, 14]


def test_integer_arithmetic_rounds_by_at_most_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    integer, scale = quantize_weight(weight, 8)
    assert np.abs(integer * scale - weight).max() <= scale.max() / 2 + 1e-7
    scale_u8, zero = activation_scale(-1.0, 3.0)
    assert abs(float(scale_u8) * (0 - int(zero)) + 1.0) <= float(scale_u8)
    assert activation_scale(0.5, 1.0)[1] == 0  # 0 is always representable


def test_distillation_brings_a_pruned_network_back(root: Path) -> None:
    width = Width(keep=0.25, importance="magnitude")
    recover = Distill(train=FINETUNE.train, distillation=Distillation(unlabelled=False))
    steps = pipeline(root).execute(FINETUNE, (("width", width), ("distill", recover)), ignore).steps
    assert steps[2].scores["exact_match"] > steps[1].scores["exact_match"]
    history = steps[2].checkpoint.history()
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_student_of_another_shape_reads_the_teachers_tokens(root: Path, finetuned: Checkpoint) -> None:
    shape = Architecture(layers=1, hidden=32, heads=2, ffn=64, positions=8)
    student = torch_checkpoint(root, ("distill", Distill(student=Model(architecture=shape), train=QUICK)))
    assert student.facts["shape"]["hidden"] == 32
    assert student.max_length == finetuned.max_length > shape.positions
    assert (student.path / "tokenizer.json").read_bytes() == (finetuned.path / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(("positions", "said"), [(8, True), (32, False), (64, False)])
def test_texts_that_a_model_cannot_read_whole_are_told_of(
    positions: int, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """64 positions are more than the task asks for; 32 are enough."""
    shape = Architecture(layers=1, hidden=32, heads=2, ffn=64, positions=positions, vocabulary=1500)
    _, encoder = start_network(Model(architecture=shape), TASK, TASK.outputs())
    assert encoder.max_length == min(positions, TASK.max_length)
    told = [m for m in caplog.messages if m.startswith("task.max_length=32: ") and "at most 8 tokens" in m]
    assert bool(told) == said
    assert len(caplog.messages) == said


def test_heads_that_nobody_trained_are_told_of(
    tmp_path: Path, finetuned: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """A fine-tuned model of others has heads that are not read."""
    untrained = replace(FINETUNE, train=replace(FINETUNE.train, steps=0))
    pipeline(tmp_path).execute(replace(untrained, model=Model(path=str(finetuned.path))), (), ignore)
    assert caplog.messages == []
    pipeline(tmp_path).execute(untrained, (), ignore)
    (told,) = caplog.messages
    assert told.startswith("train.steps=0: bert-2L64H4A does not answer this task by these labels; heads")


@pytest.mark.parametrize(("rate", "said"), [(1e-9, True), (3e-3, False)])
def test_a_network_that_learnt_nothing_is_told_of(
    rate: float, said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who answers alike to everything is right as often."""
    train = replace(FINETUNE.train, steps=120, learning_rate=rate)
    pipeline(tmp_path).execute(replace(FINETUNE, train=train), (), ignore)
    assert 0 < TASK.floor("dev") < 0.1
    assert any("it learnt nothing; try" in message for message in caplog.messages) == said


def test_training_for_int8_turns_down_no_log_but_its_own(root: Path) -> None:
    theirs, nncf = logging.NullHandler(), logging.getLogger("nncf")
    nncf.addHandler(theirs)  # as pytest and others do with the handlers of the whole program
    try:
        torch_checkpoint(root, ("qat", Qat(train=QUICK, calibration_rows=2)))
    finally:
        nncf.removeHandler(theirs)
    assert theirs.level == logging.NOTSET


def test_the_faster_lowering_is_the_one_that_was_measured_to_be(root: Path) -> None:
    there = pipeline(root)
    steps = there.execute(FINETUNE, (("export", Export(lowering="fastest")),), ignore).steps
    graphs = there.baseline_graphs((("export", Export()),), steps[0].checkpoint)
    measured, _, _ = there.measure(
        graphs[0], graphs[1:], Measure(launches=3, seconds=4, peak=False)
    )  # from the store
    wanted = "fused" if measured.speedup.median >= 1 else "plain"
    assert steps[1].checkpoint.facts["lowering"] == wanted
    assert steps[1].checkpoint.digest == graphs[["fused", "plain"].index(wanted)].digest
