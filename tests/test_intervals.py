"""Speed-ups from paired log-ratios: intervals that hold the truth, and percentiles with enough calls."""

import math

import numpy as np
import pytest

from pare.targets.intervals import percentiles, small_sample, speedup_of

QUICK = {"resamples": 300}


def launches(
    rng: np.random.Generator, log_ratio: float, between: float, within: float, count: int = 5
) -> list[list[np.ndarray]]:
    """Each launch has a bias of its own, as processes have."""
    biases = rng.normal(log_ratio, between, count)
    return [[rng.normal(bias, within, 10) for _ in range(8)] for bias in biases]


@pytest.mark.parametrize("between", [0.0, 0.02])
@pytest.mark.parametrize("count", [3, 5, 12])
def test_the_interval_of_equal_arms_holds_one(between: float, count: int) -> None:
    rng = np.random.default_rng(0)
    found = [speedup_of(launches(rng, 0.0, between, 0.05, count), **QUICK) for _ in range(200)]
    missed = sum(not one.low <= 1 <= one.high for one in found)
    assert missed <= 20  # of 200; more than 17 has a chance of one in twenty where 95 % hold


def test_launches_that_differ_widen_the_interval() -> None:
    """Blocks of one process look alike however wrong all of them are."""
    rng = np.random.default_rng(1)
    same, different = (speedup_of(launches(rng, 0.0, between, 0.02)) for between in (0.0, 0.03))
    assert different.half_width > 3 * same.half_width


def test_the_interval_finds_a_difference() -> None:
    found = speedup_of(launches(np.random.default_rng(2), math.log(1.05), 0.003, 0.05))
    assert 1.02 < found.low <= found.median <= found.high < 1.08


def test_one_disturbed_block_moves_nothing() -> None:
    rng = np.random.default_rng(3)
    calm = launches(rng, 0.0, 0.001, 0.01)
    calm[2][3] = calm[2][3] + 2.0  # e² times as slow
    assert speedup_of(calm).median == pytest.approx(1, abs=0.01)


def test_few_launches_are_trusted_less() -> None:
    assert small_sample(3) > small_sample(5) > small_sample(20) > 1


def test_percentiles_need_calls() -> None:
    times = list(range(30_000))
    assert set(percentiles(times[:24_000], strict=True)) == {"p50", "n"}
    assert set(percentiles(times, strict=True)) == {"p50", "p90", "n"}
    assert set(percentiles(times[:10], strict=False)) == {"p50", "p90", "n"}
    assert percentiles(times, strict=True)["n"] == 30_000
