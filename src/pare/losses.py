"""Task and distillation losses: pure functions of logits, labels and masks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pare.outputs import IGNORED_LABEL, Output


def hard_loss(
    logits: Mapping[str, Tensor], labels: Mapping[str, Tensor], outputs: Sequence[Output]
) -> Tensor:
    """The sum over heads of each head's mean cross-entropy with its labels; 0 where there are none."""
    total = torch.zeros((), device=next(iter(logits.values())).device)
    for output in outputs:
        scores, truth = logits[output.name].float(), labels[output.name]
        rows = F.cross_entropy(
            scores.reshape(-1, scores.shape[-1]),
            truth.reshape(-1),
            ignore_index=IGNORED_LABEL,
            reduction="sum",
        )
        total = total + rows / (truth != IGNORED_LABEL).sum().clamp(min=1)
    return total


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of softened distributions, per row, scaled by T^2 (Hinton et al., 2015)."""
    log_student = F.log_softmax(student / temperature, dim=-1)
    log_teacher = F.log_softmax(teacher / temperature, dim=-1)
    return F.kl_div(log_student, log_teacher, log_target=True, reduction="none").sum(-1) * temperature**2


def soft_loss(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    mask: Tensor,
    outputs: Sequence[Output],
    temperature: float,
) -> Tensor:
    """The sum over heads of each head's mean soft loss; padding counts for nothing.

    mask: (texts, tokens), 1 for real tokens.
    """
    total = torch.zeros((), device=mask.device)
    for output in outputs:
        rows = soft_cross_entropy(student[output.name].float(), teacher[output.name].float(), temperature)
        if output.scope == "token":
            weights = mask.to(rows.dtype)
            total = total + (rows * weights).sum() / weights.sum()
        else:
            total = total + rows.mean()
    return total


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of two layers over real tokens; padding counts for nothing.

    student, teacher: (texts, tokens, hidden). mask: (texts, tokens).
    """
    weights = mask[:, :, None].to(torch.float32)
    squares = (student.float() - teacher.float()) ** 2
    return (squares * weights).sum() / (weights.sum() * teacher.shape[-1])
