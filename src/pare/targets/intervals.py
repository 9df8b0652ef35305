"""How many times faster, and how sure that is.

Whatever disturbs a call makes it slower, on a shared machine often by a third and for a tenth of a second. So
each text is run twice in a round, and the quicker of the two is what counts. Two processes that run the same
graph differ as well, because their pages lie elsewhere: so the launch, not the call, is what a repetition is.
Each has one value, the median of its paired log-ratios, and the interval is Student's for the mean of these:
what a bootstrap over launches tends to, without its bias where they are few. (To resample blocks within
launches too would count the same noise twice.)
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: milliseconds of one arm in one round: passes by texts
Round = Sequence[Sequence[float]]

#: how many calls MLPerf's LoadGen wants before it names a percentile (99 % sure that it is within 1/20 of
#: its tail)
CALLS_FOR = {50: 100, 90: 24_576, 95: 57_344, 97: 90_112, 99: 270_336}
#: of a quick measurement: six calls beyond p90, which make a guess
QUICK_CALLS_FOR = {50: 1, 90: 64}


@dataclass(frozen=True)
class Speedup:
    """How many times faster, with a 95 % interval. median: the geometric mean of the launches' medians."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval, as a share of its middle."""
        return (self.high - self.low) / 2 / self.median


def log_ratio(baseline: Sequence[Round], candidate: Sequence[Round]) -> float:
    """How much longer the baseline takes in one launch: the median over all texts of all rounds."""
    quickest = ([np.log(np.min(passes, axis=0)) for passes in rounds] for rounds in (baseline, candidate))
    before, after = map(np.concatenate, quickest)
    return float(np.median(before - after))


def speedup_of(log_ratios: Sequence[float]) -> Speedup:
    """One log-ratio a launch; one launch alone has no interval but its own value."""
    middle, wide, count = statistics.fmean(log_ratios), 0.0, len(log_ratios)
    if count > 1:
        wide = T_975[min(count - 1, len(T_975)) - 1] * statistics.stdev(log_ratios) / math.sqrt(count)
    return Speedup(*(math.exp(x) for x in (middle, middle - wide, middle + wide)))


#: Student's t at 97.5 %, for 1, 2, … degrees of freedom
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip


def percentiles(times_ms: Sequence[float], strict: bool) -> dict[str, float]:
    """p50 and, with enough calls for them, higher ones; `n` is how many calls there were.

    strict: by MLPerf's counts. Otherwise p90 at most, from 64 calls on.
    """
    n = len(times_ms)
    needed = CALLS_FOR if strict else QUICK_CALLS_FOR
    wanted = [p for p, calls in needed.items() if n >= calls] or [50]
    found = np.percentile(times_ms, wanted)
    return {**{f"p{p}": float(value) for p, value in zip(wanted, found, strict=True)}, "n": n}
