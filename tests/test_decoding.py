"""From logits to spans of text and back."""

from itertools import product

import numpy as np
import pytest

from pare.decoding import best_tags, decode, spans_of
from pare.tasks.bio import tags_of
from pare.tasks.car import generate
from pare.tasks.text import TextEncoder, train_wordpiece

TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]


def valid(row: tuple[int, ...]) -> bool:
    before = "O"
    for tag in (TAGS[i] for i in row):
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return False
        before = tag
    return True


@pytest.mark.parametrize("seed", range(20))
def test_the_best_tags_are_the_best_of_all_that_make_sense(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(4, len(TAGS)))
    rows = [row for row in product(range(len(TAGS)), repeat=4) if valid(row)]
    best = max(rows, key=lambda row: sum(logits[i, tag] for i, tag in enumerate(row)))
    assert best_tags(logits, TAGS) == [TAGS[i] for i in best]


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
