"""Export: the one bridge from a network to what a runtime runs, checked against PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal

import numpy as np
import torch

from pare.batches import Row, collate
from pare.checkpoint import ONNX_MODEL, OPENVINO_MODEL, PROGRAM, TOKENIZER, Checkpoint, Format, write_record
from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.lowering import openvino, torch_export
from pare.lowering.graph import save
from pare.lowering.onnx_export import Lowering, to_onnx
from pare.runtimes.session import PACKAGES, RUNTIMES, Session, session_class
from pare.stages.networks import open_network, open_text_encoder, some_rows
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Export(Stage):
    """Writes the network as a graph with free batch and length.

    format: ONNX, or what OpenVINO makes of it, or a program that PyTorch runs alone, each for its target.
    lowering: "fused" leaves attention as one node, and a program's query, key and value as one map; "plain"
      is what the exporter makes of it; "fastest" is the one of the two that measuring on the target shows to
      be faster.
    precision: of a program; graphs become FP16 or BF16 in a stage of their own.
    tolerance: how far a logit may be from PyTorch's in FP32.
    """

    format: Literal["onnx", "openvino", "program"] = "onnx"
    lowering: Lowering | Literal["fastest"] = "fused"
    opset: int = 17
    precision: torch_export.Precision = "fp32"
    tolerance: float = 1e-3

    accepts: ClassVar[Format | None] = "torch"

    def __post_init__(self) -> None:
        if not 17 <= self.opset <= 20:
            raise ValueError(f"opset={self.opset}: must be in 17…20")
        if self.tolerance <= 0:
            raise ValueError(f"tolerance={self.tolerance}: must be above 0")
        if self.precision != "fp32" and self.format != "program":
            raise ValueError(f"precision={self.precision}: of {self.format} is what a half stage is for")

    @property
    def produces(self) -> Format:  # type: ignore[override]  # depends on a field only here
        return self.format

    @property
    def standard(self) -> bool:  # type: ignore[override]
        return self.lowering == "plain"

    @property
    def computes(self) -> str | None:  # type: ignore[override]
        return None if self.precision == "fp32" else self.precision

    @property
    def packages(self) -> tuple[str, ...]:  # type: ignore[override]
        if self.format == "program":
            return ("torch", "transformers", "safetensors")
        return ("torch", "transformers", "onnx", *PACKAGES[RUNTIMES[self.format]])

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        if self.lowering == "fastest":
            raise StageFailed("export.lowering: fastest has to be measured first, which the pipeline does")
        source = inputs["model"]
        network, encoder = open_network(source), open_text_encoder(source)
        rows = some_rows(context.task, encoder, 16, context.seed)
        file = self.write(source, self.lowering, context.output)
        session = session_class(RUNTIMES[self.format])(str(file))
        difference = largest_difference(network, session, rows, encoder.pad_id)
        session.close()
        kind = "program" if self.format == "program" else "graph"
        if not isfinite(difference):
            raise StageFailed(f"export: the {kind}'s logits, or PyTorch's, are not finite on training texts")
        if difference > self.tolerance:
            raise StageFailed(
                f"export: the {kind}'s logits differ from PyTorch's by {difference:.2g}, "
                f"more than tolerance={self.tolerance}"
            )
        write_record(
            context.output,
            format=self.format,
            outputs=network.outputs,
            tokenizer=(source.path / TOKENIZER).read_text(encoding="utf-8"),
            max_length=source.max_length,
            pad_id=source.pad_id,
            parameters=source.parameters,
            facts={
                **source.facts,
                "lowering": self.lowering,
                "largest_difference": difference,
                **({"precision": self.precision} if self.format == "program" else {}),
            },
        )

    def write(self, source: Checkpoint, lowering: Lowering, folder: Path) -> Path:
        """The file that a runtime opens."""
        network = open_network(source)  # of its own: lowering may change it
        if self.format == "program":
            program = torch_export.to_program(network, lowering, self.precision)
            torch_export.save(program, network, self.precision, folder / PROGRAM)
            return folder / PROGRAM
        graph = to_onnx(network, lowering, self.opset)
        if self.format == "onnx":
            save(graph, folder / ONNX_MODEL)
            return folder / ONNX_MODEL
        with TemporaryDirectory() as elsewhere:
            save(graph, Path(elsewhere) / ONNX_MODEL)
            openvino.save(openvino.read(Path(elsewhere) / ONNX_MODEL), folder / OPENVINO_MODEL)
        return folder / OPENVINO_MODEL


def largest_difference(network: Network, session: Session, rows: Sequence[Row], pad_id: int) -> float:
    """Between PyTorch's logits and the graph's on a padded batch, padding left out; NaN where either is."""
    batch = collate(rows, network.outputs, pad_id, torch.device("cpu"))
    mask = batch.mask.numpy()
    found = session.run(batch.ids.numpy(), mask)
    with torch.no_grad():
        wanted = network(batch.ids, batch.mask)
    worst = []
    for output in network.outputs:
        gap = np.abs(found[output.name] - wanted[output.name].numpy())
        worst.append(np.where(mask[:, :, None], gap, 0).max() if output.scope == "token" else gap.max())
    return float(np.max(worst))
