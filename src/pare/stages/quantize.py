"""Static post-training INT8: activation ranges from training texts, weights per channel (Jacob et al., 2018).

Lowered to integer kernels that the runtime has, see `pare.lowering.integer`, or to explicit symmetric Q/DQ
for a compiler that finds its own, see `pare.lowering.explicit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pare.checkpoint import Checkpoint, Format
from pare.errors import StageFailed
from pare.lowering.calibration import Observer, Sampling, activation_ranges, sample
from pare.lowering.explicit import to_explicit
from pare.lowering.integer import Weights, linear_maps, matching, to_integer
from pare.runtimes.session import PACKAGES
from pare.stages.graphs import open_graph, write_graph
from pare.stages.networks import open_text_encoder
from pare.stages.stage import Context, Stage
from pare.tasks.example import lengths_of


@dataclass(frozen=True, kw_only=True)
class Quantize(Stage):
    """INT8 linear maps and, with `embeddings`, an INT8 embedding table: what pays in an encoder.

    lowering: "integer", the kernels of ONNX Runtime on a CPU, or "qdq", symmetric Q/DQ for TensorRT.
    percentile: for `activations: percentile`, the per cent of the values that is not cut off.
    sampling: which training texts to calibrate on: random, the first, the longest, or stratified, from the
      shortest to the longest at even steps; by characters, of a pair those of both texts.
    keep_float: patterns of linear maps to leave alone. keep_sensitive: and so many of those that a
    `sensitivity` stage before found the worst.
    weight_bits: 7 avoids saturation on x86 without VNNI. Fewer bits narrow the weights' range; each weight
    still takes a byte, so the file does not shrink.
    """

    lowering: Literal["integer", "qdq"] = "integer"
    activations: Observer = "min_max"
    percentile: float = 99.99
    calibration_rows: int = 256
    sampling: Sampling = "random"
    weights: Weights = "channel_wise_abs_max"
    weight_bits: int = 8
    embeddings: bool = True
    keep_float: tuple[str, ...] = ()
    keep_sensitive: int = 0
    threads: int = 2

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    computes: ClassVar[str | None] = "int8"
    takes: ClassVar[tuple[str, ...]] = ("fp32", "int8")
    runs_it: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("onnx", *PACKAGES["onnxruntime"], "tokenizers")

    def __post_init__(self) -> None:
        if self.calibration_rows < 1 or self.threads < 1:
            raise ValueError(
                f"calibration_rows={self.calibration_rows}, threads={self.threads}: must be at least 1"
            )
        if self.keep_sensitive < 0:
            raise ValueError(f"keep_sensitive={self.keep_sensitive}: cannot be negative")
        if not 4 <= self.weight_bits <= 8:
            raise ValueError(f"weight_bits={self.weight_bits}: must be in 4…8")
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile={self.percentile}: per cent of the values, in (50, 100]")

    @property
    def devices(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on a field only here
        """The CUDA provider lacks the integer kernels."""
        return ("cpu",) if self.lowering == "integer" else ("cpu", "cuda")

    @property
    def standard(self) -> bool:  # type: ignore[override]
        return self.lowering == "qdq"

    def sensitive(self, source: Checkpoint) -> list[str]:
        if not self.keep_sensitive:
            return []
        found = source.facts.get("found", {}).get("sensitivity")
        if found is None:
            raise StageFailed(
                "quantize.keep_sensitive: needs a sensitivity stage between export and quantize"
            )
        return [part["name"] for part in found["table"][: self.keep_sensitive]]

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        model = open_graph(source)
        maps = linear_maps(model)
        keep_float = matching([m.name for m in maps], (*self.keep_float, *self.sensitive(source)))
        observed = sorted({m.input for m in maps if m.name not in keep_float})
        if not observed:
            raise StageFailed("quantize: the graph has no linear map to quantize (already integer?)")
        texts = context.task.texts("train")
        rows = sample(lengths_of(texts), self.calibration_rows, self.sampling, context.seed)
        encoded = open_text_encoder(source).encode([texts[row] for row in rows])
        with context.progress("calibrating", len(encoded)) as advance:
            ranges = activation_ranges(
                model,
                observed,
                [e.ids for e in encoded],
                self.activations,
                self.threads,
                advance,
                percentile=self.percentile,
                symmetric=self.lowering == "qdq",
            )
        rewrite = to_integer if self.lowering == "integer" else to_explicit
        integer = rewrite(model, ranges, keep_float, self.weight_bits, self.embeddings, self.weights)
        facts = {"precision": "int8", "integer_linear_maps": [integer, len(maps)]}
        write_graph(context.output, model, source, facts)
