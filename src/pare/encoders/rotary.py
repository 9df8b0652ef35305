"""Positions as rotations of queries and keys, from a table of angles (RoFormer, Su et al., 2021).

A table where transformers computes angles anew for each batch: half precision would round large angles before
their cosine is taken, and a runtime would compute them at every call.
"""

from typing import Any

import torch
from torch import Tensor, nn


class Rotation(torch.autograd.Function):
    """One node of an exported graph. x: (texts, heads, tokens, size); tables: (positions, half that size)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosines: Tensor, sines: Tensor, heads: int) -> Tensor:
        return rotated(x, cosines, sines)

    @staticmethod
    def symbolic(g: Any, x: Any, cosines: Any, sines: Any, heads: int) -> Any:
        first = g.op("Constant", value_t=torch.tensor([0]))
        turned = g.op("com.microsoft::RotaryEmbedding", heads_joined(g, x), first, cosines, sines)
        apart = g.op("Reshape", turned, g.op("Constant", value_t=torch.tensor([0, 0, heads, -1])))
        return g.op("Transpose", apart, perm_i=[0, 2, 1, 3])


def heads_joined(g: Any, x: Any) -> Any:
    """In a graph, (texts, heads, tokens, size) -> (texts, tokens, heads * size)."""
    by_token = g.op("Transpose", x, perm_i=[0, 2, 1, 3])
    return g.op("Reshape", by_token, g.op("Constant", value_t=torch.tensor([0, 0, -1])))


class RotaryPositions(nn.Module):
    """Rotates queries and keys by their position in the text.

    as_one_node: leave a node of ONNX Runtime's own when the network is traced.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, cosines: Tensor, sines: Tensor) -> None:
        super().__init__()
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.as_one_node = False

    def forward(self, x: Tensor) -> Tensor:
        """x: (texts, heads, tokens, head size)."""
        if self.as_one_node:
            heads = int(x.shape[1])
            turned: Tensor = Rotation.apply(x, self.cosines, self.sines, heads)  # type: ignore[no-untyped-call]
            return turned
        return rotated(x, self.cosines, self.sines)

    def cut(self, positions: int) -> None:
        self.cosines, self.sines = self.cosines[:positions].clone(), self.sines[:positions].clone()


def rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Half the channels of each head are the cosine part, the other half the sine part.

    A roll and a sign where transformers slices and concatenates: the numbers are the same, and Torch-Pruning
    sees that no channel becomes another.
    """
    cos, sin = cosines[: x.shape[2]], sines[: x.shape[2]]
    cos, sin = torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)
    wide = x.float()
    return (wide * cos + wide.roll(x.shape[3] // 2, dims=3) * sin).to(x.dtype)
