"""What a search is after, and how it goes about it. Changes no result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]

#: of the scores on dev; everything else is measured on the target
SCORED = ("quality", "drop")
#: what a job can be judged by
QUANTITIES = (
    *SCORED,
    "latency_ms",
    "end_to_end_ms",
    "speedup",
    "throughput_per_s",
    "size_mb",
    "memory_mb",
    "energy_j",
)
#: by name; None: cannot be had here
Quantities = Mapping[str, float | None]


@dataclass(frozen=True)
class Limit:
    """The most, or the least, that a quantity may be."""

    name: str
    quantity: str
    value: float
    is_most: bool

    def excess(self, found: float) -> float:
        """How far it is broken, as a share of the limit; at most 0 where it holds."""
        beyond = found - self.value if self.is_most else self.value - found
        return beyond / (abs(self.value) or 1.0)


@dataclass(frozen=True, kw_only=True)
class Search:
    """trials: null: all points of a grid. batch: trials asked, planned and run together.

    objectives: a direction for each quantity that counts. constraints: max_QUANTITY and min_QUANTITY.
    slack: what a stage may have lost beyond max_drop on dev before its trial is given up; null: never.
    when: of a key, the values of other keys with which it is there.
    rungs: of keys that cut a job short the values, the last for the whole job; one trial in `factor` goes on.
    storage: a file; null: one in the store, named by what is searched.
    """

    sampler: Literal["tpe", "nsga2", "random", "grid"] = "tpe"
    trials: int | None = 24
    batch: int = 6
    seed: int = 0
    objectives: Mapping[str, Direction | None]
    constraints: Mapping[str, float | None] = field(default_factory=dict)
    slack: float | None = 0.05
    when: Mapping[str, Mapping[str, tuple[str | bool | None, ...]]] = field(default_factory=dict)
    rungs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    factor: int = 3
    storage: str | None = None

    def __post_init__(self) -> None:
        there_are = f"there are {', '.join(QUANTITIES)}"
        for name in self.objectives:
            if name not in QUANTITIES:
                raise ValueError(f"objectives.{name}: no such quantity; {there_are}")
        if not self.directions:
            raise ValueError(f"objectives: at least one is needed; {there_are}")
        for name in self.constraints:
            bound, _, quantity = name.partition("_")
            if bound not in ("max", "min") or quantity not in QUANTITIES:
                raise ValueError(f"constraints.{name}: neither max_ nor min_ of a quantity; {there_are}")
        if self.trials is None and self.sampler != "grid":
            raise ValueError(
                f"trials=null: all that there are; only sampler=grid has an end, not {self.sampler}"
            )
        for name, least in (("trials", 1), ("batch", 1), ("factor", 2), ("seed", 0), ("slack", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}={value}: must be at least {least}")
        lengths = {key: len(values) for key, values in self.rungs.items()}
        if len(set(lengths.values())) > 1 or 0 in lengths.values():
            raise ValueError(f"rungs: found {lengths} values; each key needs one for each rung")

    @property
    def directions(self) -> dict[str, Direction]:
        """The objectives, without those that were taken out."""
        return {name: direction for name, direction in self.objectives.items() if direction is not None}

    @property
    def limits(self) -> list[Limit]:
        return [
            Limit(name, name[4:], value, name.startswith("max_"))
            for name, value in self.constraints.items()
            if value is not None
        ]

    @property
    def heights(self) -> int:
        """How many rungs there are."""
        return len(next(iter(self.rungs.values()))) if self.rungs else 1

    def unknown(self, found: Quantities) -> list[str]:
        """What a trial must be judged by and cannot."""
        needed = dict.fromkeys([*self.directions, *(limit.quantity for limit in self.limits)])
        return [name for name in needed if found.get(name) is None]

    def excesses(self, found: Quantities) -> dict[str, float]:
        """By limit; of those quantities that are known."""
        return {
            limit.name: limit.excess(value)
            for limit in self.limits
            if (value := found.get(limit.quantity)) is not None
        }

    def most_drop(self) -> float | None:
        """What a stage may have lost on dev, whatever comes after it; None: anything."""
        most = self.constraints.get("max_drop")
        return None if most is None or self.slack is None else round(most + self.slack, 9)
