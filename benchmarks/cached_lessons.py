"""How much faster distillation is from the second epoch on when the teacher's answers are kept.

    python benchmarks/cached_lessons.py [--quick] [--json FILE]

Teachers four times their students (layers x width squared), all with random weights: only time counts here.
Both arms train the same student on the same batches in this process, in turn. What a step costs beside the
matrices counts most in narrow students, whose small ones are slow as well.
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
from pare.tasks.example import singly
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated
from pare.tasks.text import TextEncoder, train_wordpiece
from pare.training import Training

TARGET = 2.0
MINILM = Architecture(layers=12, hidden=384, heads=12, ffn=1536)
SMALL = Architecture(layers=4, hidden=256, heads=4, ffn=1024)
#: teacher and student
PAIRS = {
    "12 layers of 384 teach 3": (MINILM, replace(MINILM, layers=3)),
    "4 layers of 256 teach 4 of 128": (SMALL, replace(SMALL, hidden=128, ffn=512)),
}


class Clock:
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Advance]:
        yield lambda steps, state: self.ends.append(time.perf_counter())


def step_seconds(pair: str, cache: bool, rows: int, task: Slu, encoder: TextEncoder) -> float:
    """Median over the steps of the second epoch."""
    torch.manual_seed(0)
    teacher, student = (
        scratch(shape, encoder.vocabulary_size, encoder.pad_id, task.outputs()) for shape in PAIRS[pair]
    )
    lessons = rows_of(task, "train", encoder)[:rows]
    training = Training(epochs=2)
    clock = Clock()
    distil(
        [student], teacher, lessons, Distillation(cache=cache), training,
        pad_id=encoder.pad_id, seed=0, progress=clock.progress, title="",
    )  # fmt: skip
    ends = clock.ends[training.steps_an_epoch(rows) :]
    return statistics.median(after - before for before, after in pairwise(ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, repeats = (640, 1) if arguments.quick else (1280, 3)
    task = Slu(name="car", max_length=48, source=Generated(train=rows, dev=10, test=10, unlabelled=0))
    encoder = TextEncoder(train_wordpiece(list(singly(task.texts("train"))), 2000), 48)
    found, lines = {}, []
    for pair in PAIRS:
        ratios = []
        for _ in range(repeats):
            times = {cache: step_seconds(pair, cache, rows, task, encoder) for cache in (False, True)}
            ratios.append(times[False] / times[True])
            asked, remembered = (f"{1e3 * times[cache]:.1f} ms" for cache in (False, True))
            print(f"{pair}: teacher asked {asked} a step, remembered {remembered}", flush=True)
        ratio = statistics.median(ratios)
        verdict = "holds" if ratio >= TARGET else "falls short"
        found[pair] = {"ratio": ratio, "ratios": ratios, "target": TARGET, "verdict": verdict}
        lines.append(f"kept answers, second epoch, {pair} | {ratio:.2f}x | ≥ {TARGET:g}x | {verdict}")
    print("claim | measured | target |")
    print("\n".join(lines))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
