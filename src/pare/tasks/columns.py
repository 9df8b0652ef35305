"""Examples, tokens and labels as columns: a million take little more memory than their texts and ids."""

from array import array
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from pare.decoding import Text
from pare.ondemand import OnDemand, Rows
from pare.outputs import Labels, Output
from pare.tasks.example import Encoded, Example, Span

V = TypeVar("V", bound=Hashable)


class Numbered(Generic[V]):
    """Values by the order in which they first came."""

    def __init__(self) -> None:
        self.values: list[V] = []
        self._numbers: dict[V, int] = {}

    def number(self, value: V) -> int:
        found = self._numbers.setdefault(value, len(self.values))
        if found == len(self.values):
            self.values.append(value)
        return found


class Texts(Rows[str]):
    """Strings as the bytes of one."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def add(self, text: str) -> None:
        self._bytes += text.encode("utf-8")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def at(self, number: int) -> str:
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode("utf-8")


class Ragged(Rows["array[int]"]):
    """Rows of whole numbers, of any length each."""

    def __init__(self) -> None:
        self._numbers = array("i")
        self._ends = array("Q", [0])

    def add(self, numbers: Iterable[int]) -> None:
        self._numbers.extend(numbers)
        self._ends.append(len(self._numbers))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def at(self, number: int) -> "array[int]":
        return self._numbers[self._ends[number] : self._ends[number + 1]]


class Answers(Rows[Labels]):
    """What is to be answered to each text, worked out once, whatever that takes."""

    def __init__(self, outputs: Sequence[Output], labels: Iterable[Labels]) -> None:
        self._columns = [(output, Ragged()) for output in outputs]
        self._count = 0
        for found in labels:
            self._count += 1
            for output, column in self._columns:
                told = output.name in found  # by a task beside others those of its own heads only
                column.add((1, *numbers_of(output, found[output.name])) if told else ())

    def __len__(self) -> int:
        return self._count

    def at(self, number: int) -> Labels:
        kept = [(output, column.at(number).tolist()) for output, column in self._columns]
        return {output.name: label_of(output, numbers[1:]) for output, numbers in kept if numbers}


def numbers_of(output: Output, label: Any) -> Iterable[int]:
    """A text's label in a row; where any may hold of a token, how many do comes first: -1 without labels."""
    if output.scope == "text":
        return [label] if output.choice == "one" else list(label)
    if output.choice == "one":
        return list(label)
    return chain.from_iterable((-1,) if ids is None else (len(ids), *ids) for ids in label)


def label_of(output: Output, numbers: list[int]) -> int | list[int] | list[list[int] | None]:
    """The label of those numbers."""
    if output.choice == "one" and output.scope == "text":
        return numbers[0]
    if output.choice == "one" or output.scope == "text":
        return numbers
    left = iter(numbers)
    return [None if count < 0 else list(islice(left, count)) for count in left]


class Tokens(Rows[Encoded]):
    """Encoded texts; offsets only where they are given."""

    def __init__(self) -> None:
        self._ids, self._offsets = Ragged(), Ragged()

    def add(self, ids: Sequence[int], offsets: Iterable[tuple[int, int]] = ()) -> None:
        self._ids.add(ids)
        self._offsets.add(chain.from_iterable(offsets))

    def __len__(self) -> int:
        return len(self._ids)

    def at(self, number: int) -> Encoded:
        flat = iter(self._offsets.at(number))
        return Encoded(self._ids.at(number).tolist(), list(zip(flat, flat, strict=True)))


class Examples(Rows[Example]):
    """Examples, each with the number of the line it is from."""

    def __init__(self, rows: Iterable[tuple[int, Example]] = ()) -> None:
        self.lines = array("Q")
        self._texts, self._seconds = Texts(), Texts()
        self._second = array("I")  # the number of the second text of a pair, from 1 on
        self._sets: Numbered[tuple[str, ...]] = Numbered()
        self._labels = array("I")
        self._kinds: Numbered[str] = Numbered()
        self._spans = Ragged()
        for line, example in rows:
            self.add(line, example)

    def add(self, line: int, example: Example) -> None:
        self.lines.append(line)
        if isinstance(example.text, str):
            self._texts.add(example.text)
            self._second.append(0)
        else:
            self._texts.add(example.text[0])
            self._seconds.add(example.text[1])
            self._second.append(len(self._seconds))
        self._labels.append(self._sets.number(example.labels))
        self._spans.add([n for s in example.spans for n in (s.start, s.end, self._kinds.number(s.label))])

    def __len__(self) -> int:
        return len(self.lines)

    def text(self, number: int) -> Text:
        second = self._second[number]
        first = self._texts.at(number)
        return (first, self._seconds.at(second - 1)) if second else first

    def at(self, number: int) -> Example:
        flat = iter(self._spans.at(number))
        spans = tuple(
            Span(a, b, self._kinds.values[kind]) for a, b, kind in zip(flat, flat, flat, strict=True)
        )
        return Example(self.text(number), self._sets.values[self._labels[number]], spans)


class Part(Rows[Example]):
    """Some of the examples, by their numbers."""

    def __init__(self, whole: Examples, numbers: Sequence[int]) -> None:
        self._whole, self._numbers = whole, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def at(self, number: int) -> Example:
        return self._whole.at(self._numbers[number])

    def text(self, number: int) -> Text:
        """That of an example, without making the rest of it."""
        return self._whole.text(self._numbers[number])


def texts_of(examples: Sequence[Example]) -> Rows[Text]:
    if isinstance(examples, Part):
        return OnDemand(len(examples), examples.text)
    return OnDemand(len(examples), lambda i: examples[i].text)
