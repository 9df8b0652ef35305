"""Where examples come from: the embedded grammar, and corpora of utterances in forms of their own."""

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pare.decoding import spans_of
from pare.errors import DataError
from pare.tasks.car import generate
from pare.tasks.example import Example, Span

Splits = Mapping[str, Sequence[Example]]  # train, dev, test, unlabelled


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Reads the splits of a task; DataError names the config key, the file and the line of what is wrong."""

    @abstractmethod
    def read(self) -> Splits: ...

    def place(self, split: str, row: int) -> str:
        """Where an example is from, to begin a message with."""
        return f"task.source: {split}, row {row + 1}"


@dataclass(frozen=True, kw_only=True)
class Generated(Source):
    """The embedded in-car commands, from the project's own grammar."""

    language: Literal["zh", "en"] = "zh"
    seed: int = 0
    train: int = 24000
    dev: int = 1000
    test: int = 2000
    unlabelled: int = 24000

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            if getattr(self, split) < 1:
                raise ValueError(f"{split}={getattr(self, split)}: at least one row is needed")
        if self.unlabelled < 0:
            raise ValueError(f"unlabelled={self.unlabelled}: cannot be negative")

    def read(self) -> Splits:
        sizes = {"train": self.train, "dev": self.dev, "test": self.test, "unlabelled": self.unlabelled}
        return generate(self.language, self.seed, sizes)


@dataclass(frozen=True, kw_only=True)
class Parallel(Source):
    """A folder with train/, valid/ and test/, each with `seq.in`, `seq.out` and `label`, a line an utterance.

    This is how SNIPS and ATIS are handed around (Goo et al., 2018): words, BIO tags, intent.
    """

    folder: str

    def read(self) -> Splits:
        root = Path(self.folder).expanduser()
        splits = {"train": "train", "dev": "valid", "test": "test"}
        return {name: self._split(root / part) for name, part in splits.items()} | {"unlabelled": []}

    @staticmethod
    def _split(folder: Path) -> list[Example]:
        files = [folder / name for name in ("seq.in", "seq.out", "label")]
        columns = [lines_of(file) for file in files]
        if len({len(column) for column in columns}) > 1:
            counts = ", ".join(f"{f.name} {len(c)}" for f, c in zip(files, columns, strict=True))
            raise DataError(f"task.source: {folder}: the files have different numbers of lines: {counts}")
        rows = []
        for number, (sentence, tags, intent) in enumerate(zip(*columns, strict=True), 1):
            words, tag_list = sentence.split(), tags.split()
            if len(words) != len(tag_list):
                raise DataError(
                    f"task.source: {folder}:{number}: {len(words)} words in seq.in, "
                    f"{len(tag_list)} tags in seq.out"
                )
            offsets, start = [], 0
            for word in words:
                offsets.append((start, start + len(word)))
                start += len(word) + 1
            slots = tuple(Span(*span) for span in spans_of(tag_list, offsets))
            rows.append(Example(" ".join(words), (intent.strip(),), slots))
        return rows


_SLOT = re.compile(r"<(\w+)>(.*?)</\1>")


@dataclass(frozen=True, kw_only=True)
class Tagged(Source):
    """One file of `session ⇥ text ⇥ intent ⇥ text with <slot>…</slot>`, as NLPCC 2018 task 4 has it.

    A slot may hold `heard||meant`; the text has what was heard. Test is a fifth, dev a tenth of the rest.
    split: "shuffled" by row, as most who use the corpus do, or "session", which keeps a conversation on one
    side: by row, near copies of test rows are in train.
    """

    file: str
    split: Literal["shuffled", "session"] = "shuffled"
    seed: int = 0

    def read(self) -> Splits:
        rows = self._rows()
        groups: dict[str, list[Example]] = {}
        for number, (session, utterance) in enumerate(rows):
            groups.setdefault(session if self.split == "session" else str(number), []).append(utterance)
        order = list(groups.values())
        random.Random(self.seed).shuffle(order)
        sizes = {"test": len(rows) / 5, "dev": len(rows) * 4 / 50}
        splits: dict[str, list[Example]] = {"test": [], "dev": [], "train": [], "unlabelled": []}
        for group in order:
            splits[next((s for s, size in sizes.items() if len(splits[s]) < size), "train")] += group
        return splits

    def _rows(self) -> list[tuple[str, Example]]:
        file = Path(self.file).expanduser()
        rows = []
        for number, line in enumerate(lines_of(file), 1):
            if not line.strip():  # between conversations
                continue
            cells = line.split("\t")
            if len(cells) != 4:
                raise DataError(
                    f"task.source.file: {file}:{number}: {len(cells)} columns; 4 are needed: "
                    "session, text, intent, text with <slot>…</slot>"
                )
            session, text, intent, marked = cells
            utterance = Example(text, (intent,), slots_of(marked))
            if _SLOT.sub(lambda found: heard(found[2]), marked) != text:
                raise DataError(f"task.source.file: {file}:{number}: {marked!r} does not mark up {text!r}")
            rows.append((session, utterance))
        return rows


def heard(inside: str) -> str:
    return inside.split("||")[0]


def slots_of(marked: str) -> tuple[Span, ...]:
    """Where the slots lie in the text without its marks."""
    slots, taken = [], 0  # characters of marks and of what was meant, so far
    for found in _SLOT.finditer(marked):
        start = found.start() - taken
        value = heard(found[2])
        slots.append(Span(start, start + len(value), found[1]))
        taken += len(found[0]) - len(value)
    return tuple(slots)


def lines_of(file: Path) -> list[str]:
    if not file.is_file():
        raise DataError(f"task.source: no such file: {file}")
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as e:
        raise DataError(f"task.source: {file} is not UTF-8 ({e.reason} at byte {e.start})") from None
