"""How JSON holds examples: as objects, a line each or however they are laid out."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pare.errors import DataError
from pare.tasks.example import Unfit
from pare.tasks.formats import Format, Record, inside

PART = "#"  # between a file and the name of a list in it


@dataclass(frozen=True, kw_only=True)
class Json(Format):
    """Objects: one a line, or one after another however they are laid out, or in one list.

    A name may lead inside: `target.span1_text`. A list as a label is any number of them; as a text, its
    parts with commas between. `rows.json#train` reads the list `train` of the one object in rows.json.
    columns: names for rows that are lists.
    """

    columns: tuple[str, ...] = ()

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        part = ""
        if PART in file.name and not file.is_file():
            name, _, part = file.name.rpartition(PART)
            file = file.with_name(name)
        with self.opened(file, where) as stream:
            rows = objects(stream, where)
            for line, found in part_of(rows, part, where) if part else rows:
                if self.columns and isinstance(found, list) and len(found) >= len(self.columns):
                    yield line, dict(zip(self.columns, found, strict=False))
                elif isinstance(found, dict) and not self.columns:
                    yield line, found
                else:
                    needed = f"a list of {', '.join(self.columns)}" if self.columns else "an object"
                    raise DataError(f"{where}:{line}: found {str(found)[:40]!r}; {needed} is needed")


def part_of(found: Iterator[tuple[int, Any]], name: str, where: str) -> Iterator[tuple[int, Any]]:
    """What the list of that name holds; a name may lead inside. Only the line of the whole is known."""
    for line, whole in found:
        try:
            rows = inside(whole, name) if isinstance(whole, dict) else None
        except Unfit as e:
            raise DataError(f"{where}: {e}") from None
        if not isinstance(rows, list):
            raise DataError(f"{where}: {name!r} is not a list")
        yield from ((line, row) for row in rows)


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
        yield from ((number, one) for one in several(found))


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
        yield from ((line, one) for one in several(found))
        line += text.count("\n", start, at)


def several(found: Any) -> list[Any]:
    """The rows of a list of rows; anything else, such as a row that is a list of cells, is one row."""
    rows = isinstance(found, list) and all(isinstance(one, (dict, list)) for one in found)
    return found if rows else [found]


@dataclass(frozen=True, kw_only=True)
class Coreference(Json):
    """CLUEWSC: whether a pronoun means a noun; both are marked in the text, _noun_ and [pronoun]."""

    def text_in(self, values: Mapping[str, Any], name: str) -> str:
        if name != self.text:
            return super().text_in(values, name)
        text, marks = str(inside(values, name)), []  # as it is, for places to be right
        for number, (left, right) in ((1, "__"), (2, "[]")):
            start, said = (inside(values, f"target.span{number}_{part}") for part in ("index", "text"))
            if not isinstance(start, int) or not 0 <= start <= start + len(said) <= len(text):
                raise Unfit(f"{said!r} at {start}, but the text has {len(text)} characters")
            marks.append((start, start + len(said), left, right))
        for start, end, left, right in sorted(marks, reverse=True):
            text = f"{text[:start]}{left}{text[start:end]}{right}{text[end:]}"
        return text.strip()
