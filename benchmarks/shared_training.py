"""What training together saves: four widths against one, four students against one by one.

    python benchmarks/shared_training.py [--quick] [--json FILE]

All arms run in this process, in turn, on the same texts for three epochs: a teacher of 4 layers, 256 wide,
with a vocabulary of 21,128 tokens; the widths are 1/4, 1/2, 2/3 and 3/4; each student has an eighth of the
teacher's layers x width squared or less. Weights are random: only time counts here.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from pare.checkpoint import Checkpoint
from pare.encoders.model import Architecture, Model
from pare.encoders.network import scratch
from pare.progress import Advance
from pare.stages.cohort import Cohort
from pare.stages.distill import Distill
from pare.stages.networks import write_network
from pare.stages.stage import Context, Stage
from pare.stages.supernet import Supernet
from pare.stages.width import Width
from pare.tasks.example import singly
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated
from pare.tasks.text import TextEncoder, train_wordpiece
from pare.training import Training

VOCABULARY = 21128
TEACHER = Architecture(layers=4, hidden=256, heads=4, ffn=1024)
SHAPES = {
    "mini": replace(TEACHER, layers=2, hidden=128, ffn=512),
    "micro": replace(TEACHER, layers=1, hidden=128, ffn=512),
    "wide": replace(TEACHER, layers=1, hidden=128, ffn=1024),
    "narrow": replace(TEACHER, layers=1, hidden=128, ffn=256),
}
STUDENTS = {name: Model(architecture=shape) for name, shape in SHAPES.items()}


class Clock:
    """Seconds that training took, from its first step to its last."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Advance]:
        self.ends = []
        yield lambda steps, state: self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return self.ends[-1] - self.ends[0]


class Bench:
    """A task and a fine-tuned model, as far as time is concerned."""

    def __init__(self, rows: int, folder: Path) -> None:
        self.folder, self.made = folder, 0
        source = Generated(train=rows, dev=10, test=10, unlabelled=0)
        self.task = Slu(name="car", max_length=48, source=source)
        encoder = TextEncoder(train_wordpiece(list(singly(self.task.texts("train"))), 2000), 48)
        torch.manual_seed(0)
        # a table as large as BERT's has to be updated at every step, whatever is read from it
        network = scratch(TEACHER, VOCABULARY, encoder.pad_id, self.task.outputs())
        self.baseline = Checkpoint(self.place(), "")
        write_network(self.baseline.path, network, encoder, {})

    def place(self) -> Path:
        self.made += 1
        place = self.folder / str(self.made)
        place.mkdir()
        return place

    def carry_out(self, stage: Stage, model: Checkpoint | None = None) -> tuple[float, Checkpoint]:
        clock, place = Clock(), self.place()
        inputs: Mapping[str, Checkpoint] = {"model": model or self.baseline, "baseline": self.baseline}
        stage.run(inputs, Context(self.task, 0, place, clock.progress))
        return (clock.seconds if clock.ends else 0.0), Checkpoint(place, "")


def seconds(bench: Bench) -> dict[str, float]:
    train = Training(epochs=3)
    _, narrow = bench.carry_out(Width(keep=2 / 3, importance="magnitude"))
    supernet = Supernet(importance="magnitude", train=train)
    return {
        "one width": bench.carry_out(Distill(train=train), narrow)[0],
        "four widths": bench.carry_out(supernet)[0],
        "four widths, sampled": bench.carry_out(replace(supernet, sample=1))[0],
        "one by one": sum(bench.carry_out(Distill(student=s, train=train))[0] for s in STUDENTS.values()),
        "four students": bench.carry_out(Cohort(students=STUDENTS, train=train))[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, repeats = (320, 1) if arguments.quick else (1280, 3)
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(seconds(Bench(rows, Path(folder))))
        print({name: round(value, 1) for name, value in runs[-1].items()})
    claims = (
        ("four widths over one width", "four widths", "one width", 3.0),
        ("four widths, sampled, over one width", "four widths, sampled", "one width", 2.0),
        ("four students together over one by one", "four students", "one by one", 0.6),
    )
    found = []
    print("claim | measured | target |")
    for says, above, below, most in claims:
        ratio = statistics.median(run[above] / run[below] for run in runs)
        verdict = "holds" if ratio <= most else "falls short"
        found.append({"claim": says, "measured": ratio, "target": most, "verdict": verdict})
        print(f"training time, {says} | {ratio:.2f} | ≤ {most:g} | {verdict}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"claims": found, "seconds": runs}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
