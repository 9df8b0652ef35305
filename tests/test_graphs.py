"""Half precision and INT8 tables: what the files hold, that they run, that answers stay."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from pare.answering import padded
from pare.checkpoint import ONNX_MODEL, Checkpoint
from pare.errors import StageFailed
from pare.lowering.half import to_half
from pare.lowering.tables import quantize_rows
from pare.stages.dynamic import Dynamic
from pare.stages.embeddings import Embeddings
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.networks import open_text_encoder
from pare.stages.quantize import Quantize
from pare.stages.sensitivity import Sensitivity
from pare.stages.stage import Stage
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.strategy import problems
from pare.targets.scoring import runner
from small import FINETUNE, HARDWARE, TASK, ignore, pipeline


def made(root: Path, *strategy: tuple[str, Stage]) -> Checkpoint:
    return pipeline(root).execute(FINETUNE, strategy, ignore).final


def graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    return onnx.load(str(checkpoint.path / ONNX_MODEL))


def logits(checkpoint: Checkpoint) -> np.ndarray:
    rows = open_text_encoder(checkpoint).encode(TASK.texts("dev")[:20])
    ids, mask = padded([row.ids for row in rows], checkpoint.pad_id)
    found = runner(checkpoint, HARDWARE)(ids, mask)["slots"]
    assert found.dtype == np.float32
    return found[mask.astype(bool)]


@pytest.mark.parametrize("lowering", ["fused", "plain"])
@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_half_precision_halves_the_file_and_keeps_the_answers(
    root: Path, lowering: str, fuse: bool, keep: float
) -> None:
    before = (
        ("width", Width(keep=keep, importance="magnitude")),
        ("export", Export(lowering=lowering)),  # type: ignore[arg-type]
    )
    whole, half = made(root, *before), made(root, *before, ("half", Half(fuse=fuse)))
    assert half.model_bytes() < 0.6 * whole.model_bytes()
    assert np.abs(logits(half) - logits(whole)).max() < 0.05
    assert half.facts["precision"] == "fp16"
    assert bool(half.facts["fused_nodes"]) == fuse


def test_sensitive_nodes_stay_in_fp32(root: Path) -> None:
    model = graph(made(root, ("export", Export(lowering="plain")), ("half", Half(fuse=False))))
    types = {i.name: i.data_type for i in model.graph.initializer}
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    assert norms
    assert all(types[name] == TensorProto.FLOAT for node in norms for name in node.input[1:])
    weights = [i for i in model.graph.initializer if len(i.dims) == 2]
    assert all(weight.data_type == TensorProto.FLOAT16 for weight in weights)


def test_bf16_has_the_range_of_fp32_and_its_nearest_values(root: Path) -> None:
    model = graph(made(root, ("export", Export())))
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer if len(i.dims) == 2}
    half = to_half(model, "bf16", ())
    onnx.checker.check_model(half)
    found = {i.name: i for i in half.graph.initializer if i.name in weights}
    assert all(i.data_type == TensorProto.BFLOAT16 for i in found.values())
    name, tensor = max(found.items(), key=lambda item: weights[item[0]].size)
    bits = np.frombuffer(tensor.raw_data, np.uint16).astype(np.uint32) << 16
    error = np.abs(bits.view(np.float32).reshape(weights[name].shape) - weights[name])
    assert (error <= np.abs(weights[name]) * (2**-8 + 2**-10) + 1e-6).all()  # through FP16
    assert TensorProto.FLOAT16 not in {i.data_type for i in half.graph.initializer}


def test_bf16_is_refused_where_it_cannot_run() -> None:
    (problem,) = problems((("export", Export()), ("half", Half(precision="bf16"))), HARDWARE)
    assert problem == "compression.half: what half makes runs on cuda, not on hardware=here (cpu)"


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        (("quantize", "half"), "half: takes fp32, but quantize before it makes int8; drop one of them"),
        (
            ("half", "quantize"),
            "quantize: takes fp32 or int8, but half before it makes fp16; drop one of them",
        ),
        (("half", "dynamic"), "dynamic: takes fp32 or int8, but half before it makes fp16; drop one of them"),
        (("half", "sensitivity"), "sensitivity: takes fp32 or int8, but half before it makes fp16; drop "),
        (("embeddings", "half"), None),
        (("sensitivity", "quantize", "embeddings"), None),
    ],
)
def test_a_graph_of_another_precision_is_refused_before_anything_runs(
    strategy: tuple[str, ...], problem: str | None
) -> None:
    stages = {s.kind: s for s in (Half(), Quantize(), Dynamic(), Sensitivity(), Embeddings())}
    found = problems((("export", Export()), *((name, stages[name]) for name in strategy)), HARDWARE)
    assert len(found) == (problem is not None)
    assert all(line.startswith(f"compression.{problem}") for line in found)


@pytest.mark.parametrize(
    "scheme",
    [
        (),
        (("half", Half(fuse=False)),),
        (("quantize", Quantize(calibration_rows=16, embeddings=False)),),
        (("quantize", Dynamic(embeddings=False)),),
    ],
    ids=["fp32", "fp16", "static", "dynamic"],
)
def test_tables_shrink_under_every_scheme(root: Path, scheme: tuple[tuple[str, Stage], ...]) -> None:
    before = (("export", Export()), *scheme)
    whole, small = made(root, *before), made(root, *before, ("embeddings", Embeddings()))
    (table, *_) = small.facts["int8_tables"]
    saved = sum(t["bytes_before"] - t["bytes_after"] for t in small.facts["int8_tables"])
    assert table["bytes_after"] < 0.6 * table["bytes_before"]
    assert whole.model_bytes() - small.model_bytes() == pytest.approx(saved, abs=4000)
    assert np.abs(logits(small) - logits(whole)).max() < 0.3


def test_a_scale_for_each_row_is_closer_than_one_for_all() -> None:
    rng = np.random.default_rng(0)
    table = (rng.normal(size=(500, 64)) * rng.lognormal(sigma=1.5, size=(500, 1))).astype(np.float32)
    errors = {}
    for scales in ("row", "table"):
        rows, scale = quantize_rows(table, scales)  # type: ignore[arg-type]
        gap = np.abs(rows * scale - table)
        assert (gap <= scale * 0.5001).all()
        errors[scales] = float((gap**2).mean())
    assert errors["row"] < 0.2 * errors["table"]


def test_positions_are_a_table_too(root: Path) -> None:
    small = made(root, ("export", Export()), ("embeddings", Embeddings(smallest=1000)))
    assert len(small.facts["int8_tables"]) == 2


def test_tables_that_are_bytes_already_are_no_tables(root: Path) -> None:
    with pytest.raises(StageFailed, match="no float table of 4096 values or more"):
        made(
            root,
            ("export", Export()),
            ("quantize", Quantize(calibration_rows=8)),
            ("embeddings", Embeddings(scales="table")),
        )


def test_all_that_makes_files_smaller_composes(root: Path) -> None:
    final = made(
        root,
        ("vocabulary", Vocabulary()),
        ("export", Export()),
        ("embeddings", Embeddings()),
        ("half", Half()),
    )
    assert final.facts["precision"] == "fp16"
    assert np.isfinite(logits(final)).all()
