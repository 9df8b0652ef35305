"""From logits to spans of text and back."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from pare.decoding import best_tags, decode, spans_of, transitions, viterbi
from pare.tasks.bio import tags_of
from pare.tasks.car import generate
from pare.tasks.text import TextEncoder, train_wordpiece


def named(labels: int) -> list[str]:
    return ["O", *(f"{kind}-{number}" for number in range(labels) for kind in "BI")]


def valid(row: Sequence[str]) -> bool:
    before = "O"
    for tag in row:
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return False
        before = tag
    return True


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("tokens", "labels"), [(1, 3), (2, 4), (4, 2), (5, 2), (6, 1)])
def test_the_best_tags_are_the_best_of_all_that_make_sense(tokens: int, labels: int, tied: bool) -> None:
    """Of rows that are as good as each other the one whose last tag comes first, then whose last but one …"""
    tags = named(labels)
    rows = [row for row in product(range(len(tags)), repeat=tokens) if valid([tags[i] for i in row])]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(tokens, len(tags)))
        if tied:
            logits = logits.round()
        totals = logits[np.arange(tokens), rows].sum(axis=1)
        best = min(zip(-totals, (row[::-1] for row in rows), strict=True))[1][::-1]
        assert best_tags(logits, tags) == [tags[i] for i in best]


@pytest.mark.parametrize("sure", [0, 2, 4, 8])
@pytest.mark.parametrize(("tokens", "labels"), [(1, 1), (12, 3), (30, 79), (128, 20)])
def test_tags_that_make_sense_at_once_are_those_of_the_long_way(tokens: int, labels: int, sure: int) -> None:
    """Networks are mostly sure of tags that make sense."""
    tags = named(labels)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(tokens, len(tags))).astype(np.float32)
        logits[np.arange(tokens), viterbi(logits, *transitions(tuple(tags)))] += sure
        long_way = viterbi(logits, *transitions(tuple(tags)))
        assert best_tags(logits, tags) == [tags[i] for i in long_way]


def test_spans_end_where_another_begins() -> None:
    offsets = [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert spans_of(["B-a", "I-a", "B-a", "O"], offsets) == [(0, 2, "a"), (2, 3, "a")]
    assert spans_of(["B-a", "B-b", "O", "I-b"], offsets) == [(0, 1, "a"), (1, 2, "b"), (3, 4, "b")]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_gold_tags_come_back_as_the_spans_they_were(language: str) -> None:
    utterances = generate(language, 0, {"train": 800})["train"]  # type: ignore[arg-type]
    encoder = TextEncoder(train_wordpiece([u.text for u in utterances], 1500), 64)
    labels = sorted({s.label for u in utterances for s in u.spans})
    tags = ["O", *(f"{p}-{label}" for label in labels for p in "BI")]
    outputs = [{"name": "slots", "labels": tags, "scope": "token"}]
    same = 0
    for utterance, encoded in zip(utterances, encoder.encode([u.text for u in utterances]), strict=True):
        spans = [(s.start, s.end, s.label) for s in utterance.spans]
        logits = np.zeros((len(encoded.ids), len(tags)))
        for i, tag in enumerate(tags_of(spans, encoded.offsets)):
            logits[i, tags.index(tag or "O")] = 1
        found = decode(outputs, utterance.text, encoded.offsets, {"slots": logits})["slots"]
        same += [(s["start"], s["end"], s["label"]) for s in found] == spans
        assert all(s["value"] == utterance.text[s["start"] : s["end"]] for s in found)
    assert same / len(utterances) > 0.985  # a slip of the tongue may join a value to the word beside it
