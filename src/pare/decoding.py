"""From logits to an answer in the user's terms. Needs numpy only: every bundle carries this file."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

OUTSIDE = "O"


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
    """The most likely row of tags in which each I- continues a span of its label (Viterbi).

    logits: (tokens, tags).
    """
    starts, allowed = transitions(tuple(tags))
    score = np.where(starts, logits[0], -np.inf)
    came_from = []
    for row in logits[1:]:
        reach = allowed + score
        best = reach.argmax(axis=1)
        came_from.append(best)
        score = reach[np.arange(len(tags)), best] + row
    path = [int(score.argmax())]
    for best in reversed(came_from):
        path.append(int(best[path[-1]]))
    return [tags[i] for i in reversed(path)]


def decode(
    outputs: Sequence[Mapping[str, Any]],
    text: str,
    offsets: Sequence[tuple[int, int]],
    logits: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """One JSON answer. outputs: name, labels and scope of each head, as in bundle.json."""
    answer: dict[str, Any] = {}
    for output in outputs:
        name, labels = output["name"], output["labels"]
        if output.get("choice", "one") == "any":
            answer[name] = [label for label, logit in zip(labels, logits[name], strict=True) if logit > 0]
        elif output["scope"] == "text":
            answer[name] = labels[int(np.argmax(logits[name]))]
        else:
            real = [i for i, (start, end) in enumerate(offsets) if start != end]
            tags = best_tags(logits[name][real], labels) if real else []
            spans = spans_of(tags, [offsets[i] for i in real])
            answer[name] = [{"label": s, "value": text[a:b], "start": a, "end": b} for a, b, s in spans]
    return answer
