"""The graph's inputs in the form that the target wants: fixed shapes, 32-bit ids.

The last step, so that calibration and scoring before it see texts as they are. Compilers such as TensorRT and
mobile runtimes plan better for one shape; shorter texts are then padded, which the measuring counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pare.checkpoint import Checkpoint, Format
from pare.errors import StageFailed
from pare.lowering.graph import fix_shape, take_int32
from pare.stages.graphs import open_graph, write_graph
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Shape(Stage):
    """Fixes how many texts and tokens the graph takes at a time; null leaves them free."""

    batch: int | None = None
    length: int | None = None
    inputs: Literal["int64", "int32"] = "int64"

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx",)

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("length", 4)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}={value}: must be at least {least}")

    @property
    def fixed(self) -> bool:  # type: ignore[override]  # depends on fields
        return self.batch not in (None, 1) or self.length is not None or self.inputs == "int32"

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        if self.length is not None and self.length > source.max_length:
            raise StageFailed(
                f"shape.length: {self.length} asked for, the model reads at most {source.max_length} tokens"
            )
        model = open_graph(source)
        fix_shape(model, self.batch, self.length)
        if self.inputs == "int32":
            take_int32(model)
        facts = {"input_shape": [self.batch, self.length], "input_type": self.inputs}
        write_graph(context.output, model, source, facts, self.length)
