"""The Pareto front, what meets a budget, and what stood in the way where nothing does."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pare.study.quantities import LATENCY, MEASURED, MEMORY, SIZE
from pare.study.statistics import Row


def score_of(row: Row) -> float:
    return statistics.fmean(result.scores[result.primary] for result in row.results)


def cost_of(row: Row, name: str) -> float | None:
    found = row.estimate(MEASURED[name])
    return None if found is None else found.mean


def lower_is_better(row: Row, name: str) -> float | None:
    found = cost_of(row, name)
    return -found if found is not None and MEASURED[name].higher else found


def front(rows: Sequence[Row], costs: Sequence[str] = (LATENCY,)) -> list[Row]:
    """The rows than which none is better in one thing and no worse in the others; the cheapest first.

    costs: what counts besides the score, each the way that is better. What lacks one of them is not ranked.
    """
    points = [(row, (-score_of(row), *(lower_is_better(row, name) for name in costs))) for row in rows]
    known = [
        (row, tuple(value for value in point if value is not None))
        for row, point in points
        if None not in point
    ]
    known.sort(key=lambda each: (each[1][1:], each[1][0]))
    kept: list[tuple[Row, tuple[float, ...]]] = []
    for row, point in known:
        if not any(outdoes(other, point) for _, other in kept):
            kept.append((row, point))
    return [row for row, _ in kept]


def outdoes(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether it is lower in one thing and no higher in the others."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class Bound:
    """option: as it is typed. of: what may be no more than `most`, the cost of that name where it is one."""

    option: str
    unit: str
    most: float
    of: Callable[[Row], float | None]  # None where it was not measured
    cost: str = ""

    def excess(self, row: Row) -> float | None:
        """By how much it is missed; 0 where it holds."""
        value = self.of(row)
        return None if value is None else max(0.0, value - self.most)

    def holds(self, row: Row) -> bool:
        return self.excess(row) == 0

    def __str__(self) -> str:
        return f"{self.option} {self.most:g}"


def bounds(
    drop: float | None, latency: float | None, size: float | None, memory: float | None
) -> list[Bound]:
    found = [] if drop is None else [Bound("--max-drop", "points", drop, lambda row: round(row.drop, 9))]
    for option, unit, most, name in (
        ("--max-latency", "ms", latency, LATENCY),
        ("--max-size", "MB", size, SIZE),
        ("--max-memory", "MB", memory, MEMORY),
    ):
        if most is not None:
            found.append(Bound(option, unit, most, lambda row, name=name: cost_of(row, name), name))  # type: ignore[misc]
    return found


@dataclass(frozen=True)
class Obstacle:
    """alone: how many rows the bound lets through; unknown: of how many it was not measured.

    others: how many meet all but this one; nearest: of those, the one that misses it by the least; by: how
    much.
    """

    bound: Bound
    alone: int
    unknown: int
    others: int
    nearest: Row | None
    by: float | None


@dataclass(frozen=True)
class Shortlist:
    """within: the rows that meet the budget; where there are none, the obstacles, and the nearest of all."""

    within: Sequence[Row]
    obstacles: Sequence[Obstacle] = ()
    nearest: Row | None = None

    @property
    def best(self) -> Row:
        """The highest score; of equal ones the fastest."""
        return max(self.within, key=lambda row: (score_of(row), -(cost_of(row, LATENCY) or 0)))

    @property
    def fastest(self) -> Row:
        return min(self.within, key=lambda row: (cost_of(row, LATENCY) or 0, -score_of(row)))


def choose(rows: Sequence[Row], budget: Sequence[Bound]) -> Shortlist:
    within = [row for row in rows if all(bound.holds(row) for bound in budget)]
    if within:
        return Shortlist(within)
    return Shortlist((), [obstacle(bound, budget, rows) for bound in budget], nearest_of(rows, budget))


def obstacle(bound: Bound, budget: Sequence[Bound], rows: Sequence[Row]) -> Obstacle:
    others = [row for row in rows if all(each.holds(row) for each in budget if each is not bound)]
    known = [(by, row) for row in others if (by := bound.excess(row)) is not None]
    by, nearest = min(known, key=lambda each: each[0], default=(None, None))
    unknown = sum(bound.excess(row) is None for row in rows)
    return Obstacle(bound, sum(bound.holds(row) for row in rows), unknown, len(others), nearest, by)


def nearest_of(rows: Sequence[Row], budget: Sequence[Bound]) -> Row | None:
    """Whose worst miss is the least, as a share of what is allowed; None where no row has all of it."""

    def miss(row: Row) -> float:
        return max((bound.excess(row) or 0) / max(abs(bound.most), 1e-9) for bound in budget)

    known = [row for row in rows if all(bound.excess(row) is not None for bound in budget)]
    return min(known, key=miss, default=None)
