"""Examples from files or the hub, a file for each split, or cut from one."""

import random
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pare.errors import DataError
from pare.tasks.columns import Examples, Part
from pare.tasks.example import Example
from pare.tasks.formats import Format, Table
from pare.tasks.hub import Hub
from pare.tasks.sources import Source, Splits

MOST_HELD_OUT = 10_000  # rows, by which a score is known within a point; every stage is scored on as many


@dataclass(frozen=True, kw_only=True)
class Files(Source):
    """Without a dev file, dev is cut from train, and without a test file test is cut before it: 4:1 each, but
    never more than MOST_HELD_OUT rows.

    folder: where names of files begin. hub: what is read where no folder is given.
    seed: of the cuts. rows: at most so many of train. shots: at most so many of train for each label, or each
    kind of span, and as many that have none. fold: which of the choices of rows or shots.
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
    fold: int = 0

    def __post_init__(self) -> None:
        for name in ("rows", "shots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        if self.train is None and self._hub is None:
            raise ValueError("train: missing; a file is needed, or a hub")
        if self._hub is not None:
            self._check_unread(self._hub)

    def _check_unread(self, hub: Hub) -> None:
        """The names that a task has for its folder stay unread beside a hub; one's own must not."""
        for split in ("train", "dev", "test", "unlabelled"):
            name = getattr(self, split) or ""
            lost = split == "unlabelled" and name and hub.unlabelled is None
            if lost or name.startswith(("/", "~", ".")) or (name and Path(name).is_file()):
                told = f"no file is read, {hub.id} of the hub is; hub=null is for files of your own"
                raise ValueError(f"{split}={name}: {told}")

    @property
    def _hub(self) -> Hub | None:
        """The hub, if it is what is read."""
        return self.hub if self.folder is None else None

    def read(self) -> Splits:
        return {split: Part(rows, numbers) for split, (rows, numbers) in self._splits.items()}

    def place(self, split: str, row: int) -> str:
        rows, numbers = self._splits[split]
        place = self._place(split) or self._place("train")  # what it was cut from
        return f"{place}:{rows.lines[numbers[row]]}"

    def _place(self, split: str) -> str | None:
        """Where a split is, if it has a place of its own."""
        hub = self._hub
        place: str | None = getattr(hub or self, split)
        if place is None:
            return None
        return (
            f"{self.setting}.{split}: {self._path(place)}" if hub is None else hub.place(split, self.setting)
        )

    def _path(self, name: str) -> Path:
        return Path(self.folder or "", name).expanduser()

    @cached_property
    def _splits(self) -> dict[str, tuple[Examples, Sequence[int]]]:
        """What each split is taken from, and the numbers of its rows there."""
        whole = self._read("train")
        train: Sequence[int] = range(len(whole))
        splits: dict[str, tuple[Examples, Sequence[int]]] = {}
        for split in ("test", "dev"):
            if self._place(split) is not None:
                rows = self._read(split)
                splits[split] = rows, range(len(rows))
            else:
                train, held_out = cut(whole, train, self.seed)
                splits[split] = whole, held_out
        if not train:
            raise DataError(f"{self._place('train')} has too few rows to cut a dev and a test split from")
        splits["train"] = whole, fewer(whole, train, self.rows, self.shots, self.fold)
        rows = Examples() if self._place("unlabelled") is None else self._read("unlabelled")
        splits["unlabelled"] = rows, range(len(rows))
        return splits

    def _read(self, split: str) -> Examples:
        labelled = split != "unlabelled"
        if (hub := self._hub) is not None:
            return Examples(hub.rows(split, self.setting, labelled))
        file = self._path(getattr(self, split))
        return Examples(self.format.read(file, f"{self.setting}.{split}", labelled))


def cut(rows: Sequence[Example], numbers: Sequence[int], seed: int) -> tuple[Sequence[int], Sequence[int]]:
    """A seeded 4:1 split, for data that comes in one piece: at most MOST_HELD_OUT rows are held out,
    and never the only one of a label.

    numbers: of the rows to split.
    """
    order = list(range(len(numbers)))
    random.Random(seed).shuffle(order)
    left = Counter(label for number in numbers for label in rows[number].labels)
    held_out = bytearray(len(numbers))
    wanted = min(MOST_HELD_OUT, max(1, len(numbers) // 5))
    for i in order:
        if not wanted:
            break
        labels = rows[numbers[i]].labels
        if all(left[label] > 1 for label in labels):
            held_out[i] = 1
            left.subtract(labels)
            wanted -= 1
    train, out = (
        array("I", (number for number, is_out in zip(numbers, held_out, strict=True) if is_out == side))
        for side in (0, 1)
    )
    return train, out


def fewer(
    rows: Sequence[Example], numbers: Sequence[int], most: int | None, shots: int | None, seed: int
) -> Sequence[int]:
    """A seeded choice, in their order: at most `shots` of each label, or kind of span, and `most` in all."""
    if most is None and shots is None:
        return numbers
    order = list(range(len(numbers)))
    random.Random(seed).shuffle(order)
    taken: Counter[str] = Counter()
    kept = []
    for i in order:
        example = rows[numbers[i]]
        kinds = example.labels or tuple({span.label for span in example.spans}) or ("",)
        if shots is not None and any(taken[kind] >= shots for kind in kinds):
            continue
        taken.update(kinds)
        kept.append(i)
    return [numbers[i] for i in sorted(kept[:most])]
