"""One text, or a pair of texts, with what is known of it, and its tokens."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pare.decoding import Text

ANSWER = "answer"  # the kind of all spans that answer a prompt


def singly(texts: Iterable[Text]) -> Iterator[str]:
    """Each text of each pair."""
    for text in texts:
        yield from (text,) if isinstance(text, str) else text


def lengths_of(texts: Iterable[Text]) -> list[int]:
    """In characters; of a pair, those of both texts."""
    return [sum(map(len, singly([text]))) for text in texts]


class Unfit(ValueError):
    """What is wrong with an example: it lacks something, or has it in a way that makes no sense."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled stretch of text: `text[start:end]`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Example:
    """labels: what holds of the whole text. spans: the values it names; in a pair, the second text does."""

    text: Text
    labels: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()

    @property
    def label(self) -> str:
        """The one label."""
        (found,) = self.labels
        return found


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one text or pair.

    offsets: characters of the text, in a pair of the second one; (0, 0) for all other tokens.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
