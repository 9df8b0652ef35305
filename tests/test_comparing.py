"""Whether two models differ: the interval holds the truth as often as it says."""

import math
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pare.comparing import Share, compare, difference, holm, of_seeds, two_sided
from pare.rows import write_rows
from pare.study.collecting import Record
from pare.study.statistics import Row
from pare.study.verdicts import judged
from sample import RESULT


def mean(values: Sequence[float]) -> list[Share]:
    """The shares of a metric that is a mean."""
    return [(float(value), 1.0) for value in values]


def test_the_same_answers_do_not_differ() -> None:
    same = difference(mean([1, 0, 1, 1]), mean([1, 0, 1, 1]))
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_rows_are_compared_in_pairs() -> None:
    first = [1.0] * 90 + [0.0] * 10
    better = [1.0] * 95 + [0.0] * 5
    found = difference(mean(first), mean(better))
    assert found.mean == pytest.approx(0.05)
    assert 0 < found.low < 0.05 < found.high <= 0.1


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        first = (rng.random(200) < 0.8).astype(float)
        second = np.where(rng.random(200) < 0.1, 1 - first, first)  # the truth: 0.1 * (0.2 - 0.8)
        found = difference(mean(first), mean(second), resamples=200)
        held += found.low <= -0.06 <= found.high
    assert held >= 180


def test_a_metric_may_be_one_sum_over_another() -> None:
    """F1 of rows of different weight: 2 * 1 / 4 against 2 * 3 / 4."""
    found = difference([(2, 2), (0, 2)], [(2, 2), (4, 2)])
    assert found.mean == 1.0
    assert difference([(0, 0)], [(0, 0)]).mean == 0  # nothing to find and nothing found


def test_one_right_where_the_other_is_not_is_what_counts() -> None:
    """McNemar: of 10 rows that only one has right, 9 are the second's; two-sided 2 * 11 / 1024."""
    first = mean([1] * 50 + [1] + [0] * 9)
    second = mean([1] * 50 + [0] + [1] * 9)
    (found,) = compare([[(first, second)]])
    assert found.p == pytest.approx(22 / 1024)


def test_many_rows_do_not_make_up_for_seeds_that_disagree() -> None:
    rng = np.random.default_rng(2)
    base = rng.random(2000) < 0.8
    better, worse = base | (rng.random(2000) < 0.3), base & (rng.random(2000) < 0.9)
    sides = [(mean(base), mean(better)), (mean(base), mean(worse))]
    apart, together = compare([sides, [sides[0], sides[0]]])
    assert apart.p > 0.2
    assert together.p < 1e-6


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_row_tells_nothing(seeds: int) -> None:
    """Nor does it where seeds are all but alike: another row may say the opposite."""
    family = [([(2.0, 4.0)], [(3.0 + seed / 1000, 4.0)]) for seed in range(seeds)]
    (found,) = compare([family])
    assert found.difference.mean > 0.2
    assert found.p == 1.0


@pytest.mark.parametrize("seeds", [1, 3])
def test_rows_that_all_say_the_same_are_as_sure_as_their_signs(seeds: int) -> None:
    """Nothing deviates: a model that finds all, and one that finds nothing. 2 of 1024 ways are as extreme."""
    all_found, none_found = [(2.0, 2.0), (4.0, 4.0)] * 5, [(0.0, 1.0), (0.0, 2.0)] * 5
    (found,) = compare([[(all_found, none_found)] * seeds])
    assert found.difference.mean == -1
    assert found.p == pytest.approx(2 / 1024)
    (same,) = compare([[(all_found, all_found)] * seeds])
    assert same.p == 1.0


def test_without_rows_what_does_not_deviate_is_not_known() -> None:
    assert of_seeds([0.1, 0.1, 0.1], 0.0).p == 1.0
    assert two_sided(0.3, 0.0, math.inf, None) == 1.0


def test_holm_lets_none_be_surer_than_a_smaller_one() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_any_number_of_jobs_is_compared_in_the_memory_of_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, rows = np.random.default_rng(3), []
    for number in range(80):
        (folder := tmp_path / str(number)).mkdir()
        sides = (mean(rng.random(2000) < 0.8 + 0.001 * number) for _ in range(2))
        write_rows(folder, "the same rows", *sides)
        rows.append(Row(folder.name, [(Record(number, folder, (), (), None, ""), RESULT)]))
    at_once = judged(rows, rows[0])
    monkeypatch.setattr("pare.study.verdicts.AT_ONCE", 8 * 2000, raising=False)
    peaks = []
    for few in (rows[:8], rows):
        tracemalloc.start()
        found = judged(few, rows[0])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert [row.verdict for row in found] == [row.verdict for row in at_once]
    assert peaks[1] < 1.3 * peaks[0]
