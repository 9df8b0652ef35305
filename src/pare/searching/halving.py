"""Who goes on after a short training: successive halving by non-dominated rank.

Jamieson & Talwalkar 2016, https://arxiv.org/abs/1502.07943; Deb et al. 2002 (NSGA-II) for rank and crowding.
"""

import math
from collections.abc import Mapping, Sequence

from pare.aims import SCORED, Quantities, Search


def promoted(search: Search, pool: Mapping[int, Quantities]) -> set[int]:
    """One of `factor` of those that came so far, by number; at least one."""
    return set(ranked(search, pool)[: max(1, len(pool) // search.factor)])


def ranked(search: Search, pool: Mapping[int, Quantities]) -> list[int]:
    """Best first: what keeps to limits of cost, then by rank, then what has few others near it.

    More training will not mend a latency, but it may a score: limits of scores say nothing yet.
    """
    signs = [(name, -1 if direction == "maximize" else 1) for name, direction in search.directions.items()]
    points = {n: tuple(sign * float(found[name] or 0) for name, sign in signs) for n, found in pool.items()}
    broken = {
        n: sum(
            max(0.0, limit.excess(value))
            for limit in search.limits
            if limit.quantity not in SCORED and (value := found.get(limit.quantity)) is not None
        )
        for n, found in pool.items()
    }
    order = []
    for front in fronts(points):
        apart = crowding({n: points[n] for n in front})
        order += sorted(front, key=lambda n: (-apart[n], n))
    return sorted(order, key=lambda n: broken[n])


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Smaller is better."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def fronts(points: Mapping[int, Sequence[float]]) -> list[list[int]]:
    """The Pareto set, that of the rest, and so on."""
    left, found = dict(points), []
    while left:
        front = [n for n in left if not any(dominates(left[other], left[n]) for other in left)]
        found.append(front)
        left = {n: point for n, point in left.items() if n not in front}
    return found


def crowding(points: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """How far apart the neighbours of each lie; without end at the ends."""
    found = dict.fromkeys(points, 0.0)
    for axis in range(len(next(iter(points.values())))):
        order = sorted(points, key=lambda n: points[n][axis])
        extent = points[order[-1]][axis] - points[order[0]][axis]
        found[order[0]] = found[order[-1]] = math.inf
        for before, n, after in zip(order, order[1:], order[2:], strict=False):
            found[n] += (points[after][axis] - points[before][axis]) / (extent or 1.0)
    return found
