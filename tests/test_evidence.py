"""What ran is read from real profiles, and what did not run as asked is not called so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pare.errors import StageFailed
from pare.runtimes import onnx_evidence
from pare.runtimes.nodes import Node, told
from pare.runtimes.session import Runtime, session_class
from pare.stages.dynamic import Dynamic
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.nncf import Nncf
from pare.stages.quantize import Quantize
from pare.stages.stage import Stage
from pare.targets.evidence import ran_as
from pare.targets.hardware import Hardware
from small import FINETUNE, HARDWARE, OPENVINO, TORCH, ignore, pipeline

CUDA, CPU, TENSORRT = (f"{name}ExecutionProvider" for name in ("CUDA", "CPU", "Tensorrt"))
IDS = np.ones((2, 10), dtype=np.int64)
CARD = Hardware(name="card", device="cuda")
ENGINE = Hardware(name="engine", device="cuda", providers=("TensorrtExecutionProvider",))


def evidence(root: Path, *strategy: tuple[str, Stage], runtime: Runtime = "onnxruntime") -> dict[str, Any]:
    hardware = OPENVINO if runtime == "openvino" else HARDWARE
    file = pipeline(root, hardware=hardware).execute(FINETUNE, strategy, ignore).final.model_file
    session = session_class(runtime)(str(file))
    before = session.run(IDS, IDS)
    found = session.evidence(IDS, IDS)
    after = session.run(IDS, IDS)
    assert all((before[name] == after[name]).all() for name in before)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    session.close()
    return found


def test_a_float_graph_ran_in_float(root: Path) -> None:
    found = evidence(root, ("export", Export()))
    assert found["providers"] == {"CPUExecutionProvider": sum(found["kernels"].values())}
    assert found["kernels"]["MultiHeadAttention"] == 2
    assert (found["matmuls"], found["quantized_matmuls"], found["shares_of"]) == ({"fp32": 1.0}, 0.0, "work")
    assert (found["fell_back"], found["fell_back_count"]) == ([], 0)
    assert 0 < found["build_s"] < 10
    assert ran_as("fp32", HARDWARE, found) == "fp32"
    assert ran_as("int8", HARDWARE, found) == "fp32 (int8 asked)"


def test_integer_kernels_are_counted_by_their_work(root: Path) -> None:
    found = evidence(root, ("export", Export()), ("quantize", Quantize(calibration_rows=8)))
    assert found["kernels"]["MatMulIntegerToFloat"] == 14
    # 2 texts of 10 tokens through two layers of 64 and 128 wide, and two heads; attention itself stays float
    linear = 2 * 20 * (4 * 64 * 64 + 2 * 64 * 128)
    attention = 2 * 2 * 2 * 10 * 10 * 64
    assert linear / (linear + attention) < found["quantized_matmuls"] < 0.98
    assert ran_as("int8", HARDWARE, found) == "int8"


def test_dynamic_int8_is_int8(root: Path) -> None:
    assert ran_as("int8", HARDWARE, evidence(root, ("export", Export()), ("quantize", Dynamic()))) == "int8"


def test_what_onnx_runtime_makes_of_explicit_int8_is_told(root: Path) -> None:
    """It finds integer kernels for some of it."""
    found = evidence(
        root,
        ("export", Export(lowering="plain")),
        ("quantize", Quantize(calibration_rows=8, lowering="qdq")),
    )
    assert 0.1 < found["quantized_matmuls"] < 0.9
    assert found["kernels"]["MatMul"] > 0


def test_fp16_on_a_cpu_is_not_called_fp16(root: Path) -> None:
    found = evidence(root, ("export", Export()), ("half", Half()))
    assert ran_as("fp16", HARDWARE, found) == "fp32 (fp16 asked)"


@pytest.mark.parametrize("integer", [False, True])
def test_openvino_tells_its_kernels(root: Path, integer: bool) -> None:
    nncf = (("quantize", Nncf(calibration_rows=8)),) if integer else ()
    export = ("export", Export(format="openvino", lowering="plain"))
    found = evidence(root, export, *nncf, runtime="openvino")
    assert found["shares_of"] == "work"
    assert found["quantized_matmuls"] == (1.0 if integer else 0.0)
    assert any(kernel.startswith("FullyConnected") for kernel in found["kernels"])
    assert ran_as("int8", OPENVINO, found) == ("int8" if integer else "fp32 (int8 asked)")


def test_each_node_counts_once_however_often_it_ran(root: Path, tmp_path: Path) -> None:
    file = pipeline(root).execute(FINETUNE, (("export", Export()),), ignore).final.model_file
    session: Any = onnx_evidence.onnx_session.Session(str(file), options={"profile": f"{tmp_path}/p"})
    for _ in range(3):
        session.run(IDS, IDS)
    events = json.loads(Path(session.session.end_profiling()).read_text(encoding="utf-8"))
    found = onnx_evidence.nodes(events)
    assert len({node.name for node in found}) == len(found) == 48


def test_multiplications_on_another_device_are_a_failure() -> None:
    nodes = [
        Node("a", "MatMul", CUDA, "fp16", 900),
        Node("b", "MatMulIntegerToFloat", CPU, "int8", 100),
        Node("c", "Shape", CPU),
    ]
    found = told(nodes, {CUDA}, 0.0)
    assert found["fell_back"] == ["MatMulIntegerToFloat b", "Shape c"]
    wanted = (
        r"^measuring: hardware\.device=cuda was asked for, but of the matrix multiplications 10% on "
        r"CPUExecutionProvider ran \(2 nodes fell back, such as MatMulIntegerToFloat b, Shape c\)$"
    )
    with pytest.raises(StageFailed, match=wanted):
        ran_as("int8", CARD, found)


def test_small_nodes_may_stay_on_the_cpu() -> None:
    nodes = [
        Node("a", "MatMul", CUDA, "fp16", 9),
        Node("c", "Shape", CPU),
    ]
    found = told(nodes, {CUDA}, 0.0)
    assert ran_as("fp16", CARD, found) == "fp16"
    assert found["fell_back_count"] == 1


def test_shares_are_of_nodes_where_a_shape_is_not_known() -> None:
    nodes = [
        Node("a", "MatMul", "CPU", "int8", 9),
        Node("b", "MatMul", "CPU", "fp32"),
        Node("c", "Add", "CPU"),
    ]
    found = told(nodes, {"CPU"}, 0.0)
    assert (found["quantized_matmuls"], found["shares_of"]) == (0.5, "nodes")


def test_little_int8_is_called_by_what_there_is_more_of() -> None:
    nodes = [Node("a", "MatMul", "CPU", "int8", 20), Node("b", "MatMul", "CPU", "fp32", 80)]
    assert ran_as("int8", OPENVINO, told(nodes, {"CPU"}, 0.0)) == "fp32 (int8 asked, in 20% of the work)"


def test_an_engine_that_shows_nothing_is_not_taken_at_its_word() -> None:
    ran = {"op_name": "TRTKernel_0", "provider": TENSORRT, "node_index": "0"}
    event = {"cat": "Node", "name": "TRT_0_kernel_time", "args": ran}
    found = told(onnx_evidence.nodes([event]), {TENSORRT}, 31.5)
    assert (found["quantized_matmuls"], found["shares_of"], found["build_s"]) == (None, None, 31.5)
    assert ran_as("int8", ENGINE, found) == "int8 (asked; the engine does not show its kernels)"


def test_what_fell_out_of_an_engine_is_named() -> None:
    nodes = [Node("TRT_0", "TRTKernel", TENSORRT, sealed=True), Node("a", "MatMul", CUDA, "fp32", 900)]
    found = told(nodes, {TENSORRT}, 31.5)
    assert ran_as("int8", ENGINE, found) == "int8 (asked; outside the engine: fp32)"
    assert ran_as("fp32", ENGINE, found) == "fp32 (asked; outside the engine: fp32)"


def test_an_engine_that_took_nothing_is_not_called_one() -> None:
    nodes = [Node("a", "MatMul", CUDA, "fp16", 9), Node("b", "Softmax", CUDA), Node("c", "Shape", CPU)]
    found = told(nodes, {TENSORRT}, 0.0)
    instead = "TensorrtExecutionProvider asked, CUDAExecutionProvider ran"
    assert ran_as("fp16", ENGINE, found) == f"fp16 ({instead})"
    assert ran_as("int8", ENGINE, found) == f"fp16 (int8 asked; {instead})"
    assert ran_as("fp16", CARD, found) == "fp16"


@pytest.mark.parametrize(
    ("how", "graphs", "name"),
    [("compile", 0, "bf16 (compile asked, eager ran)"), ("compile", 1, "bf16"), ("eager", 0, "bf16")],
)
def test_what_was_not_compiled_is_not_called_compiled(how: str, graphs: int, name: str) -> None:
    compiled = {"how": how, "graphs": graphs, "breaks": 0}
    found = {**told([Node("a", "mm", "cpu", "bf16", 9)], {"cpu"}, 0.0), "compiled": compiled}
    assert ran_as("bf16", TORCH, found) == name


def test_more_than_twenty_fallen_nodes_are_counted_not_named() -> None:
    found = told([Node(str(i), "Shape", "CPU") for i in range(50)], {"CUDA"}, 0.0)
    assert (len(found["fell_back"]), found["fell_back_count"]) == (20, 50)
