"""One text or a pair of texts: the label, or any number of labels, that holds of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from pare.errors import DataError
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.provenance import digest
from pare.tasks.example import Example
from pare.tasks.files import Files
from pare.tasks.formats import Table
from pare.tasks.metrics import Answer, label_rates, label_scores, matthews
from pare.tasks.sources import Source, Splits
from pare.tasks.task import Split, Task
from pare.tasks.text import Encoded


@dataclass(frozen=True, kw_only=True)
class Classify(Task):
    """Accuracy, micro and macro precision, recall and F1, and Matthews' correlation.

    several: a text has any number of labels; accuracy is then the share of texts whose labels are all right.
    positive: the label whose precision, recall and F1 are scores too.
    """

    source: Source
    several: bool = False
    positive: str | None = None
    primary: str = "accuracy"

    @cached_property
    def data(self) -> Splits:
        return self.source.read()

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({label for example in self.data["train"] for label in example.labels}))

    def check(self) -> None:
        known = set(self.names)
        if len(known) < 2:
            raise DataError(f"task: there is one label only to tell apart in training: {sorted(known)}")
        if self.positive is not None and self.positive not in known:
            raise DataError(
                f"task.positive: {self.positive!r} is not a label; there are {sorted(known)[:20]}"
            )
        splits: tuple[Split, ...] = ("train", "dev", "test")
        for split in splits:
            for row, example in enumerate(self.data[split]):
                if not self.several and (len(example.labels) != 1 or not example.label):
                    raise DataError(
                        f"{self.source.place(split, row)}: {len([x for x in example.labels if x])} labels; "
                        "exactly one is needed, unless task.several"
                    )
                for label in example.labels:
                    if label not in known:
                        raise DataError(
                            f"{self.source.place(split, row)}: label {label!r} is not in task.train, "
                            f"which has {sorted(known)[:20]}"
                        )

    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return digest({s: [[e.text, list(e.labels)] for e in rows] for s, rows in self.data.items()})

    def examples(self, split: Split) -> Sequence[Example]:
        return self.data[split]

    def outputs(self) -> tuple[Output, ...]:
        return (Output("label", self.names, choice="any" if self.several else "one"),)

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> list[Labels]:
        ids = {label: i for i, label in enumerate(self.names)}
        rows = self.data[split]
        if self.several:
            return [{"label": [ids[label] for label in e.labels if label in ids]} for e in rows]
        return [{"label": ids.get(e.label, IGNORED_LABEL)} for e in rows]

    def right(self, split: Split, answers: Sequence[Any]) -> list[float] | None:
        if self.primary != "accuracy":
            return None
        return [float(set(gold) == set(said)) for gold, said in self._pairs(split, answers)]

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        pairs = self._pairs(split, answers)
        scores = label_scores(pairs)
        if not self.several:
            scores["mcc"] = matthews(
                *([next(iter(side)) for side in column] for column in zip(*pairs, strict=True))
            )
        if self.positive is not None:
            names = ("precision", "recall", "f1")
            scores |= dict(zip(names, label_rates(pairs, self.positive), strict=True))
        return scores

    def _pairs(self, split: Split, answers: Sequence[Any]) -> list[Answer]:
        """What holds and what was said, for each text."""
        return [
            (example.labels, answer["label"] if self.several else (answer["label"],))
            for example, answer in zip(self.data[split], answers, strict=True)
        ]


class OwnFiles(Files):
    """Files that the task names itself."""

    setting: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True)
class Mine(Classify):
    """Your own TSV or CSV files with a header; text, pair and label are columns.

    separator: what stands between labels where a text has any number of them.
    """

    train: str
    dev: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    text: str = "text"
    pair: str | None = None
    label: str = "label"
    separator: str | None = None
    split_seed: int = 0
    source: Source = field(init=False)
    several: bool = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        table = Table(text=self.text, pair=self.pair, label=self.label, separator=self.separator)
        source = OwnFiles(
            train=self.train, dev=self.dev, test=self.test, unlabelled=self.unlabelled,
            format=table, seed=self.split_seed,
        )  # fmt: skip
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "several", self.separator is not None)
