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

from pare.encoders.rotary import RotaryPositions, heads_joined

NAME = "pare_single_node"
FAR = -1e4  # what ONNX Runtime adds to the score of padding; FP16 can hold it


class SingleNodeAttention(torch.autograd.Function):
    """query, key, value: (texts, heads, tokens, head size); mask: (texts, tokens), 1 for real tokens.

    bias: (1, 1, tokens, tokens), added to the scores; None for layers in which all tokens see each other.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor,
        bias: Tensor | None,
        heads: int,
        scale: float,
    ) -> Tensor:
        added = torch.where(mask[:, None, None, :] != 0, 0.0, FAR)
        if bias is not None:
            added = added + bias
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=scale)
        return mixed.transpose(1, 2)

    @staticmethod
    def symbolic(
        g: Any, query: Any, key: Any, value: Any, mask: Any, bias: Any, heads: int, scale: float
    ) -> Any:
        no_bias = g.op("Constant", value_t=torch.zeros(0))  # `simplify` makes it an absent input
        padding = g.op("Cast", mask, to_i=6)
        mixed = g.op(
            "com.microsoft::MultiHeadAttention",
            *(heads_joined(g, x) for x in (query, key, value)),
            *(no_bias, padding),
            *(() if bias is None else (bias,)),
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
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    size = window_of(module, sliding_window)
    bias = None if size is None else torch.where(near(attention_mask, size), 0.0, FAR)[None, None]
    heads = int(query.shape[1])
    mixed = SingleNodeAttention.apply(query, key, value, attention_mask, bias, heads, scaling)  # type: ignore[no-untyped-call]
    return mixed, None


def window_of(module: torch.nn.Module, sliding_window: int | None) -> int | None:
    """How far tokens of this layer see; None where that is as far as any text goes."""
    longest = int(getattr(module.config, "max_position_embeddings", 0))
    return None if sliding_window is None or 0 < longest <= sliding_window else sliding_window


def near(mask: Tensor, size: int) -> Tensor:
    """(tokens, tokens): which lie fewer than `size` places apart. mask: (…, tokens)."""
    places = torch.arange(mask.shape[-1], device=mask.device)
    return (places[:, None] - places[None, :]).abs() < size


def keep_padding_mask(*args: Any, attention_mask: Tensor, **rest: Any) -> Tensor:
    return attention_mask


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, keep_padding_mask)


@contextmanager
def attention(encoder: PreTrainedModel, implementation: str) -> Iterator[None]:
    """The encoder with another attention implementation, for a while."""
    before = encoder.config._attn_implementation
    rotations = [module for module in encoder.modules() if isinstance(module, RotaryPositions)]
    encoder.set_attn_implementation(implementation)
    for rotation in rotations:
        rotation.as_one_node = implementation == NAME
    try:
        yield
    finally:
        encoder.set_attn_implementation(before)
        for rotation in rotations:
            rotation.as_one_node = False
