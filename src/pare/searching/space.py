"""What a search may choose: keys with their values, some of them only where others have certain values."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol, TypeAlias

from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)

from pare.errors import ConfigError

#: what was chosen, as it stands on a command line; keys that are not there have no value
Point: TypeAlias = dict[str, str]
#: numbers of a range
MOST = 10_000


class Asking(Protocol):
    """Who chooses, as Optuna's trials have it."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True)
class Values:
    """Values without an order."""

    values: tuple[str, ...]

    def ask(self, name: str, who: Asking) -> str:
        return who.suggest_categorical(name, self.values)

    def all(self) -> tuple[str, ...]:
        return self.values


@dataclass(frozen=True)
class Steps:
    """Numbers at equal distances, from the smallest to the largest."""

    values: tuple[float, ...] | tuple[int, ...]

    def ask(self, name: str, who: Asking) -> str:
        first, last = self.values[0], self.values[-1]
        step = self.values[1] - first if len(self.values) > 1 else 1
        if all(isinstance(value, int) for value in self.values):
            return str(who.suggest_int(name, int(first), int(last), step=int(step)))
        near = who.suggest_float(name, first, last, step=rounded(step))
        return str(min(self.values, key=lambda value: abs(value - near)))

    def all(self) -> tuple[str, ...]:
        return tuple(map(str, self.values))


def rounded(number: float) -> float:
    """As a person writes it: 0.1 + 0.2 is 0.3."""
    return number if isinstance(number, int) else float(f"{number:.10g}")


@dataclass(frozen=True)
class Interval:
    """Any number in between."""

    low: float
    high: float
    log: bool
    whole: bool

    def ask(self, name: str, who: Asking) -> str:
        if self.whole:
            return str(who.suggest_int(name, int(self.low), int(self.high), log=self.log))
        return f"{who.suggest_float(name, self.low, self.high, log=self.log):.4g}"  # what a person can type

    def all(self) -> tuple[str, ...]:
        raise ConfigError("an interval has no end; sampler=grid needs choice(…) or range(…)")


Dimension: TypeAlias = Values | Steps | Interval


class Space:
    """when: of a key, the values of others with which it is there. elsewhere: of keys not in the space."""

    def __init__(
        self,
        dimensions: Mapping[str, Dimension],
        when: Mapping[str, Mapping[str, Sequence[object]]],
        elsewhere: Callable[[str], str | None] = lambda key: None,
    ) -> None:
        self.elsewhere = elsewhere
        self.when = {
            key: {other: [written(value) for value in values] for other, values in conditions.items()}
            for key, conditions in when.items()
        }
        places = {key.lstrip("+"): key for key in dimensions}
        needs = {key: [places[k] for k in when.get(bare, ()) if k in places] for bare, key in places.items()}
        try:  # whoever waits for others comes after them
            self.dimensions = {key: dimensions[key] for key in TopologicalSorter(needs).static_order()}
        except CycleError as e:
            raise ConfigError(f"sweep.search.when: {' waits for '.join(e.args[1])}") from None

    def is_there(self, key: str, point: Point) -> bool:
        """point: the values of all keys that this one waits for."""
        return all(self.value(other, point) in values for other, values in self.conditions(key).items())

    def conditions(self, key: str) -> Mapping[str, Sequence[str]]:
        return self.when.get(key.lstrip("+"), {})

    def value(self, key: str, point: Point) -> str | None:
        for name in self.dimensions:
            if name.lstrip("+") == key:
                return point.get(name)
        return self.elsewhere(key)

    def ask(self, who: Asking) -> Point:
        point: Point = {}
        for key, dimension in self.dimensions.items():
            if self.is_there(key, point):
                point[key] = dimension.ask(key, who)
        return point

    def points(self) -> Iterator[Point]:
        """All there are; those that have much in common after one another."""
        return self._points(list(self.dimensions), {})

    def _points(self, keys: Sequence[str], point: Point) -> Iterator[Point]:
        if not keys:
            yield dict(point)
        elif not self.is_there(keys[0], point):
            yield from self._points(keys[1:], point)
        else:
            for value in self.dimensions[keys[0]].all():
                yield from self._points(keys[1:], {**point, keys[0]: value})


def dimension_of(override: Override) -> Dimension:
    """As Hydra's syntax of sweeps has it; a single value is a choice of one."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        log = "log" in value.tags
        if not low < high or (log and low <= 0):
            raise ConfigError(
                f"{key}={override.get_value_string()}: from low to high, and above 0 on a log scale"
            )
        return Interval(low, high, log, isinstance(low, int) and isinstance(high, int))
    if isinstance(value, RangeSweep):
        if not value.step:
            raise ConfigError(f"{key}={override.get_value_string()}: a step other than 0 is needed")
        numbers = tuple(sorted(map(rounded, itertools.islice(value.range(), MOST + 1))))
        if len(numbers) > MOST:
            raise ConfigError(
                f"{key}={override.get_value_string()}: holds more than {MOST} numbers; interval(…) has any, "
                "and int(interval(…)) whole ones"
            )
        if not numbers:
            raise ConfigError(f"{key}={override.get_value_string()}: holds no number")
        return Steps(numbers)
    if override.is_sweep_override():
        if isinstance(value, ChoiceSweep):
            value.shuffle = False  # each process would have another order, and so another search
        values = tuple(dict.fromkeys(map(written, override.sweep_string_iterator())))
        if not values:
            raise ConfigError(f"{key}={override.get_value_string()}: holds no value")
        return Values(values)
    return Values((written(override.get_value_element_as_str()),))


def written(value: object) -> str:
    """As people type it: Hydra's syntax makes True of `true`."""
    if value is None:
        return "null"
    return {"True": "true", "False": "false"}.get(str(value), str(value))


def typed(value: Any) -> str:
    """A value as Hydra's command line has it."""
    return Override._get_value_element_as_str(quoted(value))


def quoted(value: Any) -> Any:
    """Its text in quotes: without them `100` would be a number."""
    if isinstance(value, dict):
        return {key: quoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [quoted(one) for one in value]
    return QuotedString(value, Quote.double) if isinstance(value, str) else value
