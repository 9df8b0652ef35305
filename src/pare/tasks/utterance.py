"""One sentence with its intent and slots, in characters of the text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled stretch of text: `text[start:end]`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sentence, what it asks for, and the values it names."""

    text: str
    intent: str
    slots: tuple[Span, ...] = ()
