"""A task and a fine-tuned network small enough to make in seconds, real enough to be pruned and quantized."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pare.encoders.model import Architecture, Model
from pare.pipeline import Pipeline, Step
from pare.progress import Advance, Progress, silent
from pare.stages.distill import Distill
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.quantize import Quantize
from pare.stages.stage import Stage
from pare.stages.width import Width
from pare.store import Store
from pare.targets.hardware import Hardware
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated
from pare.training import Training

TASK = Slu(
    name="small",
    max_length=32,
    source=Generated(train=1500, dev=150, test=100, unlabelled=50),
)
ARCHITECTURE = Architecture(layers=2, hidden=64, heads=4, ffn=128, positions=32, vocabulary=1500)
FINETUNE = Finetune(
    model=Model(architecture=ARCHITECTURE),
    train=Training(steps=250, learning_rate=3e-3, precision="fp32", threads=1),
)
HARDWARE = Hardware(name="here")
OPENVINO = Hardware(name="there", runtime="openvino")
TORCH = Hardware(name="there", runtime="torch")
QUICK = Training(steps=5, precision="fp32", threads=1)


def pipeline(root: Path, seed: int = 0, hardware: Hardware = HARDWARE) -> Pipeline:
    return Pipeline(Store(root), TASK, seed, hardware, silent)


def ignore(step: Step) -> None:
    """For `execute`, where nobody listens."""


class Broken(Exception):
    """What happened in the middle of something."""


def breaking_after(steps: int) -> Progress:
    """Work that has come so far ends there."""

    @contextmanager
    def progress(title: str, total: int) -> Iterator[Advance]:
        done = 0

        def advance(more: int, state: str) -> None:
            nonlocal done
            done += more
            if done > steps:
                raise Broken

        yield advance

    return progress


def halved_int8(train: Training) -> tuple[tuple[str, Stage], ...]:
    """Half the width, recovered, exported, and static INT8."""
    return (
        ("width", Width(keep=0.5, rows=64)),
        ("distill", Distill(train=train)),
        ("export", Export()),
        ("quantize", Quantize(calibration_rows=32)),
    )
