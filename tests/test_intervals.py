"""Speed-ups from paired log-ratios: intervals that hold the truth, and percentiles with enough calls."""

import math

import numpy as np
import pytest

from pare.targets.intervals import Round, log_ratio, percentiles, speedup_of


def launches(
    rng: np.random.Generator, log_ratio: float, between: float, within: float, count: int = 5
) -> list[float]:
    """Each launch has a bias of its own, as processes have, and the noise of what happened meanwhile."""
    return list(rng.normal(log_ratio, between, count) + rng.normal(0, within, count))


def rounds(rng: np.random.Generator, slower: float, disturbed: float) -> list[Round]:
    """Two passes over the same texts in each; disturbances come as a third more, for a share of the calls."""
    lengths = np.random.default_rng(7).uniform(1, 9, (12, 8))  # of texts: the same for all arms
    return [
        slower * ms * np.exp(rng.normal(0, 0.01, (2, 8))) * (1 + (rng.random((2, 8)) < disturbed) / 3)
        for ms in lengths
    ]


@pytest.mark.parametrize("between", [0.0, 0.02])
@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_the_interval_of_equal_arms_holds_one(between: float, count: int) -> None:
    rng = np.random.default_rng(0)
    found = [speedup_of(launches(rng, 0.0, between, 0.01, count)) for _ in range(400)]
    missed = sum(not one.low <= 1 <= one.high for one in found)
    assert 8 <= missed <= 31  # of 400; fewer or more have a chance of one in a hundred where 95 % hold


def test_launches_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    same, different = (speedup_of(launches(rng, 0.0, between, 0.005)) for between in (0.0, 0.03))
    assert different.half_width > 2 * same.half_width


def test_the_interval_finds_a_difference() -> None:
    found = speedup_of(launches(np.random.default_rng(2), math.log(1.05), 0.003, 0.003))
    assert 1.02 < found.low <= found.median <= found.high < 1.08


def test_few_launches_are_trusted_less() -> None:
    few, many = (speedup_of([-0.01, 0.01] * (n // 2)) for n in (2, 20))
    assert few.half_width > 10 * many.half_width


@pytest.mark.parametrize("disturbed", [(0.0, 0.0), (0.2, 0.4), (0.45, 0.1)])
def test_what_disturbs_a_minority_of_calls_moves_nothing(disturbed: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    baseline, candidate = disturbed
    found = [log_ratio(rounds(rng, 1.1, baseline), rounds(rng, 1.0, candidate)) for _ in range(50)]
    assert np.mean(found) == pytest.approx(math.log(1.1), abs=0.01)


def test_percentiles_need_calls() -> None:
    times = list(range(30_000))
    assert set(percentiles(times[:24_000], strict=True)) == {"p50", "n"}
    assert set(percentiles(times, strict=True)) == {"p50", "p90", "n"}
    assert percentiles(times[:63], strict=False) == {"p50": 31, "n": 63}
    assert percentiles(times[:64], strict=False) == {"p50": 31.5, "p90": pytest.approx(56.7), "n": 64}
    assert percentiles(times, strict=True)["n"] == 30_000
