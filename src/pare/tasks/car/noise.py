"""What happens to a sentence when it is spoken: fillers, hesitations, retractions, slips of hearing."""

from pare.tasks.car.grammar import Piece, RandomUnit
from pare.tasks.car.language import CompiledLanguage

_LEAD, _TAIL, _HESITATION, _RETRACTION, _SLIP = 0.16, 0.12, 0.04, 0.02, 0.04
_ALL_LOWER, _CAPITAL, _FULL_STOP = 0.55, 0.12, 0.07
_SHORTEST_WORD_TO_SLIP = 4
_SLIP_TRIES = 12


def spoken(
    pieces: list[Piece], is_request: bool, language: CompiledLanguage, random: RandomUnit
) -> list[Piece]:
    """The sentence with the noise of speech; labelled values stay whole pieces."""
    pieces = _disfluent(pieces, language, random)
    if random() < _LEAD:
        pieces = language.grammar.expand(language.leads, random, "common") + pieces
    last = pieces[-1][1]
    open_ended = last is not None and last.label in language.free_text
    if is_request and not open_ended and random() < _TAIL:
        pieces = pieces + language.grammar.expand(language.tails, random, "common")
    if language.letters:
        pieces = _cased(pieces, random)
    if random() < _SLIP:
        pieces = _slipped(pieces, language, random)
    if random() < _FULL_STOP and not open_ended:
        pieces = [*pieces, ("." if language.letters else "。", None)]
    return pieces


def _disfluent(pieces: list[Piece], language: CompiledLanguage, random: RandomUnit) -> list[Piece]:
    chance = random()
    if chance >= _HESITATION + _RETRACTION:
        return pieces
    spots = [
        index
        for index, (_, reference) in enumerate(pieces)
        if reference is not None and reference.label not in language.free_text
    ]
    if not spots:
        return pieces
    spot = spots[int(random() * len(spots))]
    value, reference = pieces[spot]
    grammar = language.grammar
    if chance < _HESITATION:
        inserted = grammar.expand(language.hesitations, random, "common")
    else:
        assert reference is not None
        dropped = grammar.draw(reference.rule, random, "common")
        if dropped == value:
            return pieces
        # A value that is taken back is not wanted, so it carries no label.
        inserted = [(dropped, None), *grammar.expand(language.retractions, random, "common")]
    return [*pieces[:spot], *inserted, *pieces[spot:]]


def _cased(pieces: list[Piece], random: RandomUnit) -> list[Piece]:
    if random() < _ALL_LOWER:
        return [(text.lower(), reference) for text, reference in pieces]
    if random() < _CAPITAL and pieces:
        text, reference = pieces[0]
        return [(text[:1].upper() + text[1:], reference), *pieces[1:]]
    return pieces


def _slipped(pieces: list[Piece], language: CompiledLanguage, random: RandomUnit) -> list[Piece]:
    for _ in range(_SLIP_TRIES):
        spot = int(random() * len(pieces))
        text, reference = pieces[spot]
        slip = _slip_word if language.letters else _slip_character
        changed = slip(text, language, random)
        if changed != text:
            return [*pieces[:spot], (changed, reference), *pieces[spot + 1 :]]
    return pieces


def _slip_character(text: str, language: CompiledLanguage, random: RandomUnit) -> str:
    if not text:
        return text
    spot = int(random() * len(text))
    alike = language.misheard.get(text[spot])
    if alike is None:
        return text
    return text[:spot] + alike[int(random() * len(alike))] + text[spot + 1 :]


def _slip_word(text: str, language: CompiledLanguage, random: RandomUnit) -> str:
    words = text.split(" ")
    spot = int(random() * len(words))
    word = words[spot]
    alike = language.misheard.get(word)
    if alike is not None:
        words[spot] = alike
    elif len(word) >= _SHORTEST_WORD_TO_SLIP and word.isalpha():
        words[spot] = _slip_letter(word, random)
    return " ".join(words)


def _slip_letter(word: str, random: RandomUnit) -> str:
    at = 1 + int(random() * (len(word) - 2))
    kind = random()
    if kind < 0.4:
        return word[:at] + word[at + 1 :]
    if kind < 0.6:
        return word[:at] + word[at] + word[at:]
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
