"""One text or a pair of texts: the label, or any number of labels, that holds of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pare.errors import DataError
from pare.judging import Judge, LabelJudge
from pare.ondemand import changed
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.tasks.example import Encoded, Example
from pare.tasks.naming import label_names
from pare.tasks.sourced import Sourced
from pare.tasks.sources import Splits
from pare.tasks.task import LABELLED, Split


@dataclass(frozen=True, kw_only=True)
class Classify(Sourced):
    """Accuracy, micro and macro precision, recall and F1, and Matthews' correlation.

    several: a text has any number of labels; accuracy is then the share of texts whose labels are all right.
    tuned: what decides whether one of several labels holds is tuned on dev, for the best micro F1.
    positive: the label whose precision, recall and F1 are scores too.
    labels_file: which labels there are, and the names of ids; without one, those of train.
    unseen: labels of dev and test that training lacks are refused, or counted as never said.
    """

    several: bool = False
    tuned: bool = True
    positive: str | None = None
    labels_file: str | None = None
    unseen: Literal["refuse", "count"] = "refuse"
    primary: str = "accuracy"

    def read(self) -> Splits:
        splits = super().read()
        if not self.named:
            return splits
        known = set(self.named.values())
        return {
            split: changed(rows, lambda e: renamed(e, self.named, known)) for split, rows in splits.items()
        }

    @cached_property
    def named(self) -> Mapping[str, str]:
        """What ids of labels mean."""
        if self.labels_file is None:
            return {}
        return label_names(Path(self.labels_file).expanduser(), "task.labels_file")

    @cached_property
    def names(self) -> tuple[str, ...]:
        found = {label for example in self.data["train"] for label in example.labels}
        return tuple(self.named.values()) or tuple(sorted(found))

    @property
    def named_by(self) -> str:
        """Where it is written which labels there are."""
        return f"{self.source.setting}.train" if self.labels_file is None else "task.labels_file"

    def check_examples(self) -> None:
        known = set(self.names)
        if len(known) < 2:
            raise DataError(f"task: there is one label only to tell apart in training: {sorted(known)}")
        if self.positive is not None and self.positive not in known:
            raise DataError(
                f"task.positive: {self.positive!r} is not a label; there are {sorted(known)[:20]}"
            )
        for split in LABELLED:
            for row, example in enumerate(self.data[split]):
                if not self.several and (len(example.labels) != 1 or not example.label):
                    raise DataError(
                        f"{self.source.place(split, row)}: {len([x for x in example.labels if x])} labels; "
                        "exactly one is needed, unless task.several"
                    )
                strange = [label for label in example.labels if label not in known]
                if strange and self.unseen == "refuse":
                    raise DataError(
                        f"{self.source.place(split, row)}: label {strange[0]!r} is not in {self.named_by}, "
                        f"which has {sorted(known)[:20]}; task.unseen=count counts it as never said"
                    )

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "positive": self.positive}

    def heads(self) -> tuple[Output, ...]:
        if not self.several:
            return (Output("label", self.names),)
        return (Output("label", self.names, choice="any", tuned=self.tuned),)

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> Sequence[Labels]:
        ids = {label: i for i, label in enumerate(self.names)}
        if self.several:
            return changed(
                self.data[split], lambda e: {"label": [ids[label] for label in e.labels if label in ids]}
            )
        return changed(self.data[split], lambda e: {"label": ids.get(e.label, IGNORED_LABEL)})

    def judge(self) -> Judge:
        return LabelJudge(primary=self.primary, several=self.several, positive=self.positive)


def renamed(example: Example, names: Mapping[str, str], known: set[str]) -> Example:
    labels = (x if x in known else names.get(x, x) for x in example.labels)
    return replace(example, labels=tuple(dict.fromkeys(labels)))
