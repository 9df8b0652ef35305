"""What OpenVINO ran: the kernels of the graph it compiled, with the shapes they had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pare.runtimes import openvino_session
from pare.runtimes.nodes import Node, product, told

PRODUCTS = {"FullyConnected", "MatMul"}
ATTENTIONS = {"ScaledDotProductAttention"}
#: how the names of kernels end, such as brgemm_avx512_I8
ENDINGS = {
    "I8": "int8",
    "U8": "int8",
    "FP32": "fp32",
    "F32": "fp32",
    "FP16": "fp16",
    "F16": "fp16",
    "BF16": "bf16",
}
PROVIDER = "CPU"


@dataclass(frozen=True)
class Ran:
    """One node of the profile. kind: what it computes. kernel: with what."""

    name: str
    kind: str
    kernel: str


class Session(openvino_session.Session):
    """Tells what ran."""

    def evidence(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """From a second compilation, which counts: this one is timed."""
        counted = openvino_session.Session(self.file, self.device, self.threads, {"PERF_COUNT": True})
        counted.run(ids, mask)
        profile = [
            Ran(entry.node_name, entry.node_type, entry.exec_type)
            for entry in counted.request.profiling_info
            if str(entry.status).endswith("EXECUTED")
        ]
        found = nodes(profile, shapes(counted.compiled.get_runtime_model()))
        counted.close()
        return told(found, {PROVIDER}, self.build_s)


def shapes(model: Any) -> dict[str, tuple[list[list[int]], list[int]]]:
    """Of the inputs and the output of each node of a compiled graph, as far as all sides are known."""
    found = {}
    for node in model.get_ordered_ops():
        sides = [value.get_partial_shape() for value in (*node.inputs(), *node.outputs()[:1])]
        if node.outputs() and all(shape.is_static for shape in sides):
            inputs = [list(shape.to_shape()) for shape in sides[:-1]]
            found[str(node.get_friendly_name())] = (inputs, list(sides[-1].to_shape()))
    return found


def nodes(profile: Sequence[Ran], shapes: Mapping[str, tuple[list[list[int]], list[int]]]) -> list[Node]:
    """What was computed; parameters, results and constants are no work."""
    return [
        Node(
            ran.name,
            f"{ran.kind} {ran.kernel}",
            PROVIDER,
            precision(ran) if ran.kind in PRODUCTS | ATTENTIONS else None,
            work(ran.kind, *shapes[ran.name]) if ran.name in shapes else None,
        )
        for ran in profile
        if ran.kind not in ("Parameter", "Result", "Const", "Constant")
    ]


def precision(ran: Ran) -> str:
    ending = ran.kernel.rpartition("_")[2].upper()
    return ENDINGS.get(ending, ending.lower())


def work(kind: str, inputs: list[list[int]], output: list[int]) -> int | None:
    """Multiply-accumulates."""
    if not inputs or not inputs[0] or not output:
        return None
    if kind not in ATTENTIONS:
        return product(output, inputs[0][-1])
    queries, keys = inputs[0], inputs[1]
    return 2 * product([*queries[:-1], keys[-2]], queries[-1])
