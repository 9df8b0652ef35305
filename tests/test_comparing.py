"""Whether two models differ: the interval holds the truth as often as it says."""

import numpy as np

from pare.comparing import difference


def test_the_same_answers_do_not_differ() -> None:
    same = difference([1, 0, 1, 1], [1, 0, 1, 1])
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_rows_are_compared_in_pairs() -> None:
    first = [1.0] * 90 + [0.0] * 10
    better = [1.0] * 95 + [0.0] * 5
    found = difference(first, better)
    assert found.mean == 0.05
    assert 0 < found.low < 0.05 < found.high <= 0.1


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        first = (rng.random(200) < 0.8).astype(float)
        second = np.where(rng.random(200) < 0.1, 1 - first, first)  # the truth: 0.1 * (0.2 - 0.8)
        found = difference(first, second, resamples=200)
        held += found.low <= -0.06 <= found.high
    assert held >= 180
