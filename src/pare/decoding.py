"""From logits to an answer in the user's terms. Needs numpy only: every bundle carries this file."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

#: what a model reads at once: a text, or a pair of them
Text = str | tuple[str, str]

OUTSIDE = "O"
STARTS, ENDS = "start-", "end-"  # labels of where spans begin and end


def has_half_characters(text: str) -> bool:
    """Whether there are lone surrogates in it, which no tokenizer takes."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def spans_of(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int, str]]:
    """(start, end, label) of the spans that BIO tags describe, in characters.

    An I- that continues nothing opens a span, as conlleval has it.
    """
    spans: list[tuple[int, int, str]] = []
    open_label: str | None = None
    for tag, (start, end) in zip(tags, offsets, strict=True):
        kind, _, label = tag.partition("-")
        if kind == "I" and label == open_label:
            spans[-1] = (spans[-1][0], end, label)
        elif kind in ("B", "I"):
            spans.append((start, end, label))
        open_label = label if kind in ("B", "I") else None
    return spans


def pointed_spans(
    logits: np.ndarray, labels: Sequence[str], offsets: Sequence[tuple[int, int]]
) -> list[tuple[int, int, str]]:
    """(start, end, label) of what logits above 0 point at, in characters, from left to right.

    logits: (tokens, labels), labels start-x and end-x. A start goes with the first end at or after it.
    """
    spans = []
    for number, label in enumerate(labels):
        if not label.startswith(STARTS):
            continue
        kind = label.removeprefix(STARTS)
        ends = above_0(logits[:, labels.index(ENDS + kind)])
        for start in above_0(logits[:, number]):
            last = next((end for end in ends if end >= start), None)
            if last is not None:
                spans.append((offsets[start][0], offsets[last][1], kind))
    return sorted(spans)


def above_0(logits: np.ndarray) -> list[int]:
    found: list[int] = np.flatnonzero(logits > 0).tolist()
    return found


@cache
def transitions(tags: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which tags may come first, and the cost, 0 or infinite, of a tag (row) after another (column)."""
    starts = np.array([not tag.startswith("I-") for tag in tags])
    same = np.array(
        [
            [tag[:2] == "I-" and before[:1] in "BI" and tag[2:] == before[2:] for before in tags]
            for tag in tags
        ]
    )
    return starts, np.where(same | starts[:, None], 0.0, -np.inf)


def best_tags(logits: np.ndarray, tags: Sequence[str]) -> list[str]:
    """The most likely row of tags in which each I- continues a span of its label.

    logits: (tokens, tags).
    """
    starts, allowed = transitions(tuple(tags))
    path = logits.argmax(axis=1)
    # where the best of all rows makes sense, it is the best of those that do; of equals both are the first
    if not starts[path[0]] or allowed[path[1:], path[:-1]].any():
        path = viterbi(logits, starts, allowed)
    return [tags[i] for i in path.tolist()]


def viterbi(logits: np.ndarray, starts: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The best row of those that make sense, as numbers. starts, allowed: see `transitions`."""
    score = np.where(starts, logits[0], -np.inf)
    every = np.arange(len(starts))
    came_from = []
    for row in logits[1:]:
        reach = allowed + score
        best = reach.argmax(axis=1)
        came_from.append(best)
        score = reach[every, best] + row
    path = [score.argmax()]
    for best in reversed(came_from):
        path.append(best[path[-1]])
    return np.array(path[::-1])


def held_labels(logits: np.ndarray, implied: Sequence[Sequence[int]]) -> np.ndarray:
    """Which labels hold: those above 0, and those that they imply."""
    held: np.ndarray = logits > 0
    for label in np.flatnonzero(held).tolist() if implied else ():
        held[list(implied[label])] = True
    return held


def offsets_of(encoding: Any, text: Text) -> list[tuple[int, int]]:
    """Where tokens lie in the text, of a pair in the second one, in characters; (0, 0) for all others.

    White space before a word is not part of it, whatever the tokenizer says. encoding: of `tokenizers`.
    """
    places: list[tuple[int, int]] = encoding.offsets
    if not isinstance(text, str):
        numbers = encoding.sequence_ids
        places = [place if number == 1 else (0, 0) for place, number in zip(places, numbers, strict=True)]
        text = text[1]
    return [(end - len(text[start:end].lstrip()), end) for start, end in places]


def probabilities(
    outputs: Sequence[Mapping[str, Any]], logits: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Of the labels of each head that reads whole texts; where any number may hold, each by itself."""
    found = {}
    for output in outputs:
        if output["scope"] == "text":
            values = logits[output["name"]].astype(np.float64)
            if output.get("choice", "one") == "any":
                shares = (1 + np.tanh(values / 2)) / 2
            else:
                shares = np.exp(values - values.max())
                shares /= shares.sum()
            found[output["name"]] = dict(zip(output["labels"], shares.round(6).tolist(), strict=True))
    return found


def decode(
    outputs: Sequence[Mapping[str, Any]],
    text: Text,
    offsets: Sequence[tuple[int, int]],
    logits: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """One JSON answer. outputs: name, labels and scope of each head, as in bundle.json."""
    answer: dict[str, Any] = {}
    text = text if isinstance(text, str) else text[1]
    for output in outputs:
        name, labels = output["name"], output["labels"]
        choice = output.get("choice", "one")
        if output["scope"] == "text" and choice == "any":
            held = held_labels(logits[name], output.get("implied", ()))
            answer[name] = [label for label, holds in zip(labels, held, strict=True) if holds]
        elif output["scope"] == "text":
            answer[name] = labels[int(np.argmax(logits[name]))]
        else:
            real = [i for i, (start, end) in enumerate(offsets) if start != end]
            found, places = logits[name][real], [offsets[i] for i in real]
            if choice == "any":
                spans = pointed_spans(found, labels, places)
            else:
                spans = spans_of(best_tags(found, labels) if real else [], places)
            answer[name] = [{"label": s, "value": text[a:b], "start": a, "end": b} for a, b, s in spans]
    return answer
