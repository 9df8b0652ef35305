"""Sensitivity to pruning: the heads or the neurons of each layer pruned alone, and what the task loses.

Changes nothing: the table goes into `result.json` and into sensitivity.tsv, the worst first. Where
layers differ much, `width` with `allocation: global` gives each what it deserves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from pare.checkpoint import Checkpoint, Format
from pare.importance import Importance, importance_of, masked
from pare.pruning import kept_count
from pare.stages.networks import (
    judge_of,
    open_network,
    open_text_encoder,
    some_rows,
    supernet_widths,
    write_network,
)
from pare.stages.stage import Context, Stage

TABLE = "sensitivity.tsv"
TOLD = 5  # of the worst, in the terminal


@dataclass(frozen=True, kw_only=True)
class WidthSensitivity(Stage):
    """Finds out in which layers pruning to `keep` hurts most.

    importance, rows: as in the width stage.
    """

    keep: float = 0.5
    importance: Importance = "taylor"
    rows: int = 512

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise ValueError(f"keep={self.keep}: the share that stays, in (0, 1)")
        if self.rows < 1:
            raise ValueError(f"rows={self.rows}: must be at least 1")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        if self.importance == "order":
            supernet_widths(source, self.kind)
        network, encoder = open_network(source), open_text_encoder(source)
        rows = some_rows(context.task, encoder, self.rows, context.seed)
        network.to(context.device)
        scores = importance_of(network, self.importance, rows, encoder.pad_id)
        judge = judge_of(network, context.task, encoder)
        whole = judge()
        found: list[dict[str, float | str]] = []
        with (
            context.progress("pruning one by one", 2 * len(scores)) as advance,
            masked(network.blocks()) as masks,
        ):
            for layer, score in enumerate(scores):
                parts = zip(("heads", "ffn"), masks[layer], (score.heads, score.neurons), strict=True)
                for part, mask, values in parts:
                    dropped = torch.argsort(values)[: len(values) - kept_count(len(values), self.keep, 1)]
                    with torch.no_grad():
                        mask[dropped] = 0
                        drop = whole - judge()
                        mask[dropped] = 1
                    found.append({"name": f"layer {layer} {part}", "drop": drop})
                    advance(1, f"layer {layer}")
        found.sort(key=lambda row: -float(row["drop"]))
        told = [
            f"{row['name']} alone at {self.keep:g} of its width: {100 * float(row['drop']):.2f} points lost"
            for row in found[:TOLD]
        ]
        facts = {**source.facts, "found": {self.kind: {"told": told, "table": found}}}
        write_network(context.output, network.cpu(), encoder, facts)
        lines = [f"{row['name']}\t{100 * float(row['drop']):+.2f}\n" for row in found]
        (context.output / TABLE).write_text("".join(["part\tpoints lost\n", *lines]), encoding="utf-8")
