"""The one training loop: AdamW, warm-up and linear decay, batches of texts of similar length."""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pare.encoders.network import Network, is_decayed
from pare.errors import NonFiniteLoss
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how fast. `steps`, where given, replaces `epochs`."""

    epochs: float = 3
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 5e-4
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the device has it
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 2  # fixed, so that the same seed gives the same bits on the same CPU

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps={self.steps}: must be at least 1")
        if self.epochs <= 0:
            raise ValueError(f"epochs={self.epochs}: must be above 0")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate}: must be above 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup={self.warmup}: a share of the steps, in [0, 1]")

    def total_steps(self, rows: int) -> int:
        if self.steps is not None:
            return self.steps
        return max(1, round(self.epochs * math.ceil(rows / self.batch_size)))


@dataclass(frozen=True)
class Row:
    """One text as a model takes it: token ids, and label ids by output name where the text has labels."""

    ids: Sequence[int]
    labels: Labels | None = None


@dataclass(frozen=True)
class Batch:
    """Padded tensors: ids and mask (texts, tokens), labels by output name (texts,) or (texts, tokens)."""

    ids: Tensor
    mask: Tensor
    labels: Mapping[str, Tensor]


def collate(rows: Sequence[Row], outputs: Sequence[Output], pad_id: int, device: torch.device) -> Batch:
    """Pads to the longest row. Missing labels, like those of padding, are IGNORED_LABEL."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    labels = {
        o.name: torch.full((len(rows), width) if o.scope == "token" else (len(rows),), IGNORED_LABEL)
        for o in outputs
    }
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
        for output in outputs:
            if row.labels is None:
                continue
            value = row.labels[output.name]
            if isinstance(value, int):
                labels[output.name][i] = value
            else:
                labels[output.name][i, : len(value)] = torch.tensor(value)
    return Batch(ids.to(device), mask.to(device), {name: t.to(device) for name, t in labels.items()})


def shuffled_batches(lengths: Sequence[int], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of row numbers: shuffled, then sorted by length within windows to save padding."""
    rng = random.Random(seed)
    order = list(range(len(lengths)))
    window = batch_size * 32
    while True:
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), window):
            part = sorted(order[start : start + window], key=lengths.__getitem__)
            batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
        rng.shuffle(batches)
        yield from batches


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def resolve_precision(name: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


@contextmanager
def quick_attention(network: Network, device: torch.device, precision: str) -> Iterator[None]:
    """On CPUs the backward pass of SDPA in bf16 takes twice the time of eager attention for short texts."""
    before = network.encoder.config._attn_implementation
    if device.type == "cpu" and precision == "bf16":
        network.encoder.set_attn_implementation("eager")
    yield
    network.encoder.set_attn_implementation(before)


def learning_rate_at(step: int, total: int, warmup: float) -> float:
    """The factor on the learning rate: up to 1 over the warm-up, then linearly down to 0."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in named if is_decayed(name)], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not is_decayed(name)], "weight_decay": 0.0},
    ]


def fit(
    network: Network,
    rows: Sequence[Row],
    loss_of: Callable[[Network, Batch], Tensor],
    training: Training,
    *,
    pad_id: int,
    seed: int,
    progress: Progress,
    title: str,
    trained_along: Sequence[nn.Module] = (),
) -> list[dict[str, float]]:
    """Trains `network` in place and returns its curve; stops with NonFiniteLoss at the first NaN.

    trained_along: modules that `loss_of` uses, that learn too and are thrown away.
    """
    torch.set_num_threads(training.threads)
    torch.manual_seed(seed)
    device = resolve_device(training.device)
    trained = nn.ModuleList([network, *trained_along]).to(device).train()
    total = training.total_steps(len(rows))
    optimizer = torch.optim.AdamW(
        parameter_groups(trained, training.weight_decay),
        lr=training.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_at(step, total, training.warmup)
    )
    batches = shuffled_batches([len(row.ids) for row in rows], training.batch_size, seed)
    history: list[dict[str, float]] = []
    every = max(1, total // 100)
    precision = resolve_precision(training.precision, device)
    with progress(title, total) as advance, quick_attention(network, device, precision):
        for step in range(total):
            batch = collate([rows[i] for i in next(batches)], network.outputs, pad_id, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                loss = loss_of(network, batch)
            value = loss.item()
            if not math.isfinite(value):
                raise NonFiniteLoss(f"{title}: the loss is {value} at step {step + 1} of {total}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained.parameters(), training.max_gradient_norm)
            optimizer.step()
            schedule.step()
            if step % every == 0 or step == total - 1:
                rate = float(schedule.get_last_lr()[0])
                history.append({"step": step + 1, "loss": round(value, 6), "learning_rate": rate})
            advance(1, f"loss {value:.3f}")
    network.cpu().eval()
    return history
