"""Teaching a student network with a teacher's answers (Hinton et al., 2015, arXiv:1503.02531)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pare.encoders.network import Network
from pare.losses import hard_loss, hidden_loss, soft_loss
from pare.progress import Progress
from pare.training import Batch, Row, Training, fit, quick_attention, resolve_device, resolve_precision


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """What the student listens to.

    hard_weight: share of the true labels in the loss, for texts that have them.
    hidden_weight: weight of the last layers' difference, through a learned map where the widths differ.
    unlabelled: also learn the teacher's answers to the task's unlabelled texts.
    """

    temperature: float = 1.0
    hard_weight: float = 0.1
    hidden_weight: float = 3.0
    unlabelled: bool = True

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be above 0")
        if not 0 <= self.hard_weight <= 1:
            raise ValueError(f"hard_weight={self.hard_weight}: a share, in [0, 1]")
        if self.hidden_weight < 0:
            raise ValueError(f"hidden_weight={self.hidden_weight}: cannot be negative")


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
    device = resolve_device(training.device)
    teacher.to(device).eval()
    outputs = student.outputs
    torch.manual_seed(seed)
    bridge = bridge_between(student, teacher)
    rows = [*labelled, *unlabelled] if distillation.unlabelled else labelled

    def loss_of(network: Network, batch: Batch) -> Tensor:
        states = network.hidden_states(batch.ids, batch.mask)
        answers = network.answers(states)
        with torch.no_grad():
            lesson = teacher.hidden_states(batch.ids, batch.mask)
            lessons = teacher.answers(lesson)
        soft = soft_loss(answers, lessons, batch.mask, outputs, distillation.temperature)
        hard = hard_loss(answers, batch.labels, outputs)
        hidden = hidden_loss(bridge(states), lesson, batch.mask)
        share = distillation.hard_weight
        return (1 - share) * soft + share * hard + distillation.hidden_weight * hidden

    with quick_attention(teacher, device, resolve_precision(training.precision, device)):
        return fit(
            student,
            rows,
            loss_of,
            training,
            pad_id=pad_id,
            seed=seed,
            progress=progress,
            title=title,
            trained_along=(bridge,),
        )


def bridge_between(student: Network, teacher: Network) -> nn.Module:
    """A learned map from the student's hidden states to the teacher's; nothing where they are alike."""
    narrow, wide = (int(n.encoder.config.hidden_size) for n in (student, teacher))
    return nn.Identity() if narrow == wide else nn.Linear(narrow, wide)
