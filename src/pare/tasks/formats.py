"""How a file holds examples: tables and JSON. An error names the file, the line, and what is wrong there."""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from pare.errors import DataError
from pare.tasks.example import Example

#: the line it begins on, and its values by name: text, or a list of texts
Record = tuple[int, Mapping[str, str | list[str]]]


@dataclass(frozen=True, kw_only=True)
class Format(ABC):
    """text, pair, label: the names of what holds a text, the second one of a pair, and the label.

    separator: what stands between labels where a text has any number of them.
    leave_out: examples with such a label are not read.
    """

    text: str = "text"
    pair: str | None = None
    label: str = "label"
    separator: str | None = None
    leave_out: tuple[str, ...] = ()

    def read(self, file: Path, setting: str, labelled: bool = True) -> Iterator[tuple[int, Example]]:
        """Examples with their lines, in order. setting: the config key that led here, for messages."""
        if not file.is_file():
            raise DataError(f"{setting}: no such file: {file}")
        wanted = self.wanted(labelled)
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                for line, values in self.records(stream, f"{setting}: {file}", wanted):
                    missing = [name for name in wanted if name not in values]
                    if missing:
                        there = sorted(values)
                        raise DataError(f"{setting}: {file}:{line}: no {missing[0]!r}, only {there}")
                    example = self.example(values, labelled)
                    if not set(example.labels) & set(self.leave_out):
                        yield line, example
        except UnicodeDecodeError as e:
            raise DataError(f"{setting}: {file} is not UTF-8 ({e.reason} at byte {e.start})") from None

    def wanted(self, labelled: bool) -> list[str]:
        """The names of what is read."""
        return [self.text, *([self.pair] if self.pair else []), *([self.label] if labelled else [])]

    @abstractmethod
    def records(self, stream: TextIO, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        """What the file holds. where: begins the message of an error. wanted: the names that are read."""

    def example(self, values: Mapping[str, str | list[str]], labelled: bool) -> Example:
        text = joined(values[self.text])
        labels = self.labels(values[self.label]) if labelled else ()
        return Example((text, joined(values[self.pair])) if self.pair else text, labels)

    def labels(self, value: str | list[str]) -> tuple[str, ...]:
        if isinstance(value, list):
            return tuple(value)
        return (value,) if self.separator is None else tuple(p for p in value.split(self.separator) if p)


@dataclass(frozen=True, kw_only=True)
class Table(Format):
    """CSV where the name ends in .csv, else TSV, where a quotation mark is a character like any other.

    columns: their names, for a file whose first line is not a header. delimiter: where the name misleads.
    """

    columns: tuple[str, ...] = ()
    delimiter: Literal["tab", "comma"] | None = None

    def records(self, stream: TextIO, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        commas = self.delimiter == "comma" or (
            self.delimiter is None and stream.name.lower().endswith(".csv")
        )
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if commas else csv.QUOTE_NONE
        lines = csv.reader(stream, delimiter="," if commas else "\t", quoting=quoting)
        header = list(self.columns) or next(lines, [])
        if not header:
            raise DataError(f"{where} is empty; its first line must name the columns")
        for column in wanted:
            if column not in header:
                raise DataError(f"{where} has no column {column!r}; its columns are {header}")
        rows = 0
        try:
            for cells in lines:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) < len(header):
                    namer = "task" if self.columns else "header"
                    raise DataError(
                        f"{where}:{lines.line_num}: {len(cells)} columns, "
                        f"but the {namer} names {len(header)}: {header}"
                    )
                rows += 1
                yield lines.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=False))
        except csv.Error as e:
            raise DataError(f"{where}:{lines.line_num}: {e}") from None
        if not rows:
            raise DataError(f"{where} has {'no rows' if self.columns else 'a header but no rows'}")


@dataclass(frozen=True, kw_only=True)
class Json(Format):
    """Objects: one a line, or one after another however they are laid out, or in one list.

    A name may lead inside: `target.span1_text`. A list as a label is any number of them; as a text, its
    parts with commas between.
    """

    def records(self, stream: TextIO, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        rows = 0
        for line, found in objects(stream, where):
            if not isinstance(found, dict):
                raise DataError(f"{where}:{line}: found {str(found)[:40]!r}; an object is needed")
            rows += 1
            yield line, flat(found)
        if not rows:
            raise DataError(f"{where} has no rows")


def objects(stream: TextIO, where: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of a file with their first lines; of JSON lines, one is in memory at a time."""
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError:
            yield from laid_out(line + stream.read(), number, where)
            return
        if isinstance(found, list):
            yield from ((number, part) for part in found)
        else:
            yield number, found


def laid_out(text: str, first_line: int, where: str) -> Iterator[tuple[int, Any]]:
    """JSON values that take more than a line each."""
    decoder, space = json.JSONDecoder(), re.compile(r"\s*")
    at, line = 0, first_line
    while (start := space.match(text, at).end()) < len(text):  # type: ignore[union-attr]  # always matches
        line += text.count("\n", at, start)
        try:
            found, at = decoder.raw_decode(text, start)
        except json.JSONDecodeError as e:
            raise DataError(
                f"{where}:{line + text.count(chr(10), start, e.pos)}: not JSON: {e.msg}"
            ) from None
        yield from ((line, part) for part in found) if isinstance(found, list) else ((line, found),)
        line += text.count("\n", start, at)


def flat(value: Mapping[str, Any], start: str = "") -> dict[str, str | list[str]]:
    """Every value by the way to it, as text."""
    found: dict[str, str | list[str]] = {}
    for name, part in value.items():
        if isinstance(part, dict):
            found |= flat(part, f"{start}{name}.")
        elif isinstance(part, list):
            found[f"{start}{name}"] = [as_text(item) for item in part]
        elif part is not None:
            found[f"{start}{name}"] = as_text(part)
    return found


def as_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


@dataclass(frozen=True, kw_only=True)
class Coreference(Json):
    """CLUEWSC: whether a pronoun means a noun; both are marked in the text, _noun_ and [pronoun]."""

    def wanted(self, labelled: bool) -> list[str]:
        spans = [f"target.span{number}_{part}" for number in (1, 2) for part in ("index", "text")]
        return [*super().wanted(labelled), *spans]

    def example(self, values: Mapping[str, str | list[str]], labelled: bool) -> Example:
        text = joined(values[self.text])
        spans = []
        for number, (left, right) in ((1, "__"), (2, "[]")):
            first, said = (joined(values[f"target.span{number}_{part}"]) for part in ("index", "text"))
            spans.append((int(first), int(first) + len(said), left, right))
        for start, end, left, right in sorted(spans, reverse=True):
            text = f"{text[:start]}{left}{text[start:end]}{right}{text[end:]}"
        return Example(text, self.labels(values[self.label]) if labelled else ())
