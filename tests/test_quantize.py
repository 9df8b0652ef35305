"""INT8 graphs: what stands in them, how far their answers are from the float graph's, and what is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from pare.answering import padded
from pare.build import build
from pare.checkpoint import ONNX_MODEL, Checkpoint
from pare.errors import StageFailed
from pare.lowering.graph import MICROSOFT, constants
from pare.lowering.integer import linear_maps, quantize_weight
from pare.stages.dynamic import Dynamic
from pare.stages.export import Export
from pare.stages.networks import open_text_encoder
from pare.stages.quantize import Quantize
from pare.stages.stage import Stage
from pare.strategy import problems
from pare.targets.hardware import Hardware
from pare.targets.scoring import runner
from small import FINETUNE, HARDWARE, TASK, ignore, pipeline

MAPS = 2 * 6 + 2  # query, key, value and three more in each layer, and two heads
INPUTS = 2 * 4 + 2  # query, key and value read the same tensor


def exported(root: Path, lowering: str = "fused") -> Checkpoint:
    strategy = (("export", Export(lowering=lowering)),)  # type: ignore[arg-type]
    return pipeline(root).execute(FINETUNE, strategy, ignore).final


def quantized(root: Path, stage: Stage, lowering: str = "fused") -> Checkpoint:
    strategy = (("export", Export(lowering=lowering)), ("quantize", stage))  # type: ignore[arg-type]
    return pipeline(root).execute(FINETUNE, strategy, ignore).final


def graph(checkpoint: Checkpoint) -> ModelProto:
    return onnx.load(str(checkpoint.path / ONNX_MODEL))


def nodes(model: ModelProto, *kinds: str) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type in kinds]


def logits(checkpoint: Checkpoint) -> np.ndarray:
    rows = open_text_encoder(checkpoint).encode(TASK.texts("dev")[:40])
    ids, mask = padded([row.ids for row in rows], checkpoint.pad_id)
    found: np.ndarray = runner(checkpoint, HARDWARE)(ids, mask)["slots"][mask.astype(bool)]
    return found


def distance(one: Checkpoint, other: Checkpoint) -> float:
    """The root mean square of the difference, as a share of the logits' own spread."""
    a, b = logits(one), logits(other)
    return float(np.sqrt(np.mean((a - b) ** 2)) / a.std())


@pytest.mark.parametrize("lowering", ["integer", "qdq"])
@pytest.mark.parametrize("activations", ["min_max", "abs_max", "avg", "percentile", "entropy", "mse"])
def test_every_rule_for_activations_answers_as_the_float_graph(
    root: Path, activations: str, lowering: str
) -> None:
    stage = Quantize(activations=activations, lowering=lowering, calibration_rows=32)  # type: ignore[arg-type]
    found = quantized(root, stage)
    assert distance(exported(root), found) < 0.1
    assert found.facts["precision"] == "int8"


def test_abs_max_is_symmetric_around_zero(root: Path) -> None:
    model = graph(quantized(root, Quantize(activations="abs_max", calibration_rows=8)))
    fixed = constants(model)
    assert {int(fixed[node.input[2]]) for node in nodes(model, "QuantizeLinear")} <= {127, 128}


def test_a_lower_percentile_cuts_more_off(root: Path) -> None:
    def scales(percentile: float) -> np.ndarray:
        stage = Quantize(activations="percentile", percentile=percentile, calibration_rows=8)
        model = graph(quantized(root, stage))
        fixed = constants(model)
        return np.array([fixed[node.input[1]] for node in nodes(model, "QuantizeLinear")])

    assert (scales(99.0) < scales(99.99)).all()


def test_one_scale_for_a_whole_weight_runs_and_takes_less_room(root: Path) -> None:
    columns = quantized(root, Quantize(calibration_rows=32))
    whole = quantized(root, Quantize(calibration_rows=32, weights="abs_max"))
    fixed = constants(graph(whole))
    kernels = nodes(graph(whole), "MatMulIntegerToFloat")
    assert len(kernels) == MAPS
    assert {fixed[node.input[3]].shape for node in kernels} == {()}
    assert whole.model_bytes() < columns.model_bytes()
    assert distance(exported(root), whole) < 0.1


def test_a_scale_for_each_column_rounds_no_worse_than_one_for_all() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32) * np.arange(1, 9)
    gaps = []
    for weights in ("channel_wise_abs_max", "abs_max"):
        integer, scale = quantize_weight(weight, 8, weights)  # type: ignore[arg-type]
        gaps.append(np.abs(integer * scale - weight).mean(axis=0))
    assert (gaps[0] <= gaps[1]).all()
    assert gaps[0][0] < 0.5 * gaps[1][0]


def test_fewer_bits_narrow_the_range_and_not_the_file(root: Path) -> None:
    eight, five = (quantized(root, Quantize(calibration_rows=8, weight_bits=bits)) for bits in (8, 5))
    assert five.model_bytes() == eight.model_bytes()
    fixed = constants(graph(five))
    weights = [fixed[node.input[1]] for node in nodes(graph(five), "MatMulIntegerToFloat")]
    assert {int(np.abs(w).max()) for w in weights} == {15}


@pytest.mark.parametrize("lowering", ["fused", "plain"])
def test_dynamic_quantizes_each_input_once_and_needs_no_ranges(root: Path, lowering: str) -> None:
    found = quantized(root, Dynamic(), lowering)
    model = graph(found)
    assert len(nodes(model, "MatMulIntegerToFloat")) == MAPS
    assert len(nodes(model, "DynamicQuantizeLinear")) == INPUTS
    assert nodes(model, "QuantizeLinear") == []
    assert linear_maps(model) == []
    assert found.model_bytes() < 0.35 * exported(root, lowering).model_bytes()
    assert distance(exported(root, lowering), found) < 0.1
    assert (found.facts["precision"], found.facts["integer_linear_maps"]) == ("int8", [MAPS, MAPS])


def test_the_plain_graph_takes_integer_kernels_too(root: Path) -> None:
    found = quantized(root, Quantize(calibration_rows=32), "plain")
    assert len(nodes(graph(found), "MatMulIntegerToFloat")) == MAPS
    assert distance(exported(root, "plain"), found) < 0.1


@pytest.mark.parametrize("weights", ["channel_wise_abs_max", "abs_max"])
@pytest.mark.parametrize("lowering", ["fused", "plain"])
def test_explicit_int8_is_symmetric_and_stored_as_int8(root: Path, lowering: str, weights: str) -> None:
    stage = Quantize(lowering="qdq", weights=weights, calibration_rows=32)  # type: ignore[arg-type]
    found = quantized(root, stage, lowering)
    model = graph(found)
    fixed = constants(model)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    rounding = nodes(model, "QuantizeLinear", "DequantizeLinear")
    assert all((fixed[node.input[2]] == 0).all() for node in rounding)
    assert all(kinds[node.input[2]] == TensorProto.INT8 for node in rounding)
    made_by = {output: node for node in model.graph.node for output in node.output}
    matmuls = [m for m in nodes(model, "MatMul") if m.name.endswith(("dense/MatMul", "slots/MatMul"))]
    assert len(matmuls) == 2 * 3 + 1
    for matmul in matmuls:
        activation, weight = (made_by[name] for name in matmul.input)
        assert made_by[activation.input[0]].op_type == "QuantizeLinear"
        assert kinds[weight.input[0]] == TensorProto.INT8
        columns = fixed[weight.input[0]].shape[1]
        assert fixed[weight.input[1]].shape == ((columns,) if weights == "channel_wise_abs_max" else ())
        assert np.abs(fixed[weight.input[0]].astype(int)).max() == 127
    assert len(nodes(model, "QuantizeLinear")) == INPUTS
    assert found.model_bytes() < 0.36 * exported(root, lowering).model_bytes()
    assert distance(exported(root, lowering), found) < 0.1
    # only what every compiler reads, if attention was exported as such
    assert (MICROSOFT in {node.domain for node in model.graph.node}) == (lowering == "fused")


def test_explicit_int8_is_for_gpus_too_and_integer_kernels_are_not() -> None:
    cuda = Hardware(name="cuda", device="cuda")

    def found(stage: Stage) -> list[str]:
        return problems((("export", Export()), ("quantize", stage)), cuda)

    assert found(Quantize(lowering="qdq")) == []
    assert found(Dynamic()) == [
        "compression.quantize: what dynamic makes runs on cpu, not on hardware=cuda (cuda)"
    ]


@pytest.mark.parametrize(
    "stage", [Quantize(keep_float=("*/query/*", "*encodr*")), Dynamic(keep_float=("x",))]
)
def test_a_pattern_that_matches_nothing_is_refused(root: Path, stage: Stage) -> None:
    with pytest.raises(StageFailed) as caught:
        quantized(root, stage)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"keep_float: {stage.keep_float[-1]!r} matches no linear map; there are ")  # type: ignore[attr-defined]
    assert "/network/encoder/encoder/layer.*/attention/self/query/MatMul" in line
    assert line.count("query") == 1  # not once a layer


@pytest.mark.parametrize("stage", [Quantize(keep_float=("*",)), Dynamic(keep_float=("*",))])
def test_nothing_left_to_quantize_is_refused(root: Path, stage: Stage) -> None:
    with pytest.raises(StageFailed, match="no linear map to quantize"):
        quantized(root, stage)


def test_layers_stay_float_in_every_lowering(root: Path) -> None:
    keep = ("*layer.0/intermediate*", "*slots*")
    for stage in (
        Quantize(keep_float=keep, calibration_rows=8),
        Quantize(keep_float=keep, calibration_rows=8, lowering="qdq"),
        Dynamic(keep_float=keep),
    ):
        found = quantized(root, stage)
        assert [m.weight.shape for m in linear_maps(graph(found))] == [(64, 128), (64, 67)]
        assert found.facts["integer_linear_maps"] == [MAPS - 2, MAPS]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"percentile": 40}, "percentile=40.0: per cent of the values, in (50, 100]"),
        ({"weight_bits": 9}, "weight_bits=9: must be in 4…8"),
        ({"calibration_rows": 0}, "calibration_rows=0, threads=2: must be at least 1"),
        ({"activations": "kl"}, "activations: found 'kl'; one of min_max, abs_max, avg, "),
        ({"weights": "per_group"}, "weights: found 'per_group'; one of channel_wise_abs_max, abs_max"),
        ({"sampling": "best"}, "sampling: found 'best'; one of random, first, longest, stratified"),
        ({"lowering": "int4"}, "lowering: found 'int4'; one of integer, qdq"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_key(values: dict[str, object], problem: str) -> None:
    found: list[str] = []
    build({"_target_": "pare.stages.quantize.Quantize", **values}, "compression.quantize", found, Stage)
    assert len(found) == 1
    assert found[0].startswith(f"compression.quantize.{problem}")
