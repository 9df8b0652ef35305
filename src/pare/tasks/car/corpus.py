"""Splits of generated sentences that share no text, values or phrasings they should not share."""

from bisect import bisect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from random import Random
from typing import Final, Literal
from zlib import crc32

from pare.tasks.car.grammar import Piece, Pool, RandomUnit, pool_of
from pare.tasks.car.language import CompiledIntent, CompiledLanguage, Language, compile_language
from pare.tasks.car.noise import spoken
from pare.tasks.example import Example, Span

_CONTENT: Final = {"zh": "pare.tasks.car.zh", "en": "pare.tasks.car.en"}
_TEXT_BUCKETS: Final[Mapping[str, frozenset[int]]] = {
    "train": frozenset({0, 1, 2}),
    "unlabelled": frozenset({3, 4, 5}),
    "dev": frozenset({6}),
    "test": frozenset({7}),
}
_BUCKET_COUNT: Final = 8
_POOLS: Final[Mapping[str, Pool]] = {"train": "common", "unlabelled": "common", "dev": "dev", "test": "test"}
_HELD_OUT, _HELD_OUT_PHRASING = 0.15, 0.4
_TRIES: Final = 400
_COMMAS: Final = (",", "，")
_AFTER_COMMA: Final = ("", *_COMMAS)
_LONGEST: Final = {"zh": 48, "en": 160}


def generate(language: Literal["zh", "en"], seed: int, sizes: Mapping[str, int]) -> dict[str, list[Example]]:
    """Sentences per split: a split depends on nothing but the language, the seed, its name and its size."""
    if language not in _CONTENT:
        raise ValueError(f"No language {language!r}; there are {', '.join(_CONTENT)}")
    for split, size in sizes.items():
        if split not in _TEXT_BUCKETS:
            raise ValueError(f"No split {split!r}; there are {', '.join(_TEXT_BUCKETS)}")
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"The size of split {split!r} must be a whole number of 0 or more, not {size!r}")
    return {split: _generate_split(language, seed, split, size) for split, size in sizes.items()}


@cache
def _compiled(name: str) -> CompiledLanguage:
    content: Language = import_module(_CONTENT[name]).LANGUAGE
    return compile_language(content)


def _generate_split(name: str, seed: int, split: str, size: int) -> list[Example]:
    language = _compiled(name)
    random = Random(f"{name}/{seed}/{split}").random
    buckets, longest = _TEXT_BUCKETS[split], _LONGEST[name]
    seen: set[str] = set()
    utterances: list[Example] = []
    while len(utterances) < size:
        intent = language.intents[bisect(language.cumulative_weights, random())]
        # Redrawing within the intent keeps its share when its sentences are few.
        for _ in range(_TRIES):
            pieces = _draft(language, intent, split, random)
            text = "".join(piece[0] for piece in pieces)
            folded = text.casefold().rstrip(".。")
            if crc32(folded.encode()) % _BUCKET_COUNT not in buckets or folded in seen or len(text) > longest:
                continue
            if not _values_belong(pieces, language, split):
                continue
            seen.add(folded)
            utterances.append(Example(text, (intent.name,), _spans(pieces)))
            break
        else:
            raise ValueError(f"No {size} different sentences for split {split!r}: {intent.name} has no more")
    return utterances


def _draft(language: CompiledLanguage, intent: CompiledIntent, split: str, random: RandomUnit) -> list[Piece]:
    phrasing: Pool = "common"
    values: Pool = "common"
    if random() < _HELD_OUT:
        own_pool = _POOLS[split]
        if random() < _HELD_OUT_PHRASING:
            phrasing = own_pool
        else:
            values = own_pool
    templates = intent.templates[phrasing]
    template = templates[int(random() * len(templates))]
    pieces = language.grammar.expand(template, random, values)
    return _tidy(spoken(pieces, intent.is_request, language, random))


def _tidy(pieces: list[Piece]) -> list[Piece]:
    """Pieces without empty ones, doubled commas, doubled spaces or spaces at either end."""
    tidied: list[Piece] = []
    last = ""
    for text, reference in pieces:
        if text[:1] in _COMMAS and last == " ":
            tidied[-1] = (tidied[-1][0].rstrip(" "), tidied[-1][1])
            last = tidied[-1][0][-1:]
        kept = text.lstrip(" ，,") if last in _AFTER_COMMA else text.lstrip(" ") if last == " " else text
        if not kept:
            continue
        if last == ",":
            tidied.append((" ", None))
        tidied.append((kept, reference))
        last = kept[-1]
    if last == " ":
        tidied[-1] = (tidied[-1][0].rstrip(" "), tidied[-1][1])
    return tidied


def _values_belong(pieces: list[Piece], language: CompiledLanguage, split: str) -> bool:
    """Whether every open value, misheard or not, belongs to a pool that the split may show."""
    open_rules = language.grammar.open_rules
    return all(
        reference is None or reference.rule not in open_rules or pool_of(text) in ("common", _POOLS[split])
        for text, reference in pieces
    )


def _spans(pieces: list[Piece]) -> tuple[Span, ...]:
    spans: list[Span] = []
    start = 0
    for text, reference in pieces:
        end = start + len(text)
        if reference is not None:
            spans.append(Span(start, end, reference.label))
        start = end
    return tuple(spans)
