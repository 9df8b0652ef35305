"""DynaBERT: one network in which every width works (Hou et al., 2020, arXiv:2004.04037).

Heads and neurons are sorted by importance, so that a narrower network is the beginning of a wider one.
Then all widths learn together from the fine-tuned model, sharing weights. The checkpoint is the whole
network; a `width` stage with `importance: order` takes a width from it, so a sweep over widths trains once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pare import parallel
from pare.batches import Batch
from pare.checkpoint import Checkpoint, Format
from pare.distillation import Distillation, Student, answering_quickly, master_of
from pare.encoders.network import Network
from pare.fitting import fit
from pare.importance import Importance, importance_of
from pare.pruning import Narrowing, sort
from pare.stages.networks import (
    lessons_of,
    open_network,
    open_text_encoder,
    some_rows,
    teacher_of,
    tune_thresholds,
    write_network,
)
from pare.stages.stage import Context, Stage
from pare.teacher import thoughts_of
from pare.training import Training, refuse_without_effect, resolve_device


@dataclass(frozen=True, kw_only=True)
class Supernet(Stage):
    """Trains all `widths` of the network before it, taught by the fine-tuned model.

    sample: widths trained in a step: all of them, or the narrowest with so many others drawn anew each time.
    in_place: the widest listens to the teacher, the others to the widest.
    multiple_of: as in the width stage that follows. Nobody looks at dev: the last weights are kept.
    """

    widths: tuple[float, ...] = (0.25, 0.5, 2 / 3, 0.75)
    sample: Literal["all"] | int = "all"
    in_place: bool = False
    importance: Importance = "dynabert"
    rows: int = 512
    multiple_of: int = 16
    distillation: Distillation = Distillation(cache=True)
    train: Training = Training()

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    def __post_init__(self) -> None:
        if not self.widths or not all(0 < width <= 1 for width in self.widths):
            raise ValueError(f"widths={list(self.widths)}: shares in (0, 1], at least one")
        if isinstance(self.sample, int) and not 1 <= self.sample < len(self.widths):
            raise ValueError(f"sample={self.sample}: all, or fewer than the {len(self.widths)} widths")
        if self.multiple_of < 1 or self.rows < 1:
            raise ValueError(f"multiple_of={self.multiple_of}, rows={self.rows}: must be at least 1")
        if self.distillation.looks_inside:
            raise ValueError(
                "distillation: attention maps and relations need all heads; set their weights to 0"
            )
        refuse_without_effect(self.train, "evaluate_every", "patience", "class_weights")

    def processes(self) -> int:
        return self.train.processes

    def check(self, setting: str) -> None:
        parallel.check(self.train.processes, self.train.device, f"{setting}.train.processes")

    def roles(self) -> tuple[str, ...]:
        return ("model", "baseline")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        network, encoder = open_network(inputs["model"]), open_text_encoder(inputs["model"])
        teacher = teacher_of(inputs["baseline"], encoder)
        rows = lessons_of(context.task, encoder, self.distillation.unlabelled)
        judged = some_rows(context.task, encoder, self.rows, context.seed)
        network.to(resolve_device(self.train.device))  # of several processes each has its own
        scores = importance_of(network, self.importance, judged, encoder.pad_id)
        sort(network.cpu(), scores)
        torch.manual_seed(context.seed)
        student = Student(network, teacher, self.distillation)
        master = master_of(teacher, [student], rows, self.distillation, self.train)
        narrowing = Narrowing(network)
        drawing = Drawing(self.widths, self.sample, context.seed)

        def loss_of(batch: Batch) -> Tensor:
            lesson = master.answer(batch)
            layers = student.compared(lesson)
            parts = []
            with looked_up_once(network, batch.ids):
                for width in drawing():
                    with narrowing.to(width, self.multiple_of):
                        own = thoughts_of(network, batch, student.layers, False)
                    parts.append(student.loss_of(own, batch, lesson, layers))
                    if self.in_place and len(parts) == 1:
                        lesson, layers = student.as_lesson(own)
            return torch.stack(parts).mean()

        with answering_quickly(teacher, self.train):
            history = fit(
                [nn.ModuleList([student, drawing])],
                network.outputs,
                rows,
                loss_of,
                self.train,
                pad_id=encoder.pad_id,
                seed=context.seed,
                progress=context.progress,
                title=f"training {len(self.widths)} widths",
                scratch=context.scratch,
            )
        facts = {**inputs["model"].facts, "widths": list(self.widths), "multiple_of": self.multiple_of}
        tune_thresholds(network, context.task, encoder, self.train.device)
        write_network(context.output, network, encoder, facts, history)


class Drawing(nn.Module):
    """Which widths are trained next, the widest first; the same in all processes.

    How often it drew is saved with the weights, so that a run taken up again goes on with the next.
    """

    count: Tensor

    def __init__(self, widths: Sequence[float], sample: Literal["all"] | int, seed: int) -> None:
        super().__init__()
        self.widths = sorted(widths, reverse=True)
        self.sample, self.seed = sample, seed
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self) -> list[float]:
        if self.sample == "all":
            return self.widths
        draw = Random(f"{self.seed} {int(self.count)}")
        self.count += 1
        others = draw.sample(range(len(self.widths) - 1), self.sample)
        return [*(self.widths[i] for i in sorted(others)), self.widths[-1]]


@contextmanager
def looked_up_once(network: Network, ids: Tensor) -> Iterator[None]:
    """All widths read the same look-up: its gradient is as large as the table, and so is made once a step."""
    table = network.encoder.get_input_embeddings()
    found = table(ids)
    table.forward = lambda _: found
    try:
        yield
    finally:
        del table.forward
