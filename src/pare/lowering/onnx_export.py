"""One network -> one ONNX graph, plain or with attention as a single node."""

import io
import warnings
from typing import Literal

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.lowering.attention import NAME, attention
from pare.lowering.graph import MICROSOFT, simplify

Lowering = Literal["plain", "fused"]
LARGEST = 2**31  # bytes, of a message of protobuf, which a graph is


class AsTuple(nn.Module):
    """The exporter wants a tuple where the network answers with a mapping."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(input_ids, attention_mask).values())


def too_large(parameters: int) -> str | None:
    """Why no graph holds so many in FP32; None where one does."""
    if 4 * parameters <= LARGEST:
        return None
    return (
        f"{parameters / 1e6:.0f} million parameters, {4 * parameters / 1e9:.2f} GB in FP32, and an ONNX "
        f"graph holds {LARGEST / 1e9:.2f}; take hardware=torch, whose programs may be of any size"
    )


def to_onnx(network: Network, lowering: Lowering, opset: int) -> ModelProto:
    """Inputs input_ids and attention_mask, int64, (texts, tokens), both free; one output per head."""
    if why := too_large(network.parameter_count()):
        raise StageFailed(f"export: {why}")
    ids = torch.arange(16).remainder(int(network.encoder.config.vocab_size)).reshape(2, 8)
    axes = {name: {0: "texts", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    for output in network.outputs:
        axes[output.name] = {0: "texts", 1: "tokens"} if output.scope == "token" else {0: "texts"}
    buffer = io.BytesIO()
    # The TorchScript exporter: the dynamo one leaves graphs that quantization tools cannot read.
    with (
        attention(network.encoder, NAME if lowering == "fused" else "eager"),
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            AsTuple(network).eval(),  # or the exporter leaves the network in training mode
            (ids, torch.ones_like(ids)),
            buffer,  # type: ignore[arg-type]  # the TorchScript exporter takes one
            dynamo=False,
            opset_version=opset,
            input_names=["input_ids", "attention_mask"],
            output_names=[output.name for output in network.outputs],
            dynamic_axes=axes,
            custom_opsets={MICROSOFT: 1} if lowering == "fused" else None,
        )
    model = onnx.load_from_string(buffer.getvalue())
    if lowering == "fused":
        simplify(model)
    return model
