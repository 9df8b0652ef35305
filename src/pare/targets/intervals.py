"""How many times faster, and how sure that is: paired log-ratios, resampled by the processes they come from.

Two processes that run the same graph differ by a percent or two, because their pages lie elsewhere in
memory and caches. So the launch, not the call, is what a repetition is: intervals resample launches, and
blocks in them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: log-ratios of calls on the same texts, one array a block; the blocks of one launch together
Launches = Sequence[Sequence[np.ndarray]]

#: how many calls MLPerf's LoadGen wants before it names a percentile (99 % sure that it is within 1/20 of
#: its tail)
CALLS_FOR = {50: 100, 90: 24_576, 95: 57_344, 97: 90_112, 99: 270_336}


@dataclass(frozen=True)
class Speedup:
    """How many times faster, with a 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval, as a share of the median."""
        return (self.high - self.low) / 2 / self.median


def speedup_of(launches: Launches, resamples: int = 1000) -> Speedup:
    """exp of the median log-ratio; seeded, so that it can be repeated."""
    middle = float(np.median(np.concatenate([block for blocks in launches for block in blocks])))
    medians = [np.array([np.median(block) for block in blocks]) for blocks in launches]
    found = resampled(medians, resamples, np.random.default_rng(0))
    low, high = np.percentile(found, (2.5, 97.5)) - np.median(found)
    wider = small_sample(len(medians))
    return Speedup(*(math.exp(x) for x in (middle, middle + wider * low, middle + wider * high)))


def resampled(medians: Sequence[np.ndarray], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """The mean of launches drawn with replacement, of each the median of blocks drawn with replacement."""
    count = len(medians)
    drawn = np.empty((count, resamples, count))  # each launch as each place of each resample would see it
    for number, blocks in enumerate(medians):
        places = rng.integers(0, len(blocks), (resamples, count, len(blocks)))
        drawn[number] = np.median(blocks[places], axis=-1)
    which = rng.integers(0, count, (resamples, count))
    rows, columns = np.indices(which.shape)
    means: np.ndarray = drawn[which, rows, columns].mean(axis=1)
    return means


def small_sample(launches: int) -> float:
    """How much too narrow a bootstrap of few launches is: Student's t for the normal's 1.96, n - 1 for n."""
    if launches < 2:
        return 1.0
    return T_975[min(launches - 1, len(T_975)) - 1] / 1.96 * math.sqrt(launches / (launches - 1))


#: Student's t at 97.5 %, for 1, 2, … degrees of freedom
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip


def percentiles(times_ms: Sequence[float], strict: bool) -> dict[str, float]:
    """p50 and, with enough calls for them, higher ones; `n` is how many calls there were.

    strict: MLPerf's counts. Otherwise p90 too, which ten calls beyond it make a guess, and is labelled as
    one.
    """
    n = len(times_ms)
    wanted = [p for p, calls in CALLS_FOR.items() if n >= calls] if strict else [50, 90]
    found = np.percentile(times_ms, wanted or [50])
    return {**{f"p{p}": float(value) for p, value in zip(wanted or [50], found, strict=True)}, "n": n}
