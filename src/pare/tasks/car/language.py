"""What a language has to bring: its intents, rules, fillers and slips, and their compiled form."""

from collections.abc import Mapping
from dataclasses import dataclass

from pare.tasks.car.grammar import Choice, Grammar, parse


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent's share and its templates, one per line; `dev` and `test` ones are kept from training."""

    name: str
    weight: float
    common: str
    dev: str
    test: str
    is_request: bool = True
    """Whether a courtesy such as \"please\" may follow."""


@dataclass(frozen=True, slots=True)
class Speech:
    """How people talk: fillers, hesitations, retractions and what a recogniser mishears."""

    leads: str
    tails: str
    hesitations: str
    retractions: str
    misheard: Mapping[str, str]
    letters: bool
    """Whether a word is written with letters, so that a letter slips and case varies."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language's content."""

    name: str
    intents: tuple[Intent, ...]
    rules: Mapping[str, str]
    open_rules: frozenset[str]
    free_text: frozenset[str]
    """Slots that run to the end of the sentence, where a filler would read as part of the value."""
    speech: Speech


@dataclass(frozen=True, slots=True)
class CompiledIntent:
    """An intent with its templates parsed, by pool."""

    name: str
    is_request: bool
    templates: Mapping[str, tuple[Choice, ...]]


@dataclass(frozen=True, slots=True)
class CompiledLanguage:
    """A language ready to be written from."""

    grammar: Grammar
    intents: tuple[CompiledIntent, ...]
    cumulative_weights: tuple[float, ...]
    free_text: frozenset[str]
    leads: Choice
    tails: Choice
    hesitations: Choice
    retractions: Choice
    misheard: Mapping[str, str]
    letters: bool


def templates_of(block: str) -> tuple[str, ...]:
    """The templates in a block: one per line or semicolon."""
    entries = (entry.strip() for line in block.splitlines() for entry in line.split(";"))
    return tuple(entry for entry in entries if entry)


def compile_language(language: Language) -> CompiledLanguage:
    """Parse all templates and rules of a language."""
    total = sum(intent.weight for intent in language.intents)
    running, cumulative = 0.0, []
    for intent in language.intents:
        running += intent.weight / total
        cumulative.append(running)
    cumulative[-1] = 1.0
    speech = language.speech
    return CompiledLanguage(
        grammar=Grammar({name: parse(rule) for name, rule in language.rules.items()}, language.open_rules),
        intents=tuple(_compile_intent(intent) for intent in language.intents),
        cumulative_weights=tuple(cumulative),
        free_text=language.free_text,
        leads=parse(speech.leads),
        tails=parse(speech.tails),
        hesitations=parse(speech.hesitations),
        retractions=parse(speech.retractions),
        misheard=speech.misheard,
        letters=speech.letters,
    )


def _compile_intent(intent: Intent) -> CompiledIntent:
    blocks = {"common": intent.common, "dev": intent.dev, "test": intent.test}
    return CompiledIntent(
        name=intent.name,
        is_request=intent.is_request,
        templates={pool: tuple(map(parse, templates_of(block))) for pool, block in blocks.items()},
    )
