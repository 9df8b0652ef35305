"""Spans of characters as BIO tags of tokens; `pare.decoding` goes the other way."""

from collections.abc import Sequence

from pare.decoding import OUTSIDE

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
