"""How sure one can be that two models differ: paired over the rows both answered, and over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from pare.metrics import Share

RESAMPLES = 2000
AT_ONCE = 1 << 22  # counts that are multiplied at a time
ROUNDING = 1e-9  # a deviation that is none
MCNEMAR, BOOTSTRAP, SEEDS = "McNemar", "paired bootstrap", "paired bootstrap over rows and seeds"


@dataclass(frozen=True)
class Difference:
    """By how much the second scores higher than the first, with a 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """p: the probability of a difference at least as large where there is none."""

    difference: Difference
    p: float
    test: str


Side: TypeAlias = Sequence[Share] | np.ndarray  # the share of each row
Pair: TypeAlias = tuple[Side, Side]


def difference(first: Sequence[Share], second: Sequence[Share], resamples: int = RESAMPLES) -> Difference:
    """first, second: the share of each row. Seeded, so that it can be repeated."""
    sides = np.asarray([[first, second]], dtype=np.float64)
    return interval(sides[0], resampled(sides, resamples)[0])


def interval(sides: np.ndarray, drawn: np.ndarray) -> Difference:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Difference(float(gaps_of(sides.sum(1))), float(low), float(high))


def compare(families: Sequence[Sequence[Pair]]) -> list[Verdict]:
    """Each family: the rows as two models answered them, once for each seed. All have as many rows.

    One seed: McNemar's exact test where a row is right or wrong, else the bootstrap's standard error.
    Several: Student's test whose variance is that of the rows and that of the seeds together, its degrees of
    freedom by Welch and Satterthwaite: many rows do not make up for seeds that disagree.
    """
    sides = np.asarray([pair for family in families for pair in family], dtype=np.float64)
    drawn = resampled(sides, RESAMPLES)
    found, start = [], 0
    for family in families:
        mine = slice(start, start := start + len(family))
        if len(family) == 1:
            found.append(of_one(sides[mine][0], drawn[mine][0]))
        else:
            rows = float(drawn[mine].mean(0).std())
            found.append(of_seeds(gaps_of(sides[mine].sum(2)), rows, differing(sides[mine])))
    return found


def of_one(sides: np.ndarray, drawn: np.ndarray) -> Verdict:
    found = interval(sides, drawn)
    if (p := mcnemar(sides)) is not None:
        return Verdict(found, p, MCNEMAR)
    return Verdict(found, two_sided(found.mean, float(drawn.std()), math.inf, differing(sides)), BOOTSTRAP)


def of_seeds(gaps: Sequence[float] | np.ndarray, deviation: float, differ: int | None = None) -> Verdict:
    """gaps: of each seed. deviation: of their mean, from the rows alone. differ: see `two_sided`."""
    from scipy.special import stdtrit

    count, mean = len(gaps), float(np.mean(gaps))
    of_rows, among = deviation**2, float(np.var(gaps, ddof=1)) / count
    total = of_rows + among
    freedom = (total / among) ** 2 * (count - 1) if among else math.inf
    wide = float(stdtrit(min(freedom, 1e6), 0.975)) * math.sqrt(total)
    p = two_sided(mean, math.sqrt(total), freedom, differ)
    return Verdict(Difference(mean, mean - wide, mean + wide), p, SEEDS)


def two_sided(mean: float, deviation: float, freedom: float, differ: int | None) -> float:
    """Student's, but no surer than a test of signs can be: few rows may happen not to deviate at all.

    differ: in how many rows the two do. Which of them is which, row by row, is then one of 2 ** differ ways,
    and two of these are as extreme as can be. None where the rows are not known.
    """
    from scipy.special import stdtr

    if deviation > ROUNDING:
        p = float(2 * stdtr(min(freedom, 1e6), -abs(mean) / deviation))
    else:  # without rows nobody knows of how many that is true
        p = 0.0 if abs(mean) > ROUNDING and differ is not None else 1.0
    return p if differ is None else min(1.0, max(p, 2.0 ** (1 - differ)))


def differing(sides: np.ndarray) -> int:
    """In how many rows the two differ, for any seed.

    sides: seeds, if there are several, by two by rows by above and below the line.
    """
    apart = (sides[..., 0, :, :] != sides[..., 1, :, :]).any(-1)
    return int(apart.reshape(-1, apart.shape[-1]).any(0).sum())


def mcnemar(sides: np.ndarray) -> float | None:
    """Exact: of the rows that only one of them has right, either has as many. None for other metrics."""
    from scipy.special import bdtr

    if not ((sides[..., 1] == 1).all() and np.isin(sides[..., 0], (0, 1)).all()):
        return None
    before, after = sides[0, :, 0], sides[1, :, 0]
    won, lost = int((after > before).sum()), int((before > after).sum())
    return min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5))) if won + lost else 1.0


def holm(probabilities: Sequence[float]) -> list[float]:
    """Corrected for how many there are (Holm, 1979), in the order given."""
    found, largest = [1.0] * len(probabilities), 0.0
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * probabilities[number]))
        found[number] = largest
    return found


def resampled(sides: np.ndarray, resamples: int) -> np.ndarray:
    """Of each pair the gap over rows drawn with replacement, as often as that: the same draws for every pair.

    sides: pairs by two by rows by above and below the line.
    """
    pairs, _, rows, _ = sides.shape
    flat = sides.transpose(2, 0, 1, 3).reshape(rows, 4 * pairs).astype(np.float32)  # counts are exact in it
    sums = np.concatenate([counts.astype(np.float32) @ flat for counts in draws(rows, resamples)])
    return gaps_of(sums.reshape(-1, pairs, 2, 2).astype(np.float64)).T


@lru_cache(maxsize=2)
def draws(rows: int, resamples: int) -> tuple[np.ndarray, ...]:
    """How often each row is drawn, in portions of resamples."""
    rng = np.random.default_rng(0)
    portion = max(1, AT_ONCE // rows)
    found = []
    for start in range(0, resamples, portion):
        found.append(np.empty((min(portion, resamples - start), rows), dtype=np.uint8))
        for counts in found[-1]:
            counts[:] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
    return tuple(found)


def gaps_of(sums: np.ndarray) -> np.ndarray:
    """By how much the second's metric is higher; 1 where there is nothing below the line.

    sums: any shape, by two by above and below the line.
    """
    values = np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1e-12), 1.0)
    gaps: np.ndarray = values[..., 1] - values[..., 0]
    return gaps
