"""Spans of characters as BIO tags of tokens, and the tags of words as spans; `pare.decoding` has the rest."""

from collections.abc import Sequence
from typing import Any

from pare.decoding import OUTSIDE, spans_of
from pare.tasks.example import Span, Unfit

Labelled = tuple[int, int, str]  # start, end, label


def tags_of(spans: Sequence[Labelled], offsets: Sequence[tuple[int, int]]) -> list[str | None]:
    """One tag per token; None for special tokens. A token belongs to the span its first character is in."""
    tags: list[str | None] = []
    previous: Labelled | None = None
    for start, end in offsets:
        if start == end:
            tags.append(None)
            continue
        span = next((s for s in spans if s[0] <= start < s[1]), None)
        tags.append(OUTSIDE if span is None else ("I-" if span == previous else "B-") + span[2])
        previous = span
    return tags


def tagged(words: Sequence[str], tags: Sequence[str], space: str) -> tuple[Span, ...]:
    """The spans that a tag for each word describes, in the words with `space` between them."""
    if len(words) != len(tags):
        raise Unfit(f"{len(words)} words, {len(tags)} tags")
    offsets, start = [], 0
    for word in words:
        offsets.append((start, start + len(word)))
        start += len(word) + len(space)
    return tuple(Span(*span) for span in spans_of([bio(tag) for tag in tags], offsets))


def bio(tag: Any) -> str:
    """A tag of BIO, of IOB1, of BIOES or of BMES as one of BIO."""
    kind, _, label = str(tag).partition("-")
    if kind not in ("O", "B", "I", "E", "S", "M") or (kind != "O" and not label):
        raise Unfit(f"found {tag!r} as a tag; O, or B-, I-, E-, M- or S- and a label are needed")
    return "O" if kind == "O" else f"{'B' if kind in 'BS' else 'I'}-{label}"
