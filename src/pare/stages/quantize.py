"""Static post-training INT8: activation ranges from training texts, weights per channel (Jacob et al., 2018).

The graph is lowered to integer kernels that the runtime has; see `pare.lowering.integer`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from random import Random
from typing import ClassVar

import onnx

from pare.checkpoint import ONNX_MODEL, TOKENIZER, Checkpoint, Format, write_record
from pare.errors import StageFailed
from pare.lowering.calibration import Observer, activation_ranges
from pare.lowering.graph import save
from pare.lowering.integer import linear_maps, to_integer
from pare.stages.networks import open_text_encoder
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Quantize(Stage):
    """INT8 linear maps and, with `embeddings`, an INT8 embedding table.

    weight_bits: 7 avoids saturation on x86 without VNNI. keep_float: patterns of linear maps to leave alone.
    """

    activations: Observer = "min_max"
    calibration_rows: int = 256
    weight_bits: int = 8
    embeddings: bool = True
    keep_float: tuple[str, ...] = ()
    threads: int = 2

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)  # the CUDA provider lacks these kernels
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime-gpu", "tokenizers")

    def __post_init__(self) -> None:
        if self.calibration_rows < 1 or self.threads < 1:
            raise ValueError(
                f"calibration_rows={self.calibration_rows}, threads={self.threads}: must be at least 1"
            )
        if not 4 <= self.weight_bits <= 8:
            raise ValueError(f"weight_bits={self.weight_bits}: must be in 4…8")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        model = onnx.load(str(source.path / ONNX_MODEL))
        maps = linear_maps(model)
        keep_float = {m.name for m in maps if any(fnmatch(m.name, p) for p in self.keep_float)}
        observed = sorted({m.input for m in maps if m.name not in keep_float})
        if not observed:
            raise StageFailed("quantize: the graph has no linear map to quantize (already integer?)")
        texts = list(context.task.texts("train"))
        Random(context.seed).shuffle(texts)
        encoded = open_text_encoder(source).encode(texts[: self.calibration_rows])
        with context.progress("calibrating", len(encoded)) as advance:
            ids = [e.ids for e in encoded]
            ranges = activation_ranges(model, observed, ids, self.activations, self.threads, advance)
        integer = to_integer(model, ranges, keep_float, self.weight_bits, self.embeddings)
        save(model, context.output / ONNX_MODEL)
        write_record(
            context.output,
            format="onnx",
            outputs=source.outputs,
            tokenizer=(source.path / TOKENIZER).read_text(encoding="utf-8"),
            max_length=source.max_length,
            pad_id=source.pad_id,
            parameters=source.parameters,
            facts={**source.facts, "precision": "int8", "integer_linear_maps": [integer, len(maps)]},
        )
