"""Texts with labels that lie in one another: whoever says a label says all above it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pare.judging import Judge, LabelJudge
from pare.ondemand import changed
from pare.outputs import Output
from pare.tasks.classify import Classify
from pare.tasks.example import Example
from pare.tasks.sources import Splits
from pare.tasks.task import LABELLED
from pare.tasks.taxonomy import Graph, Paths, Taxonomy, graph_of


@dataclass(frozen=True, kw_only=True)
class Multilabel(Classify):
    """Also F1 for each level, and the share of texts whose answers name all that lies above them.

    path: what stands between levels in a label; `1->1.2` lies below `1`. null: labels are just names.
    levels: more of what stands between levels belongs to the last one's name.
    taxonomy: a file that says what lies above what, instead of paths; a label may have several parents.
    close: what lies above a label holds as well, in the data and in answers.
    """

    several: bool = True
    path: str | None = "->"
    levels: int | None = None
    taxonomy: str | None = None
    close: bool = True
    primary: str = "micro_f1"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path == "":
            raise ValueError("path: empty; null is for labels that are just names")
        if self.levels is not None and self.levels < 1:
            raise ValueError(f"levels={self.levels}: must be at least 1")

    def read(self) -> Splits:
        splits = super().read()
        if self.flat:
            return splits
        return {split: changed(rows, self.placed) for split, rows in splits.items()}

    def placed(self, example: Example) -> Example:
        """With its labels as the taxonomy has them."""
        labels = dict.fromkeys(filter(None, map(self.tree.clean, example.labels)))
        return replace(example, labels=self.tree.closed(labels) if self.close else tuple(labels))

    @property
    def flat(self) -> bool:
        """Whether no label lies in another."""
        return self.taxonomy is None and self.path is None

    @cached_property
    def tree(self) -> Taxonomy:
        if self.taxonomy is not None:
            return graph_of(Path(self.taxonomy).expanduser(), "task.taxonomy", self.named)
        return Graph({}) if self.path is None else Paths(self.path, self.levels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return self.tree.closed(self.tree.labels or super().names)

    @property
    def named_by(self) -> str:
        return super().named_by if self.taxonomy is None else "task.taxonomy"

    def identity(self) -> dict[str, Any]:
        above = {} if self.flat else {label: sorted(self.tree.parents(label)) for label in self.names}
        return {**super().identity(), "above": above}

    def heads(self) -> tuple[Output, ...]:
        (output,) = super().heads()
        if not self.close or self.flat or not self.several:
            return (output,)
        ids = {label: i for i, label in enumerate(self.names)}
        implied = tuple(
            tuple(sorted(ids[x] for x in self.tree.above(label) if x in ids)) for label in self.names
        )
        return (replace(output, implied=implied),)

    def judge(self) -> Judge:
        return self._judge

    @cached_property
    def _judge(self) -> Judge:
        judge = LabelJudge(primary=self.primary, several=self.several, positive=self.positive)
        if self.flat:
            return judge
        labels = set(self.names)
        if self.unseen == "count":  # those of the data are judged, too
            labels |= {label for split in LABELLED for e in self.data[split] for label in e.labels}
        deepest = max(map(self.tree.level, self.names))
        return replace(
            judge,
            levels={x: level for x in sorted(labels) if (level := self.tree.level(x)) <= deepest},
            above={x: tuple(sorted(above)) for x in sorted(labels) if (above := self.tree.above(x))},
        )
