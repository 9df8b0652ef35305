"""The one training loop: AdamW, warm-up and linear decay, batches of texts of similar length.

It looks at dev now and then and keeps the best network, takes up a killed run at the same step, and works in
several processes at once.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pare import parallel
from pare.batches import Batch, Row, collate, shuffled_batches
from pare.encoders.network import Network, is_decayed
from pare.errors import NonFiniteLoss
from pare.outputs import Output
from pare.progress import Progress
from pare.resuming import FILE, Standing, restore_standing, save_standing
from pare.stopping import asked, hurried, patient

SAVE_EVERY_S = 30.0  # how much work a kill may cost

Precision = Literal["fp32", "bf16", "fp16"]
#: the task's primary metric on dev of what is being trained
Judge = Callable[[], float]


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
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: bf16 where the device has it
    device: Literal["auto", "cpu", "cuda"] = "auto"
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

    rows: how many there are to train on. setting: the training's config key. starts_well: as in `fit`.
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


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Of this process: each of several has a GPU of its own."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", parallel.rank())


def resolve_precision(name: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


@contextmanager
def quick_attention(module: nn.Module, device: torch.device, precision: str) -> Iterator[None]:
    """On CPUs the backward pass of SDPA in bf16 takes twice the time of eager attention for short texts."""
    encoders = [m.encoder for m in module.modules() if isinstance(m, Network)]
    before = [encoder.config._attn_implementation for encoder in encoders]
    for encoder in encoders:
        if device.type == "cpu" and precision == "bf16":
            encoder.set_attn_implementation("eager")
    yield
    for encoder, implementation in zip(encoders, before, strict=True):
        encoder.set_attn_implementation(implementation)


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


class Lesson(nn.Module):
    """What is trained as one module whose forward pass is the loss: so processes can average gradients."""

    def __init__(self, learners: Sequence[nn.Module], loss_of: Callable[[Batch], Tensor]) -> None:
        super().__init__()
        self.learners = nn.ModuleList(learners)
        self.loss_of = loss_of

    def forward(self, batch: Batch) -> Tensor:
        return self.loss_of(batch)


def fit(
    learners: Sequence[nn.Module],
    outputs: Sequence[Output],
    rows: Sequence[Row],
    loss_of: Callable[[Batch], Tensor],
    training: Training,
    *,
    pad_id: int,
    seed: int,
    progress: Progress,
    title: str,
    judge: Judge | None = None,
    starts_well: bool = False,
    scratch: Path | None = None,
) -> list[dict[str, float]]:
    """Trains `learners` in place and returns their curve; stops with NonFiniteLoss at the first NaN.

    learners: what the loss is made of; each has its gradients clipped by itself.
    judge: looks at dev; without one the last weights are kept. starts_well: also before the first step, so
      that training cannot make it worse.
    scratch: a folder that outlives a killed process, where the run is taken up again.
    """
    torch.set_num_threads(training.threads)
    device = resolve_device(training.device)
    total, epoch = training.total_steps(len(rows)), training.steps_an_epoch(len(rows))
    look_every = training.evaluate_every or epoch
    precision = resolve_precision(training.precision, device)
    lesson = Lesson(learners, loss_of).to(device).train()
    optimizer = torch.optim.AdamW(
        parameter_groups(lesson, training.weight_decay),
        lr=training.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    standing = Standing() if scratch is None else restore_standing(scratch, lesson, optimizer, scaler)
    batches = shuffled_batches([len(row.ids) for row in rows], training.batch_size, seed)
    for _ in range(standing.step * training.accumulate):
        next(batches)
    every = max(1, total // 100)
    taught, together = in_parallel(lesson, device)
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        if scratch is not None and parallel.rank() == 0:
            save_standing(scratch, standing, lesson, optimizer, scaler)
        saved = time.monotonic()

    def is_due(step: int) -> bool:
        """Whether dev is looked at once so many steps are taken."""
        last = step == total and standing.best is not None
        return judge is not None and step > 0 and (step % look_every == 0 or last)

    with progress(title, total) as advance, quick_attention(lesson, device, precision), patient():
        advance(standing.step, "")
        if judge is not None and starts_well and standing.best is None:
            look(judge, lesson, standing, save)
        for step in range(standing.step, total + 1):
            # first of all: a run that was asked to end in a look begins with it
            if judge is not None and is_due(step) and "dev" not in (point := standing.history[-1]):
                point["dev"] = look(judge, lesson, standing, save)
                advance(0, f"loss {point['loss']:.3f}, dev {point['dev']:.4f}")
                if is_out_of_patience(standing, training.patience, look_every):
                    break
            if step == total:
                break
            rate = training.learning_rate * learning_rate_at(step, total, training.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            parts = [own_part(next(batches)) for _ in range(training.accumulate)]
            made = [
                (collate([rows[i] for i in own], outputs, pad_id, device, own), share) for own, share in parts
            ]
            optimizer.zero_grad(set_to_none=True)
            seeds = seeds_of_a_step(seed, step, training.accumulate)
            value = gradients(taught, together, made, seeds, scaler, precision)
            if not math.isfinite(value):
                if scratch is not None:
                    (scratch / FILE).unlink(missing_ok=True)
                raise NonFiniteLoss(f"{title}: the loss is {value} at step {step + 1} of {total}")
            scaler.unscale_(optimizer)
            if training.max_gradient_norm is not None:
                for learner in lesson.learners:
                    nn.utils.clip_grad_norm_(learner.parameters(), training.max_gradient_norm)
            scaler.step(optimizer)
            scaler.update()
            standing.step = step + 1
            if step % every == 0 or step + 1 == total or is_due(step + 1):
                point = {"step": step + 1, "loss": round(value, 6), "learning_rate": rate}
                standing.history.append(point)
            advance(1, f"loss {value:.3f}")
            told = asked()
            if told or time.monotonic() - saved > SAVE_EVERY_S:
                save()
            if told:
                break  # `patient` ends the process
    if standing.best is not None:
        lesson.learners.load_state_dict(standing.best)
    lesson.cpu().eval()
    return standing.history


def seeds_of_a_step(seed: int, step: int, batches: int) -> list[int]:
    """Of what each batch draws, such as dropout: the same in a run taken up again, others in each process."""
    draw = Random(f"{seed} {step} {parallel.rank()}")
    return [draw.getrandbits(63) for _ in range(batches)]


def gradients(
    taught: nn.Module,
    together: Callable[[Tensor], float],
    made: Sequence[tuple[Batch, float]],
    seeds: Sequence[int],
    scaler: torch.amp.GradScaler,
    precision: Precision,
) -> float:
    """Leaves the gradient of the mean loss of the batches, each with its share, in the parameters."""
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    value = 0.0
    for (batch, share), seed in zip(made, seeds, strict=True):
        torch.manual_seed(seed)
        with torch.autocast(batch.ids.device.type, half, enabled=precision != "fp32"):
            loss = taught(batch) * (share / len(made))
        value += together(loss.detach())
        scaler.scale(loss).backward()
    return value


def look(judge: Judge, lesson: Lesson, standing: Standing, save: Callable[[], None]) -> float:
    """The score on dev; notes the weights if they are the best so far. save: where it is asked to end."""
    lesson.eval()
    try:
        with hurried():  # it may take longer than who asks to end will wait
            score = judge() if parallel.rank() == 0 else 0.0
    except (SystemExit, KeyboardInterrupt):
        save()
        raise
    lesson.train()
    score = parallel.agreed(score)
    if standing.best_score is None or score > standing.best_score:
        standing.best_score, standing.best_step = score, standing.step
        state = lesson.learners.state_dict()
        standing.best = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
    return score


def is_out_of_patience(standing: Standing, patience: int | None, look_every: int) -> bool:
    return patience is not None and standing.step - standing.best_step >= patience * look_every


def own_part(numbers: Sequence[int]) -> tuple[Sequence[int], float]:
    """This process's rows of a batch, and the factor that makes the mean over processes one over rows."""
    processes = parallel.world_size()
    if processes == 1:
        return numbers, 1.0
    own = numbers[parallel.rank() :: processes]
    return (own, len(own) * processes / len(numbers)) if own else (numbers[:1], 0.0)


def in_parallel(lesson: Lesson, device: torch.device) -> tuple[nn.Module, Callable[[Tensor], float]]:
    """The lesson with its gradients averaged over all processes, and the mean of a loss over them."""
    if parallel.world_size() == 1:
        return lesson, Tensor.item
    from accelerate import Accelerator, DistributedDataParallelKwargs

    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains of OMP_NUM_THREADS and sets one thread
        accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[unused])
    torch.set_num_threads(threads)
    return accelerator.prepare(lesson), lambda loss: float(accelerator.reduce(loss, "mean").item())
