"""How a file holds examples: tables and lines. An error names the file, the line, and what is wrong."""

import codecs
import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from pare.decoding import has_half_characters
from pare.errors import DataError
from pare.tasks.bio import tagged
from pare.tasks.example import Example, Span, Unfit, singly

#: the line it begins on, and its values by name
Record = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Format(ABC):
    """text, pair, label: the names of what holds a text, the second one of a pair, and the label.

    separator: what stands between labels where a text has any number of them.
    leave_out: examples with such a label are not read. encoding: of the file.
    """

    text: str = "text"
    pair: str | None = None
    label: str | None = "label"
    separator: str | None = None
    leave_out: tuple[str, ...] = ()
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)  # codecs.lookup() also knows those between bytes, such as hex
        except (LookupError, UnicodeError):
            raise ValueError(f"encoding={self.encoding}: there is no such encoding of text") from None
        if self.separator == "":
            raise ValueError("separator: empty; null is for texts with one label")

    def read(self, file: Path, setting: str, labelled: bool = True) -> Iterator[tuple[int, Example]]:
        """Examples with their lines, in order. setting: the config key that led here, for messages."""
        where, left = f"{setting}: {file}", 0
        for found in self.examples(self.rows(file, where, self.wanted(labelled)), f"{where}:", labelled):
            left += 1
            yield found
        if not left:
            raise DataError(f"{where} has no rows with other labels than {list(self.leave_out)}")

    def examples(
        self, records: Iterable[Record], before: str, labelled: bool = True
    ) -> Iterator[tuple[int, Example]]:
        """Those of records that are not left out. before: what a record's number follows in messages."""
        for number, values in records:
            try:
                example = checked(self.example(values, labelled))
            except Unfit as e:
                raise DataError(f"{before}{number}: {e}") from None
            if not (self.leave_out and set(example.labels) & set(self.leave_out)):
                yield number, example

    def rows(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        """The records of a file that can be read and has some."""
        rows = 0
        try:
            for record in self.records(file, where, wanted):
                rows += 1
                yield record
        except OSError as e:
            raise DataError(f"{where}: {e.strerror or e}") from None
        if not rows:
            raise DataError(f"{where} has no rows")

    @contextmanager
    def opened(self, file: Path, where: str) -> Iterator[TextIO]:
        """With or without a byte order mark. where: begins the message of an error."""
        setting = where.partition(":")[0]
        if not file.is_file():
            raise DataError(f"{setting}: no such file: {file}")
        encoding = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        try:
            with file.open(encoding=encoding, newline="") as stream:
                yield stream
        except UnicodeDecodeError as e:  # which knows its place in a piece of the file only
            line = first_line_not(self.encoding, file.read_bytes())
            raise DataError(f"{setting}: {file}:{line}: not {self.encoding.upper()} ({e.reason})") from None

    def wanted(self, labelled: bool) -> list[str]:
        """The names of what is read."""
        return [name for name in (self.text, self.pair, self.label if labelled else None) if name is not None]

    @abstractmethod
    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        """What the file holds. where: begins the message of an error. wanted: the names that are read."""

    def example(self, values: Mapping[str, Any], labelled: bool = True) -> Example:
        """Unfit: the record lacks something, or has it in a way that makes no sense."""
        text = self.text_in(values, self.text)
        second = None if self.pair is None else self.text_in(values, self.pair)
        labels = self.labels(inside(values, self.label)) if labelled and self.label is not None else ()
        spans = self.spans(values, text if second is None else second) if labelled else ()
        return Example(text if second is None else (text, second), labels, spans)

    def text_in(self, values: Mapping[str, Any], name: str) -> str:
        """The text under that name, `text` or `pair`."""
        return joined(inside(values, name))

    @property
    def spanned(self) -> str:
        """The name of the text in which spans lie."""
        return self.text if self.pair is None else self.pair

    def labels(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, list):
            parts = value
        else:
            parts = [value] if self.separator is None else as_text(value).split(self.separator)
        return tuple(dict.fromkeys(text for part in parts if (text := as_text(part))))

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        """The values that a text names. text: that one, in a pair the second."""
        return ()


def first_line_not(encoding: str, content: bytes) -> int:
    """The first line that is not of that encoding."""
    try:
        return content.decode(encoding).count("\n") + 1
    except UnicodeDecodeError as e:
        return e.object[: e.start].decode(encoding).count("\n") + 1


def checked(example: Example) -> Example:
    for text in singly([example.text]):
        if has_half_characters(text):
            raise Unfit(f"{text!r} has half a character (a lone surrogate)")
    return example


def inside(values: Mapping[str, Any], name: str) -> Any:
    """The value of that name; `target.span1_text` leads into an object."""
    found: Any = values.get(name)
    if found is None and "." in name:
        found = values
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        raise Unfit(f"no {name!r}, only {sorted(names_in(values))}")
    return found


def names_in(values: Mapping[str, Any], start: str = "") -> Iterator[str]:
    """Every way to a value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from names_in(value, f"{start}{name}.")
        elif value is not None:
            yield f"{start}{name}"


@dataclass(frozen=True, kw_only=True)
class Table(Format):
    """CSV where the name ends in .csv, else TSV, where a quotation mark is a character like any other.

    columns: their names, for a file whose first line is not a header. delimiter: where the name misleads.
    """

    columns: tuple[str, ...] = ()
    delimiter: Literal["tab", "comma"] | None = None

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        commas = self.delimiter == "comma" or (self.delimiter is None and file.suffix.lower() == ".csv")
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if commas else csv.QUOTE_NONE
        with self.opened(file, where) as stream:
            lines = csv.reader(stream, delimiter="," if commas else "\t", quoting=quoting)
            try:
                header = list(self.columns)
                while not header:
                    found = next(lines, None)
                    if found is None:
                        break
                    header = [name.strip() for name in found]
                if not header:
                    raise DataError(f"{where} is empty; its first line must name the columns")
                for column in wanted:
                    if column not in header:
                        raise DataError(f"{where} has no column {column!r}; its columns are {header}")
                places = [(column, header.index(column)) for column in wanted]
                rows, end = 0, lines.line_num
                for cells in lines:
                    line, end = end + 1, lines.line_num  # a quoted cell may take several
                    if not cells or not (cells[0].strip() or "".join(cells).strip()):
                        continue
                    if len(cells) < len(header) or any(cells[len(header) :]):
                        namer = "task" if self.columns else "header"
                        raise DataError(
                            f"{where}:{line}: {len(cells)} columns, "
                            f"but the {namer} names {len(header)}: {header}"
                        )
                    rows += 1
                    yield line, {column: cells[place] for column, place in places}
            except csv.Error as e:
                raise DataError(f"{where}:{lines.line_num}: {e}") from None
            if not rows and not self.columns:
                raise DataError(f"{where} has a header but no rows")


@dataclass(frozen=True, kw_only=True)
class Lines(Format):
    """Several files of as many lines, named by a pattern: `train/*` and `text: seq.in` is train/seq.in.

    tags: the name of a file with a BIO tag for each word of the text, in a pair of the second one, words
    being what spaces part.
    """

    tags: str | None = None

    def wanted(self, labelled: bool) -> list[str]:
        return [*super().wanted(labelled), *([self.tags] if self.tags and labelled else [])]

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        if "*" not in str(file):
            raise DataError(f"{where}: a * must stand for the names of the files, which are {list(wanted)}")
        columns = {}
        for name in wanted:
            with self.opened(Path(str(file).replace("*", name)), where) as stream:
                columns[name] = [line.rstrip("\r\n") for line in stream]
        if len({len(column) for column in columns.values()}) > 1:
            counts = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
            raise DataError(f"{where}: the files have different numbers of lines: {counts}")
        for number, cells in enumerate(zip(*columns.values(), strict=True), 1):
            if any(cell.strip() for cell in cells):
                yield number, dict(zip(columns, cells, strict=True))

    def text_in(self, values: Mapping[str, Any], name: str) -> str:
        return " ".join(str(inside(values, name)).split())

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        return () if self.tags is None else tagged(text.split(), str(inside(values, self.tags)).split(), " ")


@dataclass(frozen=True, kw_only=True)
class Leading(Format):
    """A line an example, the label before the first space: TREC's `LOC:city What county is Modesto in ?`."""

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        with self.opened(file, where) as stream:
            for number, line in enumerate(stream, 1):
                cells = line.split(maxsplit=1)
                if len(cells) == 1:
                    raise DataError(
                        f"{where}:{number}: {cells[0]!r} alone; a label, a space and a text are needed"
                    )
                if cells:
                    yield number, {str(self.label): cells[0], self.text: cells[1]}


def as_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def joined(value: Any) -> str:
    return ", ".join(as_text(part) for part in value) if isinstance(value, list) else as_text(value)
