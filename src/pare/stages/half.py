"""Half precision, with layers fused by ONNX Runtime's transformer optimizer.

Half the size, and on GPUs faster; CPUs mostly compute FP16 in FP32 with conversions around it and gain
nothing. What is numerically sensitive stays FP32, and so do the graph's inputs and outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pare.checkpoint import Checkpoint, Format
from pare.lowering.half import Half as Precision
from pare.lowering.half import fused, to_half
from pare.runtimes.session import PACKAGES
from pare.stages.graphs import open_graph, write_graph
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Half(Stage):
    """FP16 or BF16 weights and arithmetic.

    fuse: let the optimizer fuse layers first. keep_float: kinds of node that stay FP32.
    """

    precision: Precision = "fp16"
    fuse: bool = True
    keep_float: tuple[str, ...] = ("Softmax", "LayerNormalization", "ReduceMean", "Pow", "Sqrt", "Erf")

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    takes: ClassVar[tuple[str, ...]] = ("fp32",)
    packages: ClassVar[tuple[str, ...]] = ("onnx", *PACKAGES["onnxruntime"])

    @property
    def devices(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on a field
        """ONNX Runtime has no BF16 kernels for CPUs."""
        return ("cpu", "cuda") if self.precision == "fp16" else ("cuda",)

    @property
    def standard(self) -> bool:  # type: ignore[override]
        return not self.fuse

    @property
    def computes(self) -> str:  # type: ignore[override]
        return self.precision

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        model = open_graph(source)
        nodes: dict[str, int] = {}
        if self.fuse:
            shape = source.facts["shape"]
            model, nodes = fused(model, shape["heads"], shape["hidden"])
        half = to_half(model, self.precision, self.keep_float)
        write_graph(context.output, half, source, {"precision": self.precision, "fused_nodes": nodes})
