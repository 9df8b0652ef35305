"""What ONNX Runtime ran: its profiler's events, read node by node."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pare.runtimes import onnx_session
from pare.runtimes.nodes import Node, dimensions, product, told

#: nodes that multiply matrices of values that both may be activations, or by a weight
PRODUCTS = {
    "MatMul", "Gemm", "FusedMatMul", "FusedGemm", "GemmFastGelu", "MatMulInteger", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "TransposeMatMul", "GemmFloat8",
}  # fmt: skip
#: nodes that hold all of attention
ATTENTIONS = {"Attention", "MultiHeadAttention", "PackedAttention", "PackedMultiHeadAttention", "QAttention"}
#: kernels that quantize their float input themselves
QUANTIZES_ITSELF = {"DynamicQuantizeMatMul"}
#: projections inside, besides the products of queries, keys and values
WITH_PROJECTIONS = {"Attention", "PackedAttention", "QAttention"}

PRECISIONS = {
    "float": "fp32", "float16": "fp16", "bfloat16": "bf16", "double": "fp64", "uint8": "int8", "int8": "int8",
    "float8e4m3fn": "fp8", "float8e5m2": "fp8",
}  # fmt: skip


class Session(onnx_session.Session):
    """Tells what ran."""

    def evidence(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """From a second session, which profiles: this one is timed."""
        with TemporaryDirectory() as folder:
            options = {**self.options, "profile": f"{folder}/profile"}
            profiled = onnx_session.Session(self.file, self.device, self.threads, options)
            profiled.run(ids, mask)
            events = json.loads(Path(profiled.session.end_profiling()).read_text(encoding="utf-8"))
            profiled.close()
        return told(nodes(events), {self.provider}, self.build_s)


def nodes(events: Iterable[Mapping[str, Any]]) -> list[Node]:
    """Each node once, however often it ran."""
    found: dict[tuple[str, str], Node] = {}
    for event in events:
        if event.get("cat") != "Node" or not str(event["name"]).endswith("_kernel_time"):
            continue
        name = str(event["name"]).removesuffix("_kernel_time")
        key = (name, str(event["args"].get("node_index")))
        if key not in found:
            found[key] = node(name, event["args"])
    return list(found.values())


def node(name: str, told: Mapping[str, Any]) -> Node:
    """One event of the profile. told: its arguments."""
    kernel, provider = str(told["op_name"]), str(told["provider"])
    if provider == "TensorrtExecutionProvider":
        return Node(name, kernel, provider, sealed=True)
    if kernel not in PRODUCTS | ATTENTIONS:
        return Node(name, kernel, provider)
    inputs = [dimensions(shape) for shape in told.get("input_type_shape", [])]
    outputs = [dimensions(shape)[1] for shape in told.get("output_type_shape", [])]
    if not inputs or not outputs:
        return Node(name, kernel, provider, "int8" if kernel in QUANTIZES_ITSELF else "unknown")
    precision = "int8" if kernel in QUANTIZES_ITSELF else PRECISIONS.get(inputs[0][0], inputs[0][0])
    return Node(name, kernel, provider, precision, work(kernel, [sides for _, sides in inputs], outputs[0]))


def work(kernel: str, inputs: list[list[int]], output: list[int]) -> int | None:
    """Multiply-accumulates; inputs that are prepacked weights are not among those of a profile."""
    first = inputs[0]
    if not first or not output:
        return None
    if kernel not in ATTENTIONS:
        return product(output, first[-1])
    if len(first) != 3:
        return None
    texts, tokens, width = first
    keys = inputs[1] if kernel == "MultiHeadAttention" and len(inputs) > 1 else first
    seen = keys[1] if len(keys) == 3 else tokens
    found = 2 * product([texts, tokens, seen], output[-1])
    if kernel in WITH_PROJECTIONS:
        found += 3 * product([texts, tokens, output[-1]], width)
    return found
