"""Dynamic INT8: weights beforehand, the range of each activation anew for every batch; no calibration.

The same integer kernels as static INT8, see `pare.lowering.integer`. Each tensor is quantized once for all
linear maps that read it, as query, key and value do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pare.checkpoint import Checkpoint, Format
from pare.errors import StageFailed
from pare.lowering.integer import Weights, linear_maps, matching, to_integer
from pare.runtimes.session import PACKAGES
from pare.stages.graphs import open_graph, write_graph
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Dynamic(Stage):
    """INT8 linear maps whose input ranges are measured while the graph runs, and an INT8 embedding table.

    The range is that of the whole batch, padding included: what a text is answered can depend, by a
    rounding, on its neighbours. weight_bits: narrows the weights' range; the file does not shrink.
    keep_float: patterns of linear maps to leave alone.
    """

    weights: Weights = "channel_wise_abs_max"
    weight_bits: int = 8
    embeddings: bool = True
    keep_float: tuple[str, ...] = ()

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)  # the CUDA provider lacks these kernels
    standard: ClassVar[bool] = False
    computes: ClassVar[str | None] = "int8"
    takes: ClassVar[tuple[str, ...]] = ("fp32", "int8")
    packages: ClassVar[tuple[str, ...]] = ("onnx", *PACKAGES["onnxruntime"])

    def __post_init__(self) -> None:
        if not 4 <= self.weight_bits <= 8:
            raise ValueError(f"weight_bits={self.weight_bits}: must be in 4…8")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        model = open_graph(source)
        maps = linear_maps(model)
        keep_float = matching([m.name for m in maps], self.keep_float)
        if len(keep_float) == len(maps):
            raise StageFailed("dynamic: the graph has no linear map to quantize (already integer?)")
        integer = to_integer(model, None, keep_float, self.weight_bits, self.embeddings, self.weights)
        facts = {"precision": "int8", "integer_linear_maps": [integer, len(maps)]}
        write_graph(context.output, model, source, facts)
