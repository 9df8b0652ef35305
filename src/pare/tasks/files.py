"""Examples from files or the hub, a file for each split, or cut from one."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pare.errors import DataError
from pare.tasks.example import Example
from pare.tasks.formats import Format, Table
from pare.tasks.hub import Hub
from pare.tasks.sources import Source, Splits

Numbered = tuple[int, Example]  # with the line it is on


@dataclass(frozen=True, kw_only=True)
class Files(Source):
    """Without a dev file, dev is cut from train, and without a test file test is cut before it: 4:1 each.

    folder: where names of files begin. hub: what is read where no folder is given.
    seed: of the cuts and of what follows. rows: at most so many of train. shots: at most so many of train for
    each label.
    """

    folder: str | None = None
    hub: Hub | None = None
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    format: Format = Table()
    seed: int = 0
    rows: int | None = None
    shots: int | None = None

    setting: ClassVar[str] = "task.source"

    def __post_init__(self) -> None:
        for name in ("rows", "shots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        if self.train is None and not self.from_hub:
            raise ValueError("train: missing; a file is needed, or a hub")

    @property
    def from_hub(self) -> bool:
        return self.hub is not None and self.folder is None

    def read(self) -> Splits:
        return {split: [example for _, example in rows] for split, rows in self._numbered.items()}

    def place(self, split: str, row: int) -> str:
        number, _ = self._numbered[split][row]
        place = self._place(split) or self._place("train")  # what it was cut from
        return f"{place}:{number}"

    def _place(self, split: str) -> str | None:
        """Where a split is, if it has a place of its own."""
        place: str | None = getattr(self.hub if self.from_hub else self, split)
        if place is None:
            return None
        if self.from_hub:
            assert self.hub is not None
            return f"{self.setting}.hub: {self.hub.id}, {place}"
        return f"{self.setting}.{split}: {self._path(place)}"

    def _path(self, name: str) -> Path:
        return Path(self.folder or "", name).expanduser()

    @cached_property
    def _numbered(self) -> dict[str, list[Numbered]]:
        train = self._read("train")
        splits: dict[str, list[Numbered]] = {}
        for split in ("test", "dev"):
            if self._place(split) is not None:
                splits[split] = self._read(split)
            else:
                train, splits[split] = cut(train, self.seed)
        if not train or not splits["test"]:
            raise DataError(f"{self._place('train')} has too few rows to cut a dev and a test split from")
        splits["train"] = fewer(train, self.rows, self.shots, self.seed)
        splits["unlabelled"] = [] if self._place("unlabelled") is None else self._read("unlabelled")
        return splits

    def _read(self, split: str) -> list[Numbered]:
        labelled = split != "unlabelled"
        if self.from_hub:
            assert self.hub is not None
            return list(self.hub.rows(split, f"{self.setting}.hub", labelled))
        return list(self.format.read(self._path(getattr(self, split)), f"{self.setting}.{split}", labelled))


def cut(rows: Sequence[Numbered], seed: int) -> tuple[list[Numbered], list[Numbered]]:
    """A seeded 4:1 split, for data that comes in one piece; the only row of a label is not held out."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    left = Counter(label for _, example in rows for label in example.labels)
    held_out: set[int] = set()
    for i in order:
        labels = rows[i][1].labels
        if len(held_out) < max(1, len(rows) // 5) and all(left[label] > 1 for label in labels):
            held_out.add(i)
            left.subtract(labels)
    return (
        [row for i, row in enumerate(rows) if i not in held_out],
        [row for i, row in enumerate(rows) if i in held_out],
    )


def fewer(rows: Sequence[Numbered], most: int | None, shots: int | None, seed: int) -> list[Numbered]:
    """A seeded choice: at most `shots` of each label, and at most `most` in all; in their order."""
    order = list(range(len(rows)))
    if most is None and shots is None:
        return list(rows)
    random.Random(seed).shuffle(order)
    taken: Counter[str] = Counter()
    kept = []
    for i in order:
        labels = rows[i][1].labels
        if shots is not None and all(taken[label] >= shots for label in labels):
            continue
        taken.update(labels)
        kept.append(i)
    return [rows[i] for i in sorted(kept[:most])]
