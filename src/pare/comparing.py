"""How sure one can be that two models differ: a paired bootstrap over the rows both answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pare.metrics import Share


@dataclass(frozen=True)
class Difference:
    """By how much the second scores higher than the first, with a 95 % interval."""

    mean: float
    low: float
    high: float


def difference(first: Sequence[Share], second: Sequence[Share], resamples: int = 2000) -> Difference:
    """first, second: the share of each row. Seeded, so that it can be repeated."""
    sides = np.asarray([first, second], dtype=np.float64)  # (2, rows, 2)
    rng = np.random.default_rng(0)
    rows = sides.shape[1]
    gaps = [gap(sides[:, rng.integers(0, rows, rows)]) for _ in range(resamples)]
    low, high = np.percentile(gaps, (2.5, 97.5))
    return Difference(gap(sides), float(low), float(high))


def gap(sides: np.ndarray) -> float:
    """By how much the second's metric is higher."""
    sums = sides.sum(1)
    before, after = np.where(sums[:, 1] > 0, sums[:, 0] / np.maximum(sums[:, 1], 1e-12), 1.0)
    return float(after - before)
