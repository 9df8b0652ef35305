"""The generated car commands: labels that hold, splits that stay apart, the same data every time."""

import time
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

import pytest

from pare.tasks.car import generate
from pare.tasks.example import Example

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
SIZES = {"train": 6000, "dev": 800, "test": 1500, "unlabelled": 6000}

pytestmark = pytest.mark.parametrize("language", LANGUAGES)


@cache
def corpus(language: Language) -> dict[str, list[Example]]:
    return generate(language, 7, SIZES)


def everything(language: Language) -> list[Example]:
    return [utterance for split in corpus(language).values() for utterance in split]


def values(utterance: Example) -> set[tuple[str, str]]:
    return {(span.label, utterance.text[span.start : span.end].casefold()) for span in utterance.spans}


def frame(utterance: Example) -> str:
    text = utterance.text.casefold()
    for span in reversed(utterance.spans):
        text = f"{text[: span.start]}{{{span.label}}}{text[span.end :]}"
    return text


def seen_in_training(language: Language) -> Iterable[Example]:
    return corpus(language)["train"] + corpus(language)["unlabelled"]


def test_every_split_has_the_size_asked_for(language: Language) -> None:
    assert {split: len(utterances) for split, utterances in corpus(language).items()} == SIZES


def test_spans_lie_inside_the_text_in_order_and_apart(language: Language) -> None:
    for utterance in everything(language):
        end = 0
        for span in utterance.spans:
            assert end <= span.start < span.end <= len(utterance.text)
            value = utterance.text[span.start : span.end]
            assert value == value.strip(" ,，")
            end = span.end


def test_texts_are_clean(language: Language) -> None:
    for utterance in everything(language):
        assert utterance.text == utterance.text.strip()
        assert not set(utterance.text) & set("{}<>|*();")
        assert not any(doubled in utterance.text for doubled in ("  ", "，，", ",,", " ,")), utterance.text


def test_many_intents_and_slot_types(language: Language) -> None:
    train = corpus(language)["train"]
    intents = Counter(utterance.label for utterance in train)
    labels = {span.label for utterance in train for span in utterance.spans}
    assert len(intents) >= 11
    assert min(intents.values()) >= 0.025 * len(train)
    assert len(labels) >= 25


def test_out_of_scope_sentences_name_nothing(language: Language) -> None:
    others = [utterance for utterance in everything(language) if utterance.label == "others"]
    assert others
    assert not any(utterance.spans for utterance in others)


def test_the_same_seed_gives_the_same_data(language: Language) -> None:
    assert generate(language, 7, SIZES) == corpus(language)


def test_another_seed_gives_other_data(language: Language) -> None:
    other = generate(language, 8, {"train": 500})["train"]
    assert other != corpus(language)["train"][:500]


def test_a_smaller_split_is_a_prefix_whatever_the_other_sizes(language: Language) -> None:
    small = generate(language, 7, {"test": 60, "train": 100})
    assert small["train"] == corpus(language)["train"][:100]
    assert small["test"] == corpus(language)["test"][:60]


def test_no_sentence_is_in_two_splits_even_of_different_seeds(language: Language) -> None:
    other_seed = generate(language, 8, SIZES)
    texts = {
        split: {utterance.text for utterance in corpus(language)[split] + other_seed[split]}
        for split in SIZES
    }
    for split, own in texts.items():
        for other, others in texts.items():
            assert split == other or not own & others


def test_no_sentence_is_twice_in_a_split(language: Language) -> None:
    for split in corpus(language).values():
        assert len({utterance.text for utterance in split}) == len(split)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_evaluation_has_values_and_phrasings_that_training_lacks(language: Language, split: str) -> None:
    known_values = set().union(*(values(utterance) for utterance in seen_in_training(language)))
    known_frames = {frame(utterance) for utterance in seen_in_training(language)}
    evaluated = corpus(language)[split]
    with_unseen_value = sum(not values(utterance) <= known_values for utterance in evaluated)
    with_unseen_frame = sum(frame(utterance) not in known_frames for utterance in evaluated)
    assert 0.10 <= with_unseen_value / len(evaluated) <= 0.60
    assert with_unseen_frame / len(evaluated) >= 0.10


def test_test_characters_are_known_from_training(language: Language) -> None:
    known = {character for utterance in corpus(language)["train"] for character in utterance.text}
    tested = Counter(character for utterance in corpus(language)["test"] for character in utterance.text)
    unknown = sum(count for character, count in tested.items() if character not in known)
    assert unknown <= 0.005 * sum(tested.values())


def test_a_large_corpus_takes_seconds(language: Language) -> None:
    start = time.process_time()
    generate(language, 1, {"train": 8000, "dev": 1000, "test": 2000, "unlabelled": 16000})
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [({"validation": 5}, "validation"), ({"train": -1}, "train"), ({"train": 2.5}, "train")],
)
def test_a_bad_size_is_refused(language: Language, sizes: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        generate(language, 0, sizes)


def test_a_bad_language_is_refused(language: Language) -> None:
    bad: Any = language.upper()
    with pytest.raises(ValueError, match=bad):
        generate(bad, 0, {"train": 1})
