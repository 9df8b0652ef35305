"""What was chosen, as axes of a chart: numbers at their size, words one above the other."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pare.study.keys import LACKING, short
from pare.study.statistics import Row
from pare.study.tables import naturally

FEW = 8  # values that can be told apart by a colour each
MOST = 20  # words that one axis has room for
LONG = 20  # letters of each of them; names are told apart by their ends
FAR = 30  # times the least that the greatest is, where powers of ten are at equal distances
NUMBER = ".4~g"  # 0.0003, where it would say 300µ


@dataclass(frozen=True)
class Axis:
    """values: where each row stands. ticks: what is written where; none where round numbers will do.

    scaled: numbers stand at their size; a row without one stands below all of them.
    """

    key: str
    label: str
    values: Sequence[float]
    ticks: Sequence[tuple[float, str]]
    scaled: bool

    def drawn(self) -> dict[str, Any]:
        """As the library that draws takes it."""
        told = {"label": self.label, "values": self.values}
        if not self.ticks:
            return {**told, "tickformat": NUMBER}
        texts = [text if len(text) <= LONG else f"…{text[1 - LONG :]}" for _, text in self.ticks]
        return {**told, "tickvals": [at for at, _ in self.ticks], "ticktext": texts}


@dataclass(frozen=True)
class Choices:
    """too_many: how many values those have that there is no axis for."""

    axes: Sequence[Axis]
    too_many: Mapping[str, int]


def choices_of(rows: Sequence[Row]) -> Choices:
    axes, too_many = [], {}
    keys = list(dict.fromkeys(key for row in rows for key in row.choices))
    ends = Counter(map(short, keys))
    for key in keys:
        label = (short(key) if ends[short(key)] == 1 else key).lstrip("+")
        texts = [row.choices.get(key, LACKING) for row in rows]
        count, numbers = len(set(texts)), [number_of(text) for text in texts if text != LACKING]
        known = [number for number in numbers if number is not None]
        scaled = len(known) == len(numbers) and len(set(known)) > FEW
        if scaled:
            axes.append(at_their_size(key, label, [number_of(text) for text in texts]))
        elif count > MOST:
            too_many[key] = count
        elif count > 1:
            axes.append(one_above_the_other(key, label, texts))
    return Choices(axes, too_many)


def number_of(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def one_above_the_other(key: str, label: str, texts: Sequence[str]) -> Axis:
    places = {text: float(i) for i, text in enumerate(sorted(set(texts), key=lambda text: naturally([text])))}
    ticks = [(place, text) for text, place in places.items()]
    return Axis(key, label, [places[text] for text in texts], ticks, scaled=False)


def at_their_size(key: str, label: str, numbers: Sequence[float | None]) -> Axis:
    """By powers of ten where they are as far apart as learning rates are."""
    known = [number for number in numbers if number is not None]
    low, high = min(known), max(known)
    far_apart = 0 < low <= high / FAR
    place = math.log10 if far_apart else float
    room = 0.1 * (place(high) - place(low))
    values = [place(low) - room if number is None else place(number) for number in numbers]
    marks = [low, (low + high) / 2, high]
    if far_apart:
        powers = range(math.floor(place(low)), math.ceil(place(high)) + 1)
        marks = [mark for n in powers for mark in (10.0**n, 3 * 10.0**n) if low <= mark <= high]
    lacking = [(place(low) - room, LACKING)] if len(known) < len(numbers) else []
    ticks = [*lacking, *((place(mark), f"{mark:.4g}") for mark in marks)] if lacking or far_apart else []
    return Axis(key, label, values, ticks, scaled=True)
