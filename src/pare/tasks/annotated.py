"""How a file holds texts with the values that they name: JSON, words with tags, marks in the text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import digits
from typing import Any

from pare.errors import DataError
from pare.tasks.bio import bio, tagged
from pare.tasks.example import ANSWER, Span, Unfit
from pare.tasks.formats import Format, Record, Table, as_text, inside
from pare.tasks.objects import PART, Json


def placed(start: Any, end: Any, kind: Any, text: str, inclusive: bool) -> Span:
    """A span that lies in its text. inclusive: the character at `end` belongs to it."""
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end + inclusive <= len(text)):
        place = f"from {start!r} to {end!r}"
        raise Unfit(f"a span {as_text(kind)!r} {place}, but the text has {len(text)} characters")
    return Span(start, end + inclusive, as_text(kind))


@dataclass(frozen=True, kw_only=True)
class Annotated(Json):
    """Objects with a list of spans, each an object, or a list of start, end and kind.

    spans_in: the name of the list. start, end, kind: the names of their parts.
    inclusive: the character at `end` belongs to the span. zero_left_out: a start that is not there is 0.
    """

    label: str | None = None
    spans_in: str = "entities"
    start: str = "start"
    end: str = "end"
    kind: str = "label"
    inclusive: bool = False
    zero_left_out: bool = False

    def text_in(self, values: Mapping[str, Any], name: str) -> str:
        if name != self.spanned:
            return super().text_in(values, name)
        return str(inside(values, name))  # as it is, for places to be right

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        found = self.listed(values)
        if not isinstance(found, list):
            raise Unfit(f"{self.spans_in!r} is not a list")
        return tuple(sorted(self.span(one, text) for one in found))

    def listed(self, values: Mapping[str, Any]) -> Any:
        """What is under the name of the spans; without it there are none."""
        try:
            return inside(values, self.spans_in)
        except Unfit:
            return []

    def span(self, one: Any, text: str) -> Span:
        if isinstance(one, dict):
            end, kind, start = inside(one, self.end), inside(one, self.kind), self.start_of(one)
        elif isinstance(one, list) and len(one) == 3:
            start, end, kind = one
        else:
            raise Unfit(f"found {str(one)[:40]!r}; an object or a list of start, end and kind is needed")
        return placed(start, end, kind, text, self.inclusive)

    def start_of(self, one: Mapping[str, Any]) -> Any:
        try:
            return inside(one, self.start)
        except Unfit:
            if self.zero_left_out:
                return 0
            raise


@dataclass(frozen=True, kw_only=True)
class ByKind(Annotated):
    """Spans as CLUENER has them: `{"name": {"叶老桂": [[9, 11]]}}`, ends inclusive."""

    spans_in: str = "label"
    inclusive: bool = True

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        found = self.listed(values) or {}
        try:
            places = [
                (start, end, kind)
                for kind, said in found.items()
                for places in said.values()
                for start, end in places
            ]
        except (AttributeError, TypeError, ValueError):
            raise Unfit(
                f"{self.spans_in!r} is {str(found)[:40]!r}; {{kind: {{text: [[start, end]]}}}} is needed"
            ) from None
        return tuple(sorted(placed(*place, text, self.inclusive) for place in places))


@dataclass(frozen=True, kw_only=True)
class Rasa(Annotated):
    """Rasa's training data: texts with an intent and entities."""

    label: str | None = "intent"
    kind: str = "entity"

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        return super().records(Path(f"{file}{PART}rasa_nlu_data.common_examples"), where, wanted)


@dataclass(frozen=True, kw_only=True)
class Answers(Annotated):
    """What UIE is taught with: a prompt, a text, and the stretches of it that answer the prompt."""

    text: str = "prompt"
    pair: str | None = "content"
    spans_in: str = "result_list"

    def span(self, one: Any, text: str) -> Span:
        return super().span({"label": ANSWER, **one} if isinstance(one, dict) else one, text)


@dataclass(frozen=True, kw_only=True)
class Conll(Format):
    """A word a line, with its tag in the last column; an empty line ends a sentence.

    Tags are BIO, BIOES, BMES, or IOB1, which begin a span with I- where none of its kind is before.
    joiner: what stands between words; nothing in Chinese. numbered: words end with a digit that is no part of
    them, as characters of Weibo NER do with their place in a longer word.
    """

    text: str = "tokens"
    label: str | None = None
    tags: str = "tags"
    joiner: str = " "
    numbered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pair is not None:
            raise ValueError(f"pair={self.pair}: words with tags come without a second text")

    def records(self, file: Path, where: str, wanted: Sequence[str]) -> Iterator[Record]:
        words: list[str] = []
        tags: list[str] = []
        first = 0
        with self.opened(file, where) as stream:
            for number, line in enumerate(stream, 1):
                cells = _BLANK.split(line.strip(" \t\r\n"))  # other spaces may be words
                if cells == [""] or cells[0] == "-DOCSTART-":
                    if words:
                        yield first, {self.text: words, self.tags: tags}
                    words, tags = [], []
                    continue
                if len(cells) < 2:
                    raise DataError(f"{where}:{number}: {line.strip()!r}; a word and a tag are needed")
                try:
                    bio(cells[-1])
                except Unfit as e:
                    raise DataError(f"{where}:{number}: {e}") from None
                first = first if words else number
                words.append(cells[0])
                tags.append(cells[-1])
        if words:
            yield first, {self.text: words, self.tags: tags}

    def text_in(self, values: Mapping[str, Any], name: str) -> str:
        return self.joiner.join(self.words(values))

    def words(self, values: Mapping[str, Any]) -> Sequence[str]:
        words: Sequence[str] = inside(values, self.text)
        if not self.numbered:
            return words
        for word in words:
            if not word.endswith(tuple(digits)):
                raise Unfit(f"the word {word!r} does not end with a digit, as all do where numbered=true")
        return [word[:-1] for word in words]

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        return tagged(self.words(values), inside(values, self.tags), self.joiner)


@dataclass(frozen=True, kw_only=True)
class Marked(Table):
    """A table in whose text the values are marked: `来一首<singer>周华健</singer>的<song>花心</song>`.

    Marks may lie in each other. One may end with `heard||meant`; the text has what was heard. In a pair both
    texts may have marks, and those of the second are values.
    """

    def text_in(self, values: Mapping[str, Any], name: str) -> str:
        return without_marks(super().text_in(values, name))[0]

    def spans(self, values: Mapping[str, Any], text: str) -> tuple[Span, ...]:
        return without_marks(super().text_in(values, self.spanned))[1]


_BLANK = re.compile(r"[ \t]+")
_MARK = re.compile(r"<(/?)([\w.-]+)>")


def without_marks(marked: str) -> tuple[str, tuple[Span, ...]]:
    """The text as it was heard, and where its values lie in it."""
    text, at = "", 0
    spans: list[Span] = []
    opened: list[tuple[str, int]] = []
    for mark in _MARK.finditer(marked):
        part = marked[at : mark.start()]
        text += part.partition("||")[0] if opened else part
        at = mark.end()
        ends, kind = mark.groups()
        if not ends:
            opened.append((kind, len(text)))
            continue
        if not opened or opened[-1][0] != kind:
            raise Unfit(f"{mark[0]} ends no mark that is open in {marked!r}")
        start = opened.pop()[1]
        if start == len(text):
            raise Unfit(f"the mark <{kind}> in {marked!r} is empty")
        spans.append(Span(start, len(text), kind))
    if opened:
        raise Unfit(f"the mark <{opened[-1][0]}> in {marked!r} has no end")
    return text + marked[at:], tuple(sorted(spans))
