"""How a file holds texts with the values that they name: JSON, words with tags, marks in the text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pare.errors import DataError
from pare.tasks.example import ANSWER, Span
from pare.tasks.formats import Format, Json, Record, Table, Unfit, as_text, inside, tagged


def placed(start: Any, end: Any, kind: Any, text: str) -> Span:
    """A span that lies in its text."""
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        raise Unfit(
            f"a span {as_text(kind)!r} from {start} to {end}, but the text has {len(text)} characters"
        )
    return Span(start, end, as_text(kind))


@dataclass(frozen=True, kw_only=True)
class Annotated(Json):
    """Objects with a list of spans, each an object, or a list of start, end and kind.

    spans: the name of the list. start, end, kind: the names of their parts; a start that is left out is 0.
    inclusive: the character at `end` belongs to the span.
    """

    label: str | None = None
    spans_in: str = "entities"
    start: str = "start"
    end: str = "end"
    kind: str = "label"
    inclusive: bool = False

    def whole(self, values: Mapping[str, Any]) -> str:
        return str(inside(values, self.text))  # as it is, for places to be right

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        found = values.get(self.spans_in) or []
        if not isinstance(found, list):
            raise Unfit(f"{self.spans_in!r} is not a list")
        return tuple(sorted(self.span(one, text) for one in found))

    def span(self, one: Any, text: str) -> Span:
        if isinstance(one, dict):
            try:
                start = inside(one, self.start)
            except Unfit:
                start = 0
            end, kind = inside(one, self.end), inside(one, self.kind)
        elif isinstance(one, list) and len(one) == 3:
            start, end, kind = one
        else:
            raise Unfit(f"found {str(one)[:40]!r}; an object or a list of start, end and kind is needed")
        return placed(start, end + self.inclusive, kind, text)


@dataclass(frozen=True, kw_only=True)
class ByKind(Annotated):
    """Spans as CLUENER has them: `{"name": {"叶老桂": [[9, 11]]}}`, ends inclusive."""

    spans_in: str = "label"
    inclusive: bool = True

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        return tuple(
            sorted(
                placed(start, end + self.inclusive, kind, text)
                for kind, said in (values.get(self.spans_in) or {}).items()
                for places in said.values()
                for start, end in places
            )
        )


@dataclass(frozen=True, kw_only=True)
class Rasa(Annotated):
    """Rasa's training data: texts with an intent and entities."""

    label: str | None = "intent"
    kind: str = "entity"

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        return super().records(Path(f"{file}#rasa_nlu_data.common_examples"), where, wanted)


@dataclass(frozen=True, kw_only=True)
class Answers(Annotated):
    """What UIE is taught with: a prompt, a text, and the stretches of it that answer the prompt."""

    text: str = "prompt"
    pair: str | None = "content"
    spans_in: str = "result_list"

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        return super().spans(values, str(inside(values, str(self.pair))))

    def span(self, one: Any, text: str) -> Span:
        return super().span({"label": ANSWER, **one} if isinstance(one, dict) else one, text)


@dataclass(frozen=True, kw_only=True)
class Conll(Format):
    """A word a line, with its tag in the last column; an empty line ends a sentence.

    Tags are BIO, or BIOES, or IOB1, which begin a span with I- where none of its kind is before.
    joiner: what stands between words; nothing in Chinese.
    """

    text: str = "tokens"
    label: str | None = None
    tags: str = "tags"
    joiner: str = " "

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        words: list[str] = []
        tags: list[str] = []
        first = 0
        with self.opened(file, where) as stream:
            for number, line in enumerate(stream, 1):
                cells = line.split()
                if not cells or cells[0] == "-DOCSTART-":
                    if words:
                        yield first, {self.text: words, self.tags: tags}
                    words, tags = [], []
                    continue
                if len(cells) < 2:
                    raise DataError(f"{where}:{number}: {line.strip()!r}; a word and a tag are needed")
                first = first if words else number
                words.append(cells[0])
                tags.append(cells[-1])
        if words:
            yield first, {self.text: words, self.tags: tags}

    def whole(self, values: Mapping[str, Any]) -> str:
        return self.joiner.join(inside(values, self.text))

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        tags = [bio(tag) for tag in inside(values, self.tags)]
        return tagged(inside(values, self.text), tags, self.joiner)


def bio(tag: str) -> str:
    """A tag of BIOES or BMES as one of BIO."""
    kind, _, label = tag.partition("-")
    if kind not in ("O", "B", "I", "E", "S", "M") or (kind != "O" and not label):
        raise Unfit(f"found {tag!r} as a tag; O, or B-, I-, E-, M- or S- and a label are needed")
    return tag if kind == "O" else f"{'B' if kind in 'BS' else 'I'}-{label}"


@dataclass(frozen=True, kw_only=True)
class Marked(Table):
    """A table in whose text the values are marked: `来一首<singer>周华健</singer>的<song>花心</song>`.

    A mark may hold `heard||meant`; the text has what was heard.
    """

    def whole(self, values: Mapping[str, Any]) -> str:
        return unmarked(super().whole(values))

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        return spans_of_marks(super().whole(values))


_MARK = re.compile(r"<([\w.-]+)>(.*?)</\1>")


def heard(inside: str) -> str:
    return inside.split("||")[0]


def unmarked(text: str) -> str:
    return _MARK.sub(lambda found: heard(found[2]), text)


def spans_of_marks(marked: str) -> tuple[Span, ...]:
    """Where the values lie in the text without its marks."""
    spans, taken = [], 0  # characters of marks and of what was meant, so far
    for found in _MARK.finditer(marked):
        start = found.start() - taken
        value = heard(found[2])
        spans.append(Span(start, start + len(value), found[1]))
        taken += len(found[0]) - len(value)
    return tuple(spans)
