"""What a model answers: one named output per head, known to tasks, heads, losses and runtimes alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["text", "token"]

IGNORED_LABEL = -100

#: label ids of one text by output name: a number, or a list with one for each token
Labels = Mapping[str, int | list[int]]


@dataclass(frozen=True)
class Output:
    """One head: the labels it chooses one from, for the whole text or for each token."""

    name: str
    labels: tuple[str, ...]
    scope: Scope = "text"
