"""What a model answers: one named output per head, known to tasks, heads, losses and runtimes alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Scope = Literal["text", "token"]

IGNORED_LABEL = -100

#: label ids of one text by output name: a number, or a list of those that hold; for each token, if it is so
Labels = Mapping[str, int | list[int] | list[list[int] | None]]


@dataclass(frozen=True)
class Output:
    """One head: the labels it chooses from, for the whole text or for each token.

    choice: exactly one of them, or any number of them, each for itself. Any number for each token is how
    spans are pointed at, by labels start-x and end-x: spans of one kind may lie in those of another.

    implied: for each label the places of those that hold wherever it does.
    tuned: whoever trains the head moves its biases, so that on dev the best is what lies above 0.
    """

    name: str
    labels: tuple[str, ...]
    scope: Scope = "text"
    choice: Literal["one", "any"] = "one"
    implied: tuple[tuple[int, ...], ...] = ()
    tuned: bool = False


def has_places(outputs: Iterable[Output]) -> bool:
    """Whether an answer says where in the text something is."""
    return any(output.scope == "token" for output in outputs)
