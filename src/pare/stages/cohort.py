"""Several students of one teacher, taught together: each batch is answered once for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from pare import parallel
from pare.checkpoint import Checkpoint, Format, write_cohort
from pare.distillation import Distillation, distil
from pare.encoders.model import Model
from pare.stages.networks import (
    lessons_of,
    open_text_encoder,
    start_student,
    taught_by,
    teacher_of,
    tune_thresholds,
    write_network,
)
from pare.stages.stage import Context, Stage
from pare.training import Training, refuse_without_effect


@dataclass(frozen=True, kw_only=True)
class Cohort(Stage):
    """Trains `students`, by name, with the answers of one teacher. A `take` stage chooses one.

    teacher: the fine-tuned model, or the stage before, an assistant.
    Nobody looks at dev: the weights after the last step are kept.
    """

    students: Mapping[str, Model]
    teacher: Literal["baseline", "previous"] = "baseline"
    distillation: Distillation = Distillation()
    train: Training = Training()

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "cohort"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")

    def __post_init__(self) -> None:
        if not self.students:
            raise ValueError("students: at least one is needed")
        for name in self.students:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"students: {name!r} is no name; letters, digits, - and _ are allowed")
        refuse_without_effect(self.train, "evaluate_every", "patience", "class_weights")

    def processes(self) -> int:
        return self.train.processes

    def roles(self) -> tuple[str, ...]:
        return (taught_by(self.teacher),)

    def sources(self) -> Mapping[str, str | None]:
        return {name: model.weights_digest() for name, model in self.students.items()}

    def check(self, setting: str) -> None:
        parallel.check(self.train.processes, self.train.device, f"{setting}.train.processes")
        for name, model in self.students.items():
            model.check(f"{setting}.students.{name}")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        lesson = inputs[taught_by(self.teacher)]
        encoder = open_text_encoder(lesson)
        teacher = teacher_of(lesson, encoder)
        students = {}
        for name, model in self.students.items():
            torch.manual_seed(context.seed)  # each as if it were alone
            students[name] = start_student(model, context.task, encoder)
        history = distil(
            list(students.values()),
            teacher,
            lessons_of(context.task, encoder, self.distillation.unlabelled),
            self.distillation,
            self.train,
            pad_id=encoder.pad_id,
            seed=context.seed,
            progress=context.progress,
            title=f"distilling {', '.join(students)}",
            scratch=context.scratch,
        )
        for name, student in students.items():
            folder = context.output / name
            folder.mkdir()
            tune_thresholds(student, context.task, encoder, self.train.device)
            write_network(folder, student, encoder, {"model": self.students[name].name}, history)
        write_cohort(context.output, list(students))
