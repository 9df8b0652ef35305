"""Teaching a student network with a teacher's answers (Hinton et al., 2015, arXiv:1503.02531)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pare.encoders.network import Network
from pare.losses import hard_loss, soft_loss
from pare.progress import Progress
from pare.training import Batch, Row, Training, fit, resolve_device


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """What the student listens to.

    hard_weight: share of the true labels in the loss, for texts that have them.
    unlabelled: also learn the teacher's answers to the task's unlabelled texts.
    """

    temperature: float = 2.0
    hard_weight: float = 0.1
    unlabelled: bool = True

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be above 0")
        if not 0 <= self.hard_weight <= 1:
            raise ValueError(f"hard_weight={self.hard_weight}: a share, in [0, 1]")


def distil(
    student: Network,
    teacher: Network,
    labelled: Sequence[Row],
    unlabelled: Sequence[Row],
    distillation: Distillation,
    training: Training,
    *,
    pad_id: int,
    seed: int,
    progress: Progress,
    title: str,
) -> list[dict[str, float]]:
    """Trains `student` in place; the teacher only answers. Returns the training curve."""
    teacher.to(resolve_device(training.device)).eval()
    outputs = student.outputs
    rows = [*labelled, *unlabelled] if distillation.unlabelled else labelled

    def loss_of(network: Network, batch: Batch) -> Tensor:
        answers = network(batch.ids, batch.mask)
        with torch.no_grad():
            lessons = teacher(batch.ids, batch.mask)
        soft = soft_loss(answers, lessons, batch.mask, outputs, distillation.temperature)
        if distillation.hard_weight == 0:
            return soft
        hard = hard_loss(answers, batch.labels, outputs)
        return (1 - distillation.hard_weight) * soft + distillation.hard_weight * hard

    return fit(student, rows, loss_of, training, pad_id=pad_id, seed=seed, progress=progress, title=title)
