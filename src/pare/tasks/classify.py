"""One text, one label, from your own TSV or CSV files."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pare.errors import DataError
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.provenance import digest
from pare.tasks.tables import read_columns
from pare.tasks.task import Split, Task
from pare.tasks.text import Encoded

Row = tuple[str, str]  # text, label


def split_rows(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """A seeded 4:1 split, for data that comes in one piece."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    held_out = set(order[: max(1, len(rows) // 5)])
    return (
        [row for i, row in enumerate(rows) if i not in held_out],
        [row for i, row in enumerate(rows) if i in held_out],
    )


@dataclass(frozen=True, kw_only=True)
class Classify(Task):
    """Accuracy, micro and macro F1 over the labels found in the training file.

    separator: what stands between labels where a text has any number of them; accuracy is then the share of
    texts whose labels are all right.

    Without a dev file, dev is cut from train, and without a test file test is cut before it: 4:1 each.
    """

    train: str
    dev: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    text: str = "text"
    label: str = "label"
    separator: str | None = None
    split_seed: int = 0
    primary: str = "accuracy"

    def _read(self, split: str) -> list[Row]:
        file = Path(getattr(self, split)).expanduser()
        rows = read_columns(file, (self.text, self.label), f"task.{split}")
        return [values[:2] for _, values in rows]  # type: ignore[misc]

    @cached_property
    def data(self) -> dict[str, list[Row]]:
        train = self._read("train")
        cut: dict[str, list[Row]] = {}
        for split in ("test", "dev"):
            if getattr(self, split) is not None:
                cut[split] = self._read(split)
            else:
                train, cut[split] = split_rows(train, self.split_seed)
        if not train:
            raise DataError(f"task.train: {self.train} has too few rows to cut a dev and a test split from")
        unlabelled: list[Row] = []
        if self.unlabelled is not None:
            file = Path(self.unlabelled).expanduser()
            unlabelled = [(v[0], "") for _, v in read_columns(file, (self.text,), "task.unlabelled")]
        return {"train": train, "dev": cut["dev"], "test": cut["test"], "unlabelled": unlabelled}

    def parts(self, label: str) -> list[str]:
        """The labels that a row's label column names."""
        return [label] if self.separator is None else [p for p in label.split(self.separator) if p]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({part for _, label in self.data["train"] for part in self.parts(label)}))

    def check(self) -> None:
        known = set(self.names)
        if len(known) < 2:
            raise DataError(f"task.train: {self.train} has one label only: {sorted(known)}")
        for split in ("dev", "test"):
            file = getattr(self, split)
            if file is None:
                continue
            for line, (_, label) in read_columns(Path(file).expanduser(), (self.text, self.label), "task"):
                for part in self.parts(label):
                    if part not in known:
                        raise DataError(
                            f"task.{split}: {file}:{line}: label {part!r} is not in task.train, "
                            f"which has {sorted(known)[:20]}"
                        )

    def fingerprint(self) -> str:
        return digest(self.data)

    def texts(self, split: Split) -> Sequence[str]:
        return [text for text, _ in self.data[split]]

    def outputs(self) -> tuple[Output, ...]:
        return (Output("label", self.names, choice="one" if self.separator is None else "any"),)

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> list[Labels]:
        ids = {label: i for i, label in enumerate(self.names)}
        if self.separator is None:
            return [{"label": ids.get(label, IGNORED_LABEL)} for _, label in self.data[split]]
        return [{"label": [ids[p] for p in self.parts(label) if p in ids]} for _, label in self.data[split]]

    def right(self, split: Split, answers: Sequence[Any]) -> list[float] | None:
        if self.primary != "accuracy":
            return None
        return [float(gold == said) for gold, said in self._pairs(split, answers)]

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        pairs = self._pairs(split, answers)
        found: Counter[str] = Counter(label for _, said in pairs for label in said)
        wanted: Counter[str] = Counter(label for gold, _ in pairs for label in gold)
        right: Counter[str] = Counter(label for gold, said in pairs for label in gold & said)
        f1s = [2 * right[label] / (found[label] + wanted[label]) for label in sorted(found | wanted)]
        total = found.total() + wanted.total()
        return {
            "accuracy": sum(gold == said for gold, said in pairs) / len(pairs),
            "micro_f1": 2 * right.total() / total if total else 1.0,
            "macro_f1": sum(f1s) / len(f1s) if f1s else 1.0,
        }

    def _pairs(self, split: Split, answers: Sequence[Any]) -> list[tuple[set[str], set[str]]]:
        """What holds and what was said, for each text."""
        rows = zip(self.data[split], answers, strict=True)
        return [
            (set(self.parts(label)), {answer["label"]} if self.separator is None else set(answer["label"]))
            for (_, label), answer in rows
        ]
