"""Where examples come from: the embedded grammar, and a corpus in a form of its own."""

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from pare.errors import ConfigError, DataError
from pare.tasks.annotated import Marked
from pare.tasks.car import generate
from pare.tasks.example import Example, Unfit

Splits = Mapping[str, Sequence[Example]]  # train, dev, test, unlabelled


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Reads the splits of a task; DataError names the config key, the file and the line of what is wrong."""

    setting: ClassVar[str] = "task.source"  # what a message begins with

    def __getstate__(self) -> dict[str, Any]:
        """Its settings: another process reads the data itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @abstractmethod
    def read(self) -> Splits: ...

    def place(self, split: str, row: int) -> str:
        """Where an example is from, to begin a message with."""
        return f"{self.setting}: {split}, row {row + 1}"


@contextmanager
def told_at(place: str, key: str, part: Any) -> Iterator[None]:
    """Errors of a part are told by its keys where it is. key: what it begins its own keys with."""
    known = "|".join(field.name for field in fields(part))
    keys = re.compile(rf"(?<!\S){re.escape(key)}(?=:|\.(?:{known})\b)")
    try:
        yield
    except ConfigError as e:
        raise type(e)(keys.sub(place, problem) for problem in e.problems) from None


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
        try:
            return generate(self.language, self.seed, sizes)
        except ValueError as e:  # more sentences than the grammar has
            raise DataError(f"{self.setting}: {e}") from None


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
        where = f"task.source.file: {file}"
        rows = []
        for number, values in _CORPUS.rows(file, where, _CORPUS.columns):
            try:
                utterance = _CORPUS.example(values)
            except Unfit as e:
                raise DataError(f"{where}:{number}: {e}") from None
            if utterance.text != values["text"].strip():
                raise DataError(f"{where}:{number}: {values['marked']!r} does not mark up {values['text']!r}")
            rows.append((values["session"], utterance))
        return rows


_CORPUS = Marked(columns=("session", "text", "intent", "marked"), text="marked", label="intent")
