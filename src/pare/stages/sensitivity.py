"""Sensitivity to INT8: each linear map, or layer, quantized alone, and how far the answers move.

Changes nothing: the table goes into `result.json` and into sensitivity.tsv, the worst first. A
`quantize` stage after it keeps the worst in float with `keep_sensitive`, and a bad INT8 score has a cause.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal

import numpy as np
import onnx
from onnx import ModelProto

from pare.answering import Logits, answers_of_logits, logits_of_run
from pare.checkpoint import ONNX_MODEL, Checkpoint, Format
from pare.errors import StageFailed
from pare.lowering.calibration import activation_ranges, sample
from pare.lowering.integer import linear_maps, to_integer
from pare.outputs import Output
from pare.runtimes.onnx_session import Session
from pare.runtimes.session import PACKAGES
from pare.stages.graphs import open_graph, write_graph
from pare.stages.networks import open_text_encoder
from pare.stages.stage import Context, Stage
from pare.tasks.example import Encoded, lengths_of

TABLE = "sensitivity.tsv"
TOLD = 5  # of the worst, in the terminal


@dataclass(frozen=True)
class Loss:
    """What one part costs when it alone is changed: KL of the answers, and points of the metric on dev."""

    name: str
    divergence: float
    drop: float


@dataclass(frozen=True, kw_only=True)
class Sensitivity(Stage):
    """Finds out which linear maps INT8 hurts most.

    by: each map, or all maps of a layer together. calibration_rows: training texts for the ranges.
    """

    by: Literal["map", "layer"] = "map"
    calibration_rows: int = 128
    threads: int = 2

    accepts: ClassVar[Format | None] = "onnx"
    produces: ClassVar[Format] = "onnx"
    takes: ClassVar[tuple[str, ...]] = ("fp32", "int8")
    runs_it: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("onnx", *PACKAGES["onnxruntime"], "tokenizers")

    def __post_init__(self) -> None:
        if self.calibration_rows < 1 or self.threads < 1:
            raise ValueError(
                f"calibration_rows={self.calibration_rows}, threads={self.threads}: must be at least 1"
            )

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source, task = inputs["model"], context.task
        encoder = open_text_encoder(source)
        model = open_graph(source)
        names = [m.name for m in linear_maps(model)]
        if not names:
            raise StageFailed("sensitivity: the graph has no float linear map (already integer?)")
        texts = task.texts("train")
        rows = sample(lengths_of(texts), self.calibration_rows, "random", context.seed)
        ids = [e.ids for e in encoder.encode([texts[row] for row in rows])]
        observed = sorted({m.input for m in linear_maps(model)})
        ranges = activation_ranges(model, observed, ids, "min_max", self.threads, lambda n, s: None)
        dev = task.texts("dev")
        encoded = encoder.encode(dev)

        def answered_by(file: Path) -> dict[int, Logits]:
            return dict(logits_of_run(Session(str(file), threads=self.threads).run, encoded, encoder.pad_id))

        def judged(found: Mapping[int, Logits]) -> float:
            answers = answers_of_logits(found.items(), source.outputs, dev, encoded)
            return task.score("dev", answers)[task.primary]

        with TemporaryDirectory() as folder:
            file = Path(folder) / ONNX_MODEL
            onnx.save(model, str(file))
            whole = answered_by(file)
            score = judged(whole)
            losses = []
            parts = groups(names, self.by)
            with context.progress("quantizing one by one", len(parts)) as advance:
                for part, members in parts.items():
                    alone = ModelProto()
                    alone.CopyFrom(model)
                    to_integer(alone, ranges, set(names) - set(members), 8, False)
                    onnx.save(alone, str(file))
                    found = answered_by(file)
                    gap = divergence(whole, found, source.outputs, encoded)
                    losses.append(Loss(part, gap, score - judged(found)))
                    advance(1, part)
        losses.sort(key=lambda loss: -loss.divergence)
        told = [
            f"{loss.name} alone in INT8: divergence {loss.divergence:.3g}, {100 * loss.drop:.2f} points lost"
            for loss in losses[:TOLD]
        ]
        table = {"told": told, "table": [asdict(loss) for loss in losses]}
        write_graph(context.output, model, source, {"found": {self.kind: table}})
        lines = [f"{loss.name}\t{loss.divergence:.6g}\t{100 * loss.drop:+.2f}\n" for loss in losses]
        text = "".join(["linear map\tdivergence\tpoints lost\n", *lines])
        (context.output / TABLE).write_text(text, encoding="utf-8")


def groups(names: Sequence[str], by: Literal["map", "layer"]) -> dict[str, list[str]]:
    """Maps by what they are named after: themselves, or the part of their name up to the layer's number."""
    found: dict[str, list[str]] = {}
    for name in names:
        layer = re.match(r".*?/layers?\.\d+/", name)
        found.setdefault(layer[0] + "*" if layer and by == "layer" else name, []).append(name)
    return found


def divergence(
    before: Mapping[int, Logits],
    after: Mapping[int, Logits],
    outputs: Sequence[Output],
    encoded: Sequence[Encoded],
) -> float:
    """KL of the second's answers from the first's, mean over texts, over tokens, and over heads.

    before, after: logits by the number of the text.
    """
    gaps: dict[str, list[np.ndarray]] = {output.name: [] for output in outputs}
    for start in range(0, len(encoded), 32):
        part = encoded[start : start + 32]
        for output in outputs:
            one, other = (values_of(found, output, start, part) for found in (before, after))
            gaps[output.name].append(kl(one, other, output.choice))
    return float(np.mean([np.concatenate(parts).mean(dtype=np.float64) for parts in gaps.values()]))


def values_of(found: Mapping[int, Logits], output: Output, start: int, part: Sequence[Encoded]) -> np.ndarray:
    """Logits of texts from `start` on: a row for each text, or for each of their tokens."""
    if output.scope == "text":
        return np.stack([found[start + i][output.name] for i in range(len(part))])
    return np.concatenate([found[start + i][output.name][: len(e.ids)] for i, e in enumerate(part)])


def kl(before: np.ndarray, after: np.ndarray, choice: Literal["one", "any"]) -> np.ndarray:
    """Of one softmax, or the sum over labels where each has a sigmoid of its own."""
    if choice == "any":  # a sigmoid is the softmax of a logit beside 0
        before, after = (np.stack([x, np.zeros_like(x)], -1) for x in (before, after))
    p, q = log_softmax(before), log_softmax(after)
    rows: np.ndarray = (np.exp(p) * (p - q)).sum(-1)
    return rows.sum(-1) if choice == "any" else rows


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found
