"""What ran, node by node, whichever runtime ran it, and what is told of it."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: how many of the nodes that fell back are named
NAMED = 20


@dataclass(frozen=True)
class Node:
    """One node as it ran.

    provider: who ran it. precision: of the numbers that a matrix multiplication multiplies; None where it is
    none. work: its multiply-accumulates; None where its shapes are not known. sealed: an engine of many
    nodes that shows nothing of what is inside.
    """

    name: str
    kernel: str
    provider: str
    precision: str | None = None
    work: int | None = None
    sealed: bool = False


def product(output: Sequence[int], inner: int) -> int:
    """The work of a matrix multiplication. output: its shape. inner: the length that is summed over."""
    return math.prod(output) * inner


def told(nodes: Sequence[Node], wanted: Collection[str], build_s: float) -> dict[str, Any]:
    """The evidence as strict JSON. wanted: the providers that were asked for.

    `matmuls` and `matmuls_on` are shares of the matrix multiplications, by precision and by provider;
    `shares_of` tells what is shared out: the multiply-accumulates, or the nodes where a shape is not known.
    Where an engine shows nothing of what is inside, `matmuls_on` is of what others multiplied and `outside`
    has the precisions of that; all else is None.
    """
    fallen = [node for node in nodes if node.provider not in wanted]
    products = [node for node in nodes if node.precision is not None]
    sealed = any(node.sealed for node in nodes)
    by_work = all(node.work is not None for node in products)
    by_precision, by_provider = (shares(products, by_work, of) for of in ("precision", "provider"))
    return {
        "providers": dict(Counter(node.provider for node in nodes)),
        "fell_back": [f"{node.kernel} {node.name}" for node in fallen[:NAMED]],
        "fell_back_count": len(fallen),
        "kernels": dict(Counter(node.kernel for node in nodes)),
        "matmuls": None if sealed else by_precision,
        "matmuls_on": by_provider,
        "outside": sorted(by_precision) if sealed else [],
        "quantized_matmuls": None if sealed else by_precision.get("int8", 0.0),
        "shares_of": None if sealed else "work" if by_work else "nodes",
        "build_s": round(build_s, 3),
    }


def shares(nodes: Sequence[Node], by_work: bool, of: Literal["precision", "provider"]) -> dict[str, float]:
    """How the work, or the nodes, are shared out."""
    found: dict[str, float] = defaultdict(float)
    for node in nodes:
        found[str(getattr(node, of))] += (node.work or 0) if by_work else 1
    whole = sum(found.values())
    return {name: round(part / whole, 4) for name, part in found.items()} if whole else {}


def dimensions(shape: Mapping[str, Sequence[int]]) -> tuple[str, list[int]]:
    """The type and the sides of one entry of a profile's shapes, `{"float": [2, 8]}`."""
    ((kind, sides),) = shape.items()
    return kind, [int(side) for side in sides]
