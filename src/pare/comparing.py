"""How sure one can be that two models differ: a paired bootstrap over the rows both answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """By how much the second scores higher than the first, with a 95 % interval."""

    mean: float
    low: float
    high: float


def difference(first: Sequence[float], second: Sequence[float], resamples: int = 2000) -> Difference:
    """first, second: what each row adds to the metric. Seeded, so that it can be repeated."""
    gaps = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    rng = np.random.default_rng(0)
    means = [gaps[rng.integers(0, len(gaps), len(gaps))].mean() for _ in range(resamples)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(float(gaps.mean()), float(low), float(high))
