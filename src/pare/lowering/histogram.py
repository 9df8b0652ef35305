"""Histograms that grow with what they see, and where to cut them: one pure function for each rule.

Entropy as in TensorRT (Migacz, 2017, "8-bit inference with TensorRT").
"""

import numpy as np

from pare.lowering.integer import activation_scale

BINS = 4096  # on each side of zero: at least 16 to an INT8 step of the whole range
LEVELS = 128  # of |x| in INT8
CANDIDATES = 160  # cuts that are tried, each some 3 % below the one before

Range = tuple[float, float]


class Histogram:
    """How often each value came, in bins of one width on both sides of zero; its size never changes.

    The width is a power of two. A value beyond the last bin doubles it and adds the bins up in pairs, which
    loses nothing: whatever the order of the values, the histogram is the same.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2 * BINS, np.int64)
        self.width = 2.0**-30
        self.low, self.high = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        while max(-self.low, self.high) >= self.width * BINS:
            below, above = np.split(self.counts.reshape(-1, 2).sum(1), 2)
            room = np.zeros(BINS // 2, np.int64)
            self.counts = np.concatenate([room, below, above, room])
            self.width *= 2
        places = np.floor(values.ravel() / self.width).astype(np.int64) + BINS
        self.counts += np.bincount(places, minlength=2 * BINS)

    def magnitudes(self) -> "Histogram":
        """The histogram of |x|: what a symmetric range is chosen from."""
        folded = Histogram()
        folded.width, folded.low = self.width, 0.0
        folded.high = max(-self.low, self.high)
        folded.counts[BINS:] = self.counts[BINS:] + self.counts[:BINS][::-1]
        return folded

    def edges(self) -> np.ndarray:
        """Where bins begin and end: (2 * BINS + 1)."""
        return np.arange(-BINS, BINS + 1) * self.width


def percentile_range(seen: Histogram, percentile: float) -> Range:
    """Holds `percentile` % of the values; what is cut is cut evenly at both ends (of |x|: at the top)."""
    cut = round((100 - percentile) / 100 * int(seen.counts.sum()), 6)
    if seen.low < 0:
        cut /= 2
        low = seen.edges()[np.searchsorted(np.cumsum(seen.counts), cut, side="right")]
    else:
        low = 0.0
    high = seen.edges()[2 * BINS - np.searchsorted(np.cumsum(seen.counts[::-1]), cut, side="right")]
    return max(float(low), seen.low), min(float(high), seen.high)


def entropy_range(seen: Histogram, symmetric: bool) -> Range:
    """Cuts |x| where INT8's levels lose least information (Kullback-Leibler), within what was seen."""
    histogram = seen.magnitudes() if symmetric else seen
    levels = LEVELS if symmetric else 2 * LEVELS
    places = np.flatnonzero(histogram.counts)
    low, high = min(int(places[0]), BINS), max(int(places[-1]) + 1, BINS)
    longest = max(BINS - low, high - BINS)
    if longest <= LEVELS:
        return histogram.low, histogram.high

    def lost(cut: int) -> float:
        return divergence(histogram.counts, max(low, BINS - cut), min(high, BINS + cut), levels)

    cuts = np.unique(np.geomspace(LEVELS, longest, CANDIDATES).astype(int))
    top = min(cuts.tolist(), key=lost) * histogram.width
    return max(histogram.low, -top), min(histogram.high, top)


def divergence(counts: np.ndarray, first: int, last: int, levels: int) -> float:
    """KL(P || Q). P: the bins in [first, last), with what lies beyond in the outermost of them. Q: what
    `levels` leave of these bins, each level spread evenly over those of its bins that are not empty. A bin of
    Q holds half a value at least: else an empty last level decides everything, and the curve jumps.
    """
    inside = counts[first:last]
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    filled = clipped > 0
    level = np.arange(len(inside)) * levels // len(inside)
    share = np.bincount(level, inside, levels) / np.maximum(np.bincount(level, filled, levels), 1)
    rounded = np.maximum(share[level], 0.5)[filled]
    p, q = clipped[filled] / clipped.sum(), rounded / rounded.sum()
    return float(np.sum(p * np.log(p / q)))


def mse_range(seen: Histogram, symmetric: bool) -> Range:
    """The range whose INT8 values differ least from the real ones, by the mean square.

    Both ends shrink together first, then each by itself until neither gets better.
    """
    shares = np.geomspace(0.01, 1, CANDIDATES)
    if symmetric:
        magnitudes = seen.magnitudes()
        scales = magnitudes.high * shares / (LEVELS - 1)
        errors = [squared_error(magnitudes, scale, 0, LEVELS - 1) for scale in scales]
        top = float(magnitudes.high * shares[int(np.argmin(errors))])
        return -top, top

    def error(low: float, high: float) -> float:
        scale, zero = activation_scale(low, high)
        return squared_error(seen, float(scale), -int(zero), 255 - int(zero))

    lows, highs = min(seen.low, 0.0) * shares, max(seen.high, 0.0) * shares
    best = min(zip(lows, highs, strict=True), key=lambda ends: error(*ends))
    while True:
        low, high = best
        low = min([low, *lows], key=lambda end: error(end, high))
        high = min([high, *highs], key=lambda end: error(low, end))
        if error(low, high) >= error(*best):
            return float(best[0]), float(best[1])
        best = low, high


def squared_error(seen: Histogram, scale: float, lowest: int, highest: int) -> float:
    """The mean square of x - scale * round(x / scale) with integers in lowest…highest.

    Exact for values spread evenly within their bin: the integral of the error over each bin.
    """
    if scale <= 0:
        return float(np.inf)
    places = np.flatnonzero(seen.counts)
    begin, end = (places - BINS) * seen.width / scale, (places - BINS + 1) * seen.width / scale
    errors = _integral(end, lowest, highest) - _integral(begin, lowest, highest)
    weights = seen.counts[places] / seen.counts.sum()
    return float(np.sum(weights * errors) * scale**3 / seen.width)


def _integral(x: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    """Of (t - clip(round(t)))² from 0 to x: 1/12 for each whole step, a cubic for the rest of it."""
    inside = np.clip(np.round(x), lowest, highest)
    found: np.ndarray = inside / 12 + (x - inside) ** 3 / 3
    return found
