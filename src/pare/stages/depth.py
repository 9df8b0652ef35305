"""Depth pruning: whole layers leave the network; also how a student starts from its teacher's layers.

By importance, those stay that change most what passes through them: one minus the cosine of a layer's
input and output, the block influence of ShortGPT (Men et al., 2024, arXiv:2403.03853).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pare.batches import Row, collate
from pare.checkpoint import Checkpoint, Format
from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.stages.networks import open_network, open_text_encoder, some_rows, write_network
from pare.stages.stage import Context, Stage


@dataclass(frozen=True, kw_only=True)
class Depth(Stage):
    """Keeps `layers` layers: spread evenly (every_other), the first, the last, or the most important.

    keep: or the numbers of the layers that stay, from 0. Trains nothing; let a `distill` stage follow.
    """

    layers: int | None = None  # null: half of them
    keep: Literal["every_other", "first", "last", "importance"] | tuple[int, ...] = "every_other"
    rows: int = 512  # training texts for importance

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    def __post_init__(self) -> None:
        if self.layers is not None and self.layers < 1:
            raise ValueError(f"layers={self.layers}: at least 1 has to stay")
        if self.layers is not None and not isinstance(self.keep, str):
            raise ValueError(f"layers={self.layers}: keep already names the layers; leave layers null")
        if not isinstance(self.keep, str) and (not self.keep or len(set(self.keep)) < len(self.keep)):
            raise ValueError(f"keep={list(self.keep)}: each layer once, and at least one")
        if self.rows < 1:
            raise ValueError(f"rows={self.rows}: must be at least 1")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        network, encoder = open_network(inputs["model"]), open_text_encoder(inputs["model"])
        rows = some_rows(context.task, encoder, self.rows, context.seed)
        kept = self.kept(network, rows, encoder.pad_id)
        network.family.keep_layers(network.encoder, kept)
        facts = {**inputs["model"].facts, "layers_kept": list(kept)}
        write_network(context.output, network, encoder, facts)

    def kept(self, network: Network, rows: Sequence[Row], pad_id: int) -> Sequence[int]:
        there = len(network.blocks())
        if not isinstance(self.keep, str):
            if wrong := [number for number in self.keep if not 0 <= number < there]:
                raise StageFailed(f"depth.keep: {wrong} asked for, the network has layers 0…{there - 1}")
            return self.keep
        count = self.layers or max(1, there // 2)
        if count > there:
            raise StageFailed(f"depth.layers: {count} asked for, the network has {there}")
        if self.keep == "importance":
            influence = block_influence(network, rows, pad_id)
            return sorted(torch.argsort(influence, descending=True, stable=True)[:count].tolist())
        return placed(self.keep, there, count)


def placed(keep: Literal["every_other", "first", "last"], there: int, count: int) -> list[int]:
    """Which of `there` layers stay. every_other ends with the last: of 6, 3 leave 1, 3 and 5."""
    if keep == "first":
        return list(range(count))
    if keep == "last":
        return list(range(there - count, there))
    return [(i + 1) * there // count - 1 for i in range(count)]


def block_influence(network: Network, rows: Sequence[Row], pad_id: int) -> Tensor:
    """For each layer one minus the cosine of its input and output, mean over real tokens."""
    totals, tokens = torch.zeros(len(network.blocks())), 0.0
    for start in range(0, len(rows), 32):
        batch = collate(rows[start : start + 32], network.outputs, pad_id, torch.device("cpu"))
        with torch.no_grad():
            states = network.every_layer(batch.ids, batch.mask)
        for layer, (before, after) in enumerate(pairwise(states)):
            change = 1 - F.cosine_similarity(before.float(), after.float(), dim=-1)
            totals[layer] += (change * batch.mask).sum()
        tokens += float(batch.mask.sum())
    return totals / tokens
