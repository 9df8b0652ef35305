"""How much faster distillation is from the second epoch on when the teacher's answers are kept.

    python benchmarks/cached_lessons.py [--quick] [--json FILE]

A teacher four times its student (layers x width squared), both with random weights: only time counts here.
Both arms train the same student on the same batches in this process, in turn.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch

from pare.distillation import Distillation, distil
from pare.encoders.model import Architecture
from pare.encoders.network import scratch
from pare.progress import Advance
from pare.stages.networks import rows_of
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated
from pare.tasks.text import TextEncoder, train_wordpiece
from pare.training import Training

TARGET = 2.0
STUDENT = Architecture(layers=4, hidden=128, heads=4, ffn=512)
TEACHER = replace(STUDENT, hidden=256, ffn=1024)


class Clock:
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Advance]:
        yield lambda steps, state: self.ends.append(time.perf_counter())


def step_seconds(cache: bool, rows: int, task: Slu, encoder: TextEncoder) -> float:
    """Median over the steps of the second epoch."""
    torch.manual_seed(0)
    student, teacher = (
        scratch(shape, encoder.vocabulary_size, task.outputs()) for shape in (STUDENT, TEACHER)
    )
    lessons = rows_of(task, "train", encoder)[:rows]
    training = Training(epochs=2)
    clock = Clock()
    distil(
        [student], teacher, lessons, [], Distillation(cache=cache), training,
        pad_id=encoder.pad_id, seed=0, progress=clock.progress, title="",
    )  # fmt: skip
    ends = clock.ends[training.steps_an_epoch(rows) :]
    return statistics.median(after - before for before, after in pairwise(ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, repeats = (640, 1) if arguments.quick else (3200, 3)
    task = Slu(name="car", max_length=48, source=Generated(train=rows, dev=10, test=10, unlabelled=0))
    encoder = TextEncoder(train_wordpiece(task.texts("train"), 2000), 48)
    ratios = []
    for _ in range(repeats):
        times = {cache: step_seconds(cache, rows, task, encoder) for cache in (False, True)}
        ratios.append(times[False] / times[True])
        print(f"teacher asked {1e3 * times[False]:.1f} ms a step, remembered {1e3 * times[True]:.1f} ms")
    ratio = statistics.median(ratios)
    verdict = "holds" if ratio >= TARGET else "falls short"
    print("claim | measured | target |")
    print(f"distillation with kept answers, second epoch | {ratio:.2f}x | ≥ {TARGET:g}x | {verdict}")
    if arguments.json:
        value = {"ratio": ratio, "ratios": ratios, "target": TARGET, "verdict": verdict}
        arguments.json.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
