"""Width pruning: whole attention heads and feed-forward neurons leave the network for good.

Torch-Pruning's dependency graph (Fang et al., 2023, arXiv:2301.12900) finds what has to go with them;
`pare.pruning` says what matters and how many stay. It trains nothing: a `distill` stage after it recovers the
loss, and after a `supernet`, whose heads and neurons are sorted, there is little to recover.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from pare.batches import Row
from pare.checkpoint import Checkpoint, Format
from pare.encoders.family import Block
from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.importance import Importance, importance_of
from pare.pruning import Kept, by_global_rank, flops_each, kept_count, parameters_each, shrink, uniform
from pare.reconstruction import reconstruct
from pare.stages.networks import (
    open_network,
    open_text_encoder,
    some_rows,
    supernet_widths,
    tune_thresholds,
    write_network,
)
from pare.stages.stage import Context, Stage

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Width(Stage):
    """Keeps the most important heads and neurons.

    keep: the share of both. heads, ffn: their own share, or a number a layer (`heads: 8`, `ffn: 2048`).
    allocation: uniform keeps as many in every layer; global ranks those of all layers together and keeps the
      best for their cost until `keep` of the budget, parameters or FLOPs of the layers, is spent.
    importance: order keeps the first ones, after a supernet, which sorts and trains them.
    rows: training texts from which gradients are taken. multiple_of: neurons stay in multiples of this.
    reconstruct: what stays makes up for what left, as far as it can on the same texts.
    """

    keep: float = 0.5
    heads: int | float | None = None
    ffn: int | float | None = None
    importance: Importance = "taylor"
    allocation: Literal["uniform", "global"] = "uniform"
    budget: Literal["parameters", "flops"] = "parameters"
    rows: int = 512
    multiple_of: int = 16
    reconstruct: bool = False

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "torch-pruning")

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep}: the share that stays, in (0, 1]")
        for name in ("heads", "ffn"):
            value = getattr(self, name)
            if isinstance(value, float) and not 0 < value <= 1:
                raise ValueError(f"{name}={value}: a share in (0, 1], or a whole number a layer")
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name}={value}: at least 1 a layer has to stay")
        if self.multiple_of < 1 or self.rows < 1:
            raise ValueError(f"multiple_of={self.multiple_of}, rows={self.rows}: must be at least 1")
        if self.allocation == "global" and (self.heads is not None or self.ffn is not None):
            raise ValueError("allocation=global: chooses heads and ffn itself, within keep; leave both null")
        if self.allocation == "global" and self.importance == "order":
            raise ValueError("allocation=global: importance=order does not compare layers")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        network, encoder = open_network(inputs["model"]), open_text_encoder(inputs["model"])
        rows = some_rows(context.task, encoder, self.rows, context.seed)
        if self.importance == "order":
            self.hold_to(inputs["model"], network.blocks())
        before = network.parameter_count()
        kept = self.kept(network.to(context.device), rows, encoder.pad_id)
        shrink(network.cpu(), kept)
        if self.reconstruct:
            reconstruct(network, open_network(inputs["model"]), rows, encoder.pad_id)
        facts = {**inputs["model"].facts, "parameters_before": before}
        tune_thresholds(network, context.task, encoder, context.device)
        write_network(context.output, network, encoder, facts)

    def hold_to(self, source: Checkpoint, blocks: Sequence[Block]) -> None:
        """Whether there was a supernet, and whether it trained what is taken of it."""
        widths, multiple = supernet_widths(source, self.kind), source.facts["multiple_of"]

        def counts(heads: float, ffn: float, multiple: int) -> list[tuple[int, int]]:
            return [(kept_count(b.heads, heads, 1), kept_count(b.neurons, ffn, multiple)) for b in blocks]

        trained = [counts(width, width, multiple) for width in widths]
        if (taken := counts(*self.shares, self.multiple_of)) not in trained:
            log.warning(
                "width: the supernet was not trained at %s; it was at %s",
                told(taken), ", at ".join(told(each) for each in trained),
            )  # fmt: skip

    @property
    def shares(self) -> tuple[int | float, int | float]:
        """What stays of heads and of neurons."""
        heads, ffn = (self.keep if share is None else share for share in (self.heads, self.ffn))
        return heads, ffn

    def kept(self, network: Network, rows: Sequence[Row], pad_id: int) -> Kept:
        blocks = network.blocks()
        for name, value, most in (
            ("heads", self.heads, min(block.heads for block in blocks)),
            ("ffn", self.ffn, min(block.neurons for block in blocks)),
        ):
            if isinstance(value, int) and value > most:
                raise StageFailed(f"width.{name}: {value} asked for, a layer has only {most}")
        scores = importance_of(network, self.importance, rows, pad_id)
        if self.allocation == "uniform":
            return uniform(blocks, scores, *self.shares, self.multiple_of)
        tokens = sum(len(row.ids) for row in rows) / len(rows)
        cost = parameters_each if self.budget == "parameters" else partial(flops_each, tokens=tokens)
        return by_global_rank(blocks, scores, self.keep, self.multiple_of, cost)


def told(counts: Sequence[tuple[int, int]]) -> str:
    """How many heads and neurons each layer has."""
    return " and ".join(f"{heads} heads, {neurons} neurons" for heads, neurons in dict.fromkeys(counts))
