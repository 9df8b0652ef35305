"""Task and distillation losses: pure functions of logits, labels and masks."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pare.outputs import IGNORED_LABEL, Output


def hard_loss(
    logits: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    outputs: Sequence[Output],
    weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The sum over heads of each head's mean cross-entropy with its labels; 0 where there are none.

    That of a softmax where one label holds, of a sigmoid for each label where any may.

    weights: how much each label counts, by output name; 1 where not given.
    """
    total = torch.zeros((), device=next(iter(logits.values())).device)
    for output in outputs:
        scores, truth = logits[output.name].float(), labels[output.name]
        if output.choice == "any":
            total = total + any_loss(scores, truth)
            continue
        weight = (weights or {}).get(output.name, torch.ones(scores.shape[-1])).to(scores.device)
        rows = F.cross_entropy(
            scores.reshape(-1, scores.shape[-1]),
            truth.reshape(-1),
            weight=weight,
            ignore_index=IGNORED_LABEL,
            reduction="sum",
        )
        counted = weight[truth[truth != IGNORED_LABEL]].sum()
        total = total + rows / counted.clamp(min=1e-6)
    return total


def any_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy: the sum over labels, the mean over texts, or tokens, that have some.

    truth: (texts, labels) or (texts, tokens, labels), 1 or 0.
    """
    known = (truth != IGNORED_LABEL).to(logits.dtype)
    rows = F.binary_cross_entropy_with_logits(logits, truth.clamp(min=0).to(logits.dtype), reduction="none")
    return (rows * known).sum() / known[..., 0].sum().clamp(min=1)


def balanced_weights(labels: Sequence[int], count: int) -> Tensor:
    """For each of `count` labels the inverse of its share; their mean over `labels` is 1."""
    seen = torch.bincount(torch.tensor(labels), minlength=count).clamp(min=1)
    return len(labels) / (count * seen.float())


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of softened distributions, per row, scaled by T^2 (Hinton et al., 2015)."""
    log_student = F.log_softmax(student / temperature, dim=-1)
    log_teacher = F.log_softmax(teacher / temperature, dim=-1)
    return F.kl_div(log_student, log_teacher, log_target=True, reduction="none").sum(-1) * temperature**2


def soft_binary_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) of independent labels, the sum over them, per row, scaled by T^2."""
    told = torch.sigmoid(teacher / temperature)
    gap = F.binary_cross_entropy_with_logits(student / temperature, told, reduction="none")
    own = F.binary_cross_entropy_with_logits(teacher / temperature, told, reduction="none")
    return (gap - own).sum(-1) * temperature**2


def squared_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of logits, per row (Ba & Caruana, 2014)."""
    return ((student - teacher) ** 2).mean(-1)


def soft_loss(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    mask: Tensor,
    outputs: Sequence[Output],
    temperature: float,
    kind: Literal["kl", "mse"] = "kl",
) -> Tensor:
    """The sum over heads of each head's mean soft loss; padding counts for nothing.

    mask: (texts, tokens), 1 for real tokens.
    """
    total = torch.zeros((), device=mask.device)
    for output in outputs:
        pair = student[output.name].float(), teacher[output.name].float()
        if kind == "mse":
            rows = squared_difference(*pair)
        elif output.choice == "any":
            rows = soft_binary_cross_entropy(*pair, temperature)
        else:
            rows = soft_cross_entropy(*pair, temperature)
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


def relations(one: Tensor, other: Tensor, heads: int, mask: Tensor) -> Tensor:
    """How much each token looks at each other: log-probabilities (texts, heads, tokens, tokens).

    one, other: (texts, tokens, width), cut into `heads` equal parts; queries and keys give attention maps.
    """
    texts, tokens, width = one.shape
    parts = [x.float().reshape(texts, tokens, heads, width // heads).transpose(1, 2) for x in (one, other)]
    with torch.autocast(one.device.type, enabled=False):  # which would make BF16 of them again
        scores = parts[0] @ parts[1].transpose(-1, -2) / (width // heads) ** 0.5
    return F.log_softmax(scores.masked_fill(mask[:, None, None, :] == 0, -1e4), dim=-1)


def relation_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL of the teacher's relations to the student's, mean over heads and real tokens (Wang et al., 2021).

    Where the numbers of heads differ, the means over heads are compared.
    """
    if student.shape[1] != teacher.shape[1]:
        student, teacher = (x.exp().mean(1, keepdim=True).clamp(min=1e-9).log() for x in (student, teacher))
    rows = F.kl_div(student, teacher, log_target=True, reduction="none").sum(-1).mean(1)
    weights = mask.to(rows.dtype)
    return (rows * weights).sum() / weights.sum()
