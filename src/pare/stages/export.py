"""Export: the one bridge from a network to an ONNX graph, checked against PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import onnxruntime
import torch

from pare.batches import Row, collate
from pare.checkpoint import ONNX_MODEL, TOKENIZER, Checkpoint, Format, write_record
from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.lowering.graph import save
from pare.lowering.onnx_export import Lowering, to_onnx
from pare.stages.networks import open_network, open_text_encoder, rows_of
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Export(Stage):
    """Writes the network as ONNX with free batch and length.

    lowering: "fused" leaves attention as one node; "plain" is what the exporter makes of it; "fastest" is the
      one of the two that measuring on the target shows to be faster.
    tolerance: how far a logit may be from PyTorch's.
    """

    lowering: Lowering | Literal["fastest"] = "fused"
    opset: int = 17
    tolerance: float = 1e-3

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "onnx", "onnxruntime-gpu")

    def __post_init__(self) -> None:
        if not 17 <= self.opset <= 20:
            raise ValueError(f"opset={self.opset}: must be in 17…20")
        if self.tolerance <= 0:
            raise ValueError(f"tolerance={self.tolerance}: must be above 0")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        if self.lowering == "fastest":
            raise StageFailed("export.lowering: fastest has to be measured first, which the pipeline does")
        source = inputs["model"]
        network, encoder = open_network(source), open_text_encoder(source)
        file = context.output / ONNX_MODEL
        save(to_onnx(network, self.lowering, self.opset), file)
        rows = rows_of(context.task, "train", encoder)[:16]
        difference = largest_difference(network, str(file), rows, encoder.pad_id)
        if difference > self.tolerance:
            raise StageFailed(
                f"export: the graph's logits differ from PyTorch's by {difference:.2g}, "
                f"more than tolerance={self.tolerance}"
            )
        write_record(
            context.output,
            format="onnx",
            outputs=network.outputs,
            tokenizer=(source.path / TOKENIZER).read_text(encoding="utf-8"),
            max_length=source.max_length,
            pad_id=source.pad_id,
            parameters=source.parameters,
            facts={**source.facts, "lowering": self.lowering, "largest_difference": difference},
        )


def largest_difference(network: Network, file: str, rows: list[Row], pad_id: int) -> float:
    """Between PyTorch's logits and the graph's on a padded batch, padding left out."""
    batch = collate(rows, network.outputs, pad_id, torch.device("cpu"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in network.outputs]
    feeds = {"input_ids": batch.ids.numpy(), "attention_mask": batch.mask.numpy()}
    found = dict(zip(names, session.run(names, feeds), strict=True))
    with torch.no_grad():
        wanted = network(batch.ids, batch.mask)
    worst = 0.0
    for output in network.outputs:
        gap = np.abs(found[output.name] - wanted[output.name].numpy())
        if output.scope == "token":
            gap = gap * feeds["attention_mask"][:, :, None]
        worst = max(worst, float(gap.max()))
    return worst
