"""Distillation: a student learns the teacher's answers (Hinton et al., 2015, arXiv:1503.02531).

Without `student`, the checkpoint before is the student: this is how a pruned model recovers, and how
layers of the teacher become a student.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch

from pare import parallel
from pare.batches import Row
from pare.checkpoint import Checkpoint, Format
from pare.distillation import Distillation, distil
from pare.encoders.model import Model
from pare.encoders.network import Network
from pare.files import text_of
from pare.ondemand import changed, one_after_another
from pare.provenance import file_digest
from pare.stages.networks import (
    check_positions,
    is_fine_tuned,
    judge_of,
    lesson_count,
    lessons_of,
    open_network,
    open_text_encoder,
    read_alike,
    start_network,
    start_student,
    taught_by,
    teacher_of,
    tune_thresholds,
    write_network,
)
from pare.stages.stage import Context, Stage
from pare.tasks.task import Task
from pare.tasks.text import TextEncoder
from pare.training import Training, looks_in_vain, refuse_without_effect


@dataclass(frozen=True, kw_only=True)
class Distill(Stage):
    """Trains a student with the answers of a teacher.

    teacher: the fine-tuned model, the stage before, or a model of its own that answers the same task.
    student: a new network; null takes the checkpoint before.
    corpus: a file with more texts to learn from, one a line.
    """

    teacher: Literal["baseline", "previous"] | Model = "baseline"
    student: Model | None = None
    distillation: Distillation = Distillation()
    corpus: str | None = None
    train: Training = Training()

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")

    def __post_init__(self) -> None:
        if self.teacher == "previous" and self.student is None:
            raise ValueError("teacher=previous: is the student itself; take baseline, or give a student")
        refuse_without_effect(self.train, "class_weights")
        if not self.distillation.teaches_the_task:
            refuse_without_effect(self.train, "evaluate_every", "patience")

    def processes(self) -> int:
        return self.train.processes

    def roles(self) -> tuple[str, ...]:
        teacher = () if isinstance(self.teacher, Model) else (taught_by(self.teacher),)
        student = () if self.student is not None else ("model",)
        return tuple(dict.fromkeys((*student, *teacher))) or ("baseline",)  # whose tokenizer it shares

    def sources(self) -> Mapping[str, str | None]:
        found: dict[str, str | None] = {}
        for name, model in (("student", self.student), ("teacher", self.teacher)):
            if isinstance(model, Model):
                found[name] = model.weights_digest()
        if self.corpus is not None:
            found["corpus"] = file_digest(Path(self.corpus).expanduser())
        return found

    def check(self, setting: str) -> None:
        parallel.check(self.train.processes, self.train.device, f"{setting}.train.processes")
        if self.student is not None:
            self.student.check(f"{setting}.student")
        if isinstance(self.teacher, Model):
            self.teacher.check(f"{setting}.teacher")
        if self.corpus is not None:
            text_of(Path(self.corpus).expanduser(), f"{setting}.corpus")

    def misfits(self, task: Task, setting: str) -> list[str]:
        def rows() -> int:
            return lesson_count(task, self.distillation.unlabelled) + len(self.more_texts())

        found = looks_in_vain(self.train, rows, f"{setting}.train")
        own = self.teacher if isinstance(self.teacher, Model) else None
        if own is not None and self.distillation.hears_answers and not is_fine_tuned(own, task):
            found.append(
                f"{setting}.teacher: {own.name} does not answer this task; give the checkpoint folder of a "
                "network fine-tuned on it, or distillation.soft_weight=0 to learn from its layers only"
            )
        return found

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        torch.manual_seed(context.seed)
        if self.student is None:
            student, encoder = open_network(inputs["model"]), open_text_encoder(inputs["model"])
            teacher = self.open_teacher(inputs, context, encoder)
            facts = dict(inputs["model"].facts)
        else:
            encoder = open_text_encoder(inputs[taught_by(self.teacher)])
            teacher = self.open_teacher(inputs, context, encoder)
            torch.manual_seed(context.seed)
            student = start_student(self.student, context.task, encoder)
            facts = {"model": self.student.name}
        history = distil(
            [student],
            teacher,
            one_after_another(
                lessons_of(context.task, encoder, self.distillation.unlabelled), self.corpus_rows(encoder)
            ),
            self.distillation,
            self.train,
            pad_id=encoder.pad_id,
            seed=context.seed,
            progress=context.progress,
            title="distilling" if self.student is None else f"distilling {self.student.name}",
            judge=judge_of(student, context.task, encoder) if self.distillation.teaches_the_task else None,
            scratch=context.scratch,
        )
        tune_thresholds(student, context.task, encoder, self.train.device)
        write_network(context.output, student, encoder, facts, history)

    def open_teacher(
        self, inputs: Mapping[str, Checkpoint], context: Context, encoder: TextEncoder
    ) -> Network:
        if not isinstance(self.teacher, Model):
            return teacher_of(inputs[taught_by(self.teacher)], encoder)
        teacher, its = start_network(self.teacher, context.task, context.task.outputs())
        read_alike(teacher, its, encoder, "teacher", "student")
        check_positions(teacher, self.teacher, encoder, "teacher", "student")
        return teacher.eval()

    def corpus_rows(self, encoder: TextEncoder) -> Sequence[Row]:
        return changed(encoder.encode(self.more_texts(), places=False), lambda e: Row(e.ids))

    def more_texts(self) -> list[str]:
        """Of `corpus`."""
        if self.corpus is None:
            return []
        lines = text_of(Path(self.corpus).expanduser(), "corpus").split("\n")
        return [line for line in lines if line.strip()]
