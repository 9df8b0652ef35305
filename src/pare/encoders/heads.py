"""Heads: a linear map for each output, or two, as classifiers of transformers have them; those are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from pare.encoders.families import family_of
from pare.outputs import Output, Scope

DENSE = "dense_heads"  # in the config: by output, what comes between its two maps
BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": nn.functional.gelu,
    "relu": nn.functional.relu,
}
#: how the names of transformers' classes end, what they read, and what opens them
CLASSES: dict[str, tuple[Scope, Any]] = {
    "ForSequenceClassification": ("text", AutoModelForSequenceClassification),
    "ForTokenClassification": ("token", AutoModelForTokenClassification),
}


class DenseHead(nn.Linear):
    """A head with a map of its own before it."""

    def __init__(self, hidden: int, labels: int, between: str) -> None:
        super().__init__(hidden, labels)
        self.dense = nn.Linear(hidden, hidden)
        self.between = between

    def forward(self, states: Tensor) -> Tensor:
        return super().forward(BETWEEN[self.between](self.dense(states)))


def head_for(output: Output, config: PreTrainedConfig) -> nn.Linear:
    """An untrained one, of the kind that the config names."""
    hidden, between = int(config.hidden_size), getattr(config, DENSE, {}).get(output.name)
    labels = len(output.labels)
    return nn.Linear(hidden, labels) if between is None else DenseHead(hidden, labels, between)


@dataclass(frozen=True)
class Classifier:
    """A model of transformers' that answers an output. numbers: of the output's labels, as it counts them."""

    output: Output
    numbers: tuple[int, ...]
    opened_by: Any


def classifier_in(config: PreTrainedConfig, outputs: Sequence[Output]) -> Classifier | None:
    """By its class and its labels, which have to be the very same: by name, or LABEL_0 for the label 0."""
    if not family_of(config.model_type).reads_classifiers:
        return None
    called = str((getattr(config, "architectures", None) or [""])[0])
    named = (found for ending, found in CLASSES.items() if called.endswith(ending))
    scope, opened_by = next(named, (None, None))
    mine = [output for output in outputs if output.scope == scope]
    if len(mine) != 1:
        return None
    numbers = {str(label): int(number) for number, label in (config.id2label or {}).items()}
    found = [numbers.get(label, numbers.get(f"LABEL_{label}")) for label in mine[0].labels]
    known = tuple(number for number in found if number is not None)
    return Classifier(mine[0], known, opened_by) if len({*known}) == len(found) == len(numbers) else None


def answers_all(config: PreTrainedConfig, outputs: Sequence[Output]) -> bool:
    return len(outputs) == 1 and classifier_in(config, outputs) is not None


def head_of(classifier: Classifier, model: PreTrainedModel) -> tuple[nn.Linear, str | None]:
    """The model's own, its labels in the output's order; and what comes between its maps, if it has two."""
    last, before, between = family_of(model.config.model_type).head_of(model)
    hidden, labels = last.in_features, len(classifier.output.labels)
    head = nn.Linear(hidden, labels) if before is None else DenseHead(hidden, labels, between)
    order = list(classifier.numbers)
    with torch.no_grad():
        head.weight.copy_(last.weight[order])
        head.bias.copy_(last.bias[order])
        if isinstance(head, DenseHead) and before is not None:
            head.dense.load_state_dict(before.state_dict())
    return head, None if before is None else between
