"""How much arithmetic a text needs: the multiplications of an encoder's layers, counted from its shape."""

from collections.abc import Mapping, Sequence
from typing import Any


def flops_of(shape: Mapping[str, Any], tokens: int) -> float:
    """Of one text, padding not counted; two for each multiplication and its addition.

    Attention counts as if every token saw every other: for layers with windows that is too much where texts
    are longer than the window. The heads of the task are left out.
    """
    hidden, head_size = shape["hidden"], shape["head_size"]
    maps = 3 if shape["gated"] else 2
    total = 0
    for heads, neurons in zip(shape["heads"], shape["ffn"], strict=True):
        width = heads * head_size
        total += 2 * tokens * (4 * hidden * width + maps * hidden * neurons)  # the linear maps
        total += 2 * tokens * tokens * 2 * width  # scores, and values by scores
    return float(total)


def mean_flops(shape: Mapping[str, Any], lengths: Sequence[int]) -> float:
    """Of one text, over texts of these lengths."""
    return sum(flops_of(shape, tokens) for tokens in lengths) / len(lengths)
