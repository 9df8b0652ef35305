"""Distillation: a student learns the teacher's answers (Hinton et al., 2015, arXiv:1503.02531).

Without `student`, the checkpoint before is the student: this is how a pruned model recovers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from pare.checkpoint import Checkpoint, Format
from pare.distillation import Distillation, distil
from pare.encoders.model import Model
from pare.errors import ModelError
from pare.stages.networks import open_network, open_text_encoder, rows_of, start_network, write_network
from pare.stages.stage import Context, Stage
from pare.training import Training


@dataclass(frozen=True, kw_only=True)
class Distill(Stage):
    """Trains a student with the answers of the fine-tuned model (`baseline`) or of the stage before."""

    teacher: Literal["baseline", "previous"] = "baseline"
    student: Model | None = None
    distillation: Distillation = Distillation()
    train: Training = Training()

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")

    def roles(self) -> tuple[str, ...]:
        teacher = "model" if self.teacher == "previous" else "baseline"
        return (teacher,) if self.student is not None else ("model", teacher)

    def sources(self) -> Mapping[str, str | None]:
        return {} if self.student is None else {"student": self.student.weights_digest()}

    def check(self, setting: str) -> None:
        if self.student is not None:
            self.student.check(f"{setting}.student")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        lesson = inputs["model" if self.teacher == "previous" else "baseline"]
        teacher, encoder = open_network(lesson), open_text_encoder(lesson)
        torch.manual_seed(context.seed)
        if self.student is None:
            student = open_network(inputs["model"])
        else:
            student, _ = start_network(self.student, context.task, teacher.outputs, encoder.tokenizer)
            if student.encoder.config.max_position_embeddings < encoder.max_length:
                raise ModelError(
                    f"student: {self.student.name} has {student.encoder.config.max_position_embeddings} "
                    f"positions, fewer than the teacher's {encoder.max_length} tokens"
                )
        history = distil(
            student,
            teacher,
            rows_of(context.task, "train", encoder),
            rows_of(context.task, "unlabelled", encoder),
            self.distillation,
            self.train,
            pad_id=encoder.pad_id,
            seed=context.seed,
            progress=context.progress,
            title="distilling" if self.student is None else f"distilling {self.student.name}",
        )
        write_network(context.output, student, encoder, {"teacher": lesson.facts.get("model")}, history)
