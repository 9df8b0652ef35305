"""Sequences whose items are made when they are asked for: a million rows need the memory of their columns."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeVar, overload

S = TypeVar("S")
T = TypeVar("T", covariant=True)


class Rows(Sequence[T]):
    """A sequence that makes the item of a number; equal to any sequence of equal items."""

    @abstractmethod
    def at(self, number: int) -> T:
        """The item of a number from 0 on."""

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        numbers = range(len(self))[place]
        return self.at(numbers) if isinstance(numbers, int) else [self.at(i) for i in numbers]

    def __iter__(self) -> Iterator[T]:
        return (self.at(i) for i in range(len(self)))

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # like a list


class OnDemand(Rows[T]):
    """What a function makes of each number below `count`, anew each time."""

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def at(self, number: int) -> T:
        return self._make(number)


def changed(rows: Sequence[S], change: Callable[[S], T]) -> Rows[T]:
    """What a function makes of each row."""
    return OnDemand(len(rows), lambda i: change(rows[i]))


def chosen(rows: Sequence[T], numbers: Sequence[int]) -> Rows[T]:
    """The rows of those numbers, in that order."""
    return OnDemand(len(numbers), lambda i: rows[numbers[i]])


def drawn(rows: Sequence[T], count: int, seed: int) -> list[T]:
    """So many of the rows at random, each at most once: files are often sorted by what is in them."""
    return [rows[i] for i in Random(seed).sample(range(len(rows)), min(count, len(rows)))]


def one_after_another(*parts: Sequence[T]) -> Rows[T]:
    """All of the first, then all of the second, and so on."""

    def at(number: int) -> T:
        for part in parts:
            if number < len(part):
                return part[number]
            number -= len(part)
        raise IndexError(number)

    return OnDemand(sum(map(len, parts)), at)
