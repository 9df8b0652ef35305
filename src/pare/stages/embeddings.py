"""Weight-only INT8 of the embedding tables, after or before any other quantization.

A row is looked up as bytes and scaled afterwards: the tables take a quarter of their FP32 size, nothing else
changes. A scale for each row follows rare and frequent tokens alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pare.checkpoint import Checkpoint, Format
from pare.errors import StageFailed
from pare.lowering.tables import quantize_tables
from pare.runtimes.session import PACKAGES
from pare.stages.graphs import open_graph, write_graph
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Embeddings(Stage):
    """Stores embedding tables, those of tokens and of positions, as INT8.

    scales: one for each row, or one for the whole table as `quantize` with `embeddings` has it.
    smallest: tables with fewer values stay as they are.
    """

    scales: Literal["row", "table"] = "row"
    smallest: int = 4096

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", *PACKAGES["onnxruntime"])

    def __post_init__(self) -> None:
        if self.smallest < 1:
            raise ValueError(f"smallest={self.smallest}: must be at least 1")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        model = open_graph(inputs["model"])
        done = quantize_tables(model, self.scales, self.smallest)
        if not done:
            raise StageFailed(
                f"embeddings: the graph has no float table of {self.smallest} values or more (already INT8?)"
            )
        write_graph(context.output, model, inputs["model"], {"int8_tables": done})
