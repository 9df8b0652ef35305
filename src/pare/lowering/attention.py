"""Attention as one `MultiHeadAttention` node in the exported graph, for every encoder family at once.

transformers lets a model's attention be swapped by name. Ours computes what SDPA computes and, when traced
for ONNX, leaves a single node with the plain padding mask, where the eager code leaves some thirty.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

NAME = "pare_single_node"


class SingleNodeAttention(torch.autograd.Function):
    """query, key, value: (texts, heads, tokens, head size); mask: (texts, tokens), 1 for real tokens."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int, scale: float
    ) -> Tensor:
        allowed = (mask != 0)[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, scale=scale)
        return mixed.transpose(1, 2)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, mask: Any, heads: int, scale: float) -> Any:
        def joined(x: Any) -> Any:  # (texts, heads, tokens, size) -> (texts, tokens, heads * size)
            by_token = g.op("Transpose", x, perm_i=[0, 2, 1, 3])
            return g.op("Reshape", by_token, g.op("Constant", value_t=torch.tensor([0, 0, -1])))

        no_bias = g.op("Constant", value_t=torch.zeros(0))  # `simplify` makes it an absent input
        padding = g.op("Cast", mask, to_i=6)
        mixed = g.op(
            "com.microsoft::MultiHeadAttention",
            *(joined(query), joined(key), joined(value), no_bias, padding),
            num_heads_i=heads,
            scale_f=scale,
        )
        return g.op("Reshape", mixed, g.op("Constant", value_t=torch.tensor([0, 0, heads, -1])))


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    **rest: Any,
) -> tuple[Tensor, None]:
    return SingleNodeAttention.apply(query, key, value, attention_mask, int(query.shape[1]), scaling), None  # type: ignore[no-untyped-call]


def keep_padding_mask(*args: Any, attention_mask: Tensor, **rest: Any) -> Tensor:
    return attention_mask


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, keep_padding_mask)


@contextmanager
def attention(encoder: PreTrainedModel, implementation: str) -> Iterator[None]:
    """The encoder with another attention implementation, for a while."""
    before = encoder.config._attn_implementation
    encoder.set_attn_implementation(implementation)
    try:
        yield
    finally:
        encoder.set_attn_implementation(before)
