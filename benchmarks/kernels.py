"""Which kernels ONNX Runtime runs a graph in: its profiler's word, joined with the graph it made."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from peer_arms.timed_graph import Graph

#: kernels that multiply matrices: whether in integers
KERNELS = {
    "MatMulIntegerToFloat": True,
    "DynamicQuantizeMatMul": True,
    "MatMulInteger": True,
    "QLinearMatMul": True,
    "QGemm": True,
    "QAttention": True,
    "MatMul": False,
    "FusedMatMul": False,
    "MatMulNBits": False,
    "Gemm": False,
    "FusedGemm": False,
    "Attention": False,
}


@dataclass(frozen=True)
class Kernels:
    """Products with weights, in integers and in all; microseconds of a call by operator, largest first."""

    integer: int
    linear: int
    operators_us: dict[str, float]
    operators: dict[str, int]


def kernels(model: Path, ids: np.ndarray, mask: np.ndarray, calls: int = 20) -> Kernels:
    """QAttention and Attention are one product with weights each: query, key and value in one."""
    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        graph = Graph(model, 1, options)
        feed = graph.feed(ids, mask)
        for _ in range(calls + 2):
            graph.run(feed)
        events = json.loads(Path(graph.session.end_profiling()).read_text("utf-8"))
        weighted = with_weights(onnx.load(f"{folder}/optimized.onnx", load_external_data=False))
    spent: Counter[str] = Counter()
    count: Counter[str] = Counter()
    integer = linear = 0
    for event in events:
        if event["cat"] != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        operator, name = event["args"]["op_name"], event["name"].removesuffix("_kernel_time")
        spent[operator] += event["dur"]
        count[operator] += 1
        if operator in KERNELS and name in weighted:
            linear += 1
            integer += KERNELS[operator]
    runs = calls + 2
    return Kernels(
        integer=integer // runs,
        linear=linear // runs,
        operators_us={name: round(us / runs, 1) for name, us in spent.most_common()},
        operators={name: n // runs for name, n in count.most_common()},
    )


def with_weights(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that multiply by something fixed, dequantized or not."""
    fixed = {i.name for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("DequantizeLinear", "Transpose", "Cast") and node.input[0] in fixed:
            fixed.add(node.output[0])
    # an activation's scale and zero point are fixed too: only the two factors count
    factors = {"QLinearMatMul": (0, 3), "QGemm": (0, 3)}
    return {
        node.name
        for node in model.graph.node
        if node.op_type in KERNELS and any(node.input[i] in fixed for i in factors.get(node.op_type, (0, 1)))
    }
