"""How a network is trained: the settings, what can have no effect among them, device and precision."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from pare import parallel
from pare.machine import torch_finds_a_gpu

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how fast. `steps`, where given, replaces `epochs`; 0 trains nothing.

    max_gradient_norm: None: gradients are not clipped.
    evaluate_every: steps between looks at dev; the best network seen is kept. None: one look an epoch, so
      that a training shorter than one keeps its last weights.
    patience: end after so many looks without a better one.
    class_weights: balanced lets rare labels of whole texts count as much as frequent ones.
    processes: train in so many processes, one for each device; gradients are averaged.
    """

    epochs: float = 3
    steps: int | None = None
    batch_size: int = 32
    accumulate: int = 1  # batches for one step
    learning_rate: float = 5e-4
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    max_gradient_norm: float | None = 1.0
    evaluate_every: int | None = None
    patience: int | None = None
    class_weights: Literal["none", "balanced"] = "none"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # see `resolve_precision`
    device: Device = "auto"
    threads: int = 2  # fixed, so that the same seed gives the same bits on the same CPU
    processes: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "threads", "processes", "evaluate_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        if self.steps is not None and self.steps < 0:
            raise ValueError(f"steps={self.steps}: cannot be negative")
        if self.epochs <= 0:
            raise ValueError(f"epochs={self.epochs}: must be above 0")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate}: must be above 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup={self.warmup}: a share of the steps, in [0, 1]")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay={self.weight_decay}: cannot be negative")
        if self.max_gradient_norm is not None and self.max_gradient_norm <= 0:
            raise ValueError(
                f"max_gradient_norm={self.max_gradient_norm}: must be above 0; null does not clip gradients"
            )

    def steps_an_epoch(self, rows: int) -> int:
        return math.ceil(rows / (self.batch_size * self.accumulate))

    def total_steps(self, rows: int) -> int:
        if self.steps is not None:
            return self.steps
        return max(1, round(self.epochs * self.steps_an_epoch(rows)))

    def repeats(self, rows: int) -> bool:
        """Whether any of so many rows is learnt from more than once."""
        return self.total_steps(rows) * self.accumulate > math.ceil(rows / self.batch_size)


def refuse_without_effect(training: Training, *names: str) -> None:
    """ValueError for those of the settings that are given, where a stage makes nothing of them."""
    plain = Training()
    for name in names:
        value, default = getattr(training, name), getattr(plain, name)
        if value != default:
            raise ValueError(
                f"train.{name}={value}: has no effect in this stage; leave it {default or 'null'}"
            )


def looks_in_vain(
    training: Training, rows: Callable[[], int], setting: str, starts_well: bool = False
) -> list[str]:
    """What is asked of looks at dev and can change nothing, one line each.

    rows: how many there are to train on. setting: the training's config key. starts_well: as in
      `pare.fitting.fit`.
    """
    if training.steps == 0 or (training.evaluate_every is None and training.patience is None):
        return []
    count = rows()
    total = training.total_steps(count)
    every = training.evaluate_every or training.steps_an_epoch(count)
    found = []
    if training.evaluate_every is not None and every > total and not starts_well:
        found.append(
            f"{setting}.evaluate_every={every}: has no effect in a training of {total} steps; "
            "take fewer, or leave it null"
        )
    if training.patience is not None:
        earliest = (training.patience + (not starts_well)) * every
        if earliest >= total:
            found.append(
                f"{setting}.patience={training.patience}: has no effect in a training of {total} steps, "
                f"which it ends after {earliest} at the earliest, with a look at dev every {every}; "
                f"look more often ({setting}.evaluate_every), or leave it null"
            )
    return found


def resolve_device(name: Device) -> torch.device:
    """Of this process: each of several has a GPU of its own."""
    if name == "cpu" or (name == "auto" and not torch_finds_a_gpu()):
        return torch.device("cpu")
    return torch.device("cuda", parallel.rank())


def resolve_precision(name: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"
