"""One text, one label, from your own TSV or CSV files."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pare.errors import DataError
from pare.outputs import Labels, Output
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
    """Accuracy and macro F1 over the labels found in the training file.

    Without a dev file, dev is cut from train, and without a test file test is cut before it: 4:1 each.
    """

    train: str
    dev: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    text: str = "text"
    label: str = "label"
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

    def check(self) -> None:
        known = {label for _, label in self.data["train"]}
        if len(known) < 2:
            raise DataError(f"task.train: {self.train} has one label only: {sorted(known)}")
        for split in ("dev", "test"):
            file = getattr(self, split)
            if file is None:
                continue
            for line, (_, label) in read_columns(Path(file).expanduser(), (self.text, self.label), "task"):
                if label not in known:
                    raise DataError(
                        f"task.{split}: {file}:{line}: label {label!r} is not in task.train, "
                        f"which has {sorted(known)[:20]}"
                    )

    def fingerprint(self) -> str:
        return digest(self.data)

    def texts(self, split: Split) -> Sequence[str]:
        return [text for text, _ in self.data[split]]

    def outputs(self) -> tuple[Output, ...]:
        return (Output("label", tuple(sorted({label for _, label in self.data["train"]}))),)

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> list[Labels]:
        ids = {label: i for i, label in enumerate(self.outputs()[0].labels)}
        return [{"label": ids[label]} for _, label in self.data[split]]

    def right(self, split: Split, answers: Sequence[Any]) -> list[float] | None:
        if self.primary != "accuracy":
            return None
        rows = zip(self.data[split], answers, strict=True)
        return [float(answer["label"] == label) for (_, label), answer in rows]

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        gold = [label for _, label in self.data[split]]
        said = [answer["label"] for answer in answers]
        f1s = []
        for label in sorted(set(gold) | set(said)):
            right = sum(g == s == label for g, s in zip(gold, said, strict=True))
            f1s.append(2 * right / (gold.count(label) + said.count(label)))
        accuracy = sum(g == s for g, s in zip(gold, said, strict=True)) / len(gold)
        return {"accuracy": accuracy, "macro_f1": sum(f1s) / len(f1s)}
