"""A small template grammar: alternatives, rules and labelled slots, with values held out by their hash.

A template is text with three marks: `(a|b|)` picks one alternative, `3*a` makes one three times as likely,
`{slot}` or `{slot=rule}` writes a labelled value of a rule, and `<rule>` writes a rule in place, keeping
the labels inside it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from zlib import crc32

Pool = Literal["common", "dev", "test"]
RandomUnit: TypeAlias = Callable[[], float]

_TOKEN = re.compile(r"[(|)]|\{\w+(?:=\w+)?\}|<\w+>|[^(|){}<>]+")
_WEIGHT = re.compile(r"(\d+)\*")
_LINE_BREAK = re.compile(r"\n\s*")
_DRAWS = 300


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, each as likely as the others."""

    options: tuple["Sequence", ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A place for a value of `rule`; without a label the rule is written in place."""

    rule: str
    label: str = ""


Part: TypeAlias = str | Choice | Reference
Sequence: TypeAlias = tuple[Part, ...]
Piece: TypeAlias = tuple[str, Reference | None]


def parse(template: str) -> Choice:
    """Compile a template; a line break with its indentation counts as nothing."""
    source = _LINE_BREAK.sub("", template)
    tokens = _TOKEN.findall(source)
    if "".join(tokens) != source:
        raise ValueError(f"Template {source!r} has a mark that is not closed")
    stream = iter(tokens)
    choice, closed = _parse_choice(stream)
    if closed or next(stream, None) is not None:
        raise ValueError(f"Template {source!r} has a ')' too many")
    return choice


def _parse_choice(tokens: Iterator[str]) -> tuple[Choice, bool]:
    options: list[Sequence] = []
    weight, parts = 1, list[Part]()
    closed = False
    for token in tokens:
        if token in "|)":
            options += [tuple(parts)] * weight
            weight, parts = 1, []
            if token == ")":
                closed = True
                break
        elif token == "(":
            inner, inner_closed = _parse_choice(tokens)
            if not inner_closed:
                raise ValueError("Template has a '(' that is not closed")
            parts.append(inner)
        elif token[0] == "{":
            label, _, rule = token[1:-1].partition("=")
            parts.append(Reference(rule or label, label))
        elif token[0] == "<":
            parts.append(Reference(token[1:-1]))
        else:
            given = _WEIGHT.match(token) if not parts else None
            weight = int(given[1]) if given else weight
            literal = token[given.end() :] if given else token
            parts += [literal] if literal else []
    if not closed:
        options += [tuple(parts)] * weight
    return Choice(tuple(options)), closed


def pool_of(value: str) -> Pool:
    """The pool that a value of an open rule belongs to, whatever the seed."""
    residue = crc32(value.casefold().encode()) % 10
    return "dev" if residue == 0 else "test" if residue <= 2 else "common"


@dataclass(frozen=True, slots=True)
class Grammar:
    """Compiled rules; values of the open ones are kept apart by pool."""

    rules: Mapping[str, Choice]
    open_rules: frozenset[str]

    def expand(self, template: Choice, random: RandomUnit, pool: Pool) -> list[Piece]:
        """Write a template once, labelled values of open rules coming from `pool`."""
        pieces: list[Piece] = []
        self._expand(template, random, pool, pieces)
        return pieces

    def _expand(self, choice: Choice, random: RandomUnit, pool: Pool, pieces: list[Piece]) -> None:
        options = choice.options
        for part in options[int(random() * len(options))]:
            if type(part) is str:
                pieces.append((part, None))
            elif type(part) is Choice:
                self._expand(part, random, pool, pieces)
            elif type(part) is Reference:
                if part.label:
                    pieces.append((self.draw(part.rule, random, pool), part))
                elif part.rule in self.open_rules:
                    pieces.append((self.draw(part.rule, random, "common"), None))
                else:
                    self._expand(self.rules[part.rule], random, pool, pieces)

    def draw(self, rule: str, random: RandomUnit, pool: Pool) -> str:
        """A value of a rule; an open rule without a value in the pool gives a common one."""
        choice = self.rules[rule]
        if rule not in self.open_rules:
            return self._text(choice, random)
        for _ in range(_DRAWS):
            value = self._text(choice, random)
            if pool_of(value) == pool:
                return value
        if pool == "common":
            raise ValueError(f"Rule {rule!r} has no common value")
        return self.draw(rule, random, "common")

    def _text(self, choice: Choice, random: RandomUnit) -> str:
        options = choice.options
        text = ""
        for part in options[int(random() * len(options))]:
            if type(part) is str:
                text += part
            elif type(part) is Choice:
                text += self._text(part, random)
            elif type(part) is Reference:
                text += self._text(self.rules[part.rule], random)
        return text
