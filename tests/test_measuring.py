"""Measuring: real processes, paired blocks, and an interval that holds the truth."""

import random
from pathlib import Path

import pytest

from pare.errors import StageFailed, TargetError
from pare.progress import silent
from pare.stages.export import Export
from pare.stages.quantize import Quantize
from pare.targets.hardware import Hardware
from pare.targets.measuring import Measure, measure, speedup_of
from small import FINETUNE, TASK, ignore, pipeline

QUICK = Measure(pairs=6, calls=5, texts=20)


def test_a_measurement_knows_what_it_measured(root: Path) -> None:
    line = pipeline(root)
    outcome = line.execute(
        FINETUNE, (("export", Export()), ("quantize", Quantize(calibration_rows=8))), ignore
    )
    graphs = line.baseline_graphs((), outcome.baseline)
    hardware = Hardware(name="here", batch=2, length=16, throughput_batch=4)
    small, large, best = measure(outcome.final, graphs, TASK.texts("test"), hardware, QUICK, silent)
    assert best in (0, 1)
    assert (small.precision, large.precision) == ("int8", "fp32")
    assert large.lowering == ("fused", "plain")[best]
    assert small.latency_ms["n"] == large.latency_ms["n"] == 30
    assert (small.batch, small.length, small.threads) == (2, 16, 1)
    assert small.throughput_per_s > 0
    assert small.size_mb < large.size_mb
    assert small.speedup.low <= small.speedup.median <= small.speedup.high
    assert large.speedup.median == 1


def test_too_few_texts_are_said(root: Path) -> None:
    outcome = pipeline(root).execute(FINETUNE, (("export", Export()),), ignore)
    hardware = Hardware(name="here", batch=64)
    with pytest.raises(StageFailed, match=r"20 texts are fewer than hardware\.batch=64"):
        measure(outcome.final, [outcome.final], TASK.texts("test"), hardware, QUICK, silent)


def test_the_interval_of_equal_arms_holds_one() -> None:
    """Out of 100 comparisons of equals, a 95 % interval misses 1 in a few."""
    rng = random.Random(0)
    missed = 0
    for _ in range(100):
        found = speedup_of([rng.gauss(1, 0.05) for _ in range(40)], resamples=300)
        missed += not found.low <= 1 <= found.high
    assert missed <= 12


def test_the_interval_finds_a_difference() -> None:
    rng = random.Random(1)
    found = speedup_of([rng.gauss(1.05, 0.05) for _ in range(40)])
    assert found.low > 1


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(TargetError, match="4096 asked for"):
        Hardware(name="here", threads=4096).check()
