"""Spans of characters as the tokens that begin and end them, as UIE does; `pare.decoding` goes the other way.

Spans of different kinds may overlap or lie in each other, which BIO tags cannot say.
"""

from collections.abc import Sequence
from unicodedata import category

from pare.decoding import ENDS, STARTS
from pare.tasks.bio import Labelled


def pointer_labels(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{end}{kind}" for kind in kinds for end in (STARTS, ENDS))


def pointers_of(
    text: str, spans: Sequence[Labelled], offsets: Sequence[tuple[int, int]], labels: Sequence[str]
) -> list[list[int] | None]:
    """The ids of the labels of each token; None for special tokens.

    A span of a kind that `labels` lacks, or of which the text was cut before its end, is left out.
    """
    found: list[list[int] | None] = [None if start == end else [] for start, end in offsets]
    ids = {label: i for i, label in enumerate(labels)}
    for first, last, kind in spans:
        inside = [
            t for t, (start, end) in enumerate(offsets) if start != end and start < last and end > first
        ]
        if f"{STARTS}{kind}" not in ids or not inside or visible(text[offsets[inside[-1]][1] : last]):
            continue
        for token, label in ((inside[0], STARTS), (inside[-1], ENDS)):
            held = found[token]
            assert held is not None
            held.append(ids[f"{label}{kind}"])
    return found


def visible(text: str) -> bool:
    """Whether it holds more than spaces, marks and control characters, which tokenizers may drop."""
    return any(category(character)[0] in "LNPS" for character in text)
