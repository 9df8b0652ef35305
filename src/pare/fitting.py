"""The one training loop: AdamW, warm-up and linear decay, batches of texts of similar length.

It looks at dev now and then and keeps the best network, takes up a killed run at the same step, and works in
several processes at once.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from pare import parallel
from pare.batches import Batch, Row, collate, shuffled_batches
from pare.encoders.network import Network, is_decayed
from pare.errors import NonFiniteLoss, StageFailed
from pare.outputs import Output
from pare.progress import Progress
from pare.resuming import FILE, Standing, restore_standing, save_standing
from pare.stopping import asked, hurried, patient
from pare.training import Training, resolve_device, resolve_precision

SAVE_EVERY_S = 30.0  # how much work a kill may cost
QUICK_S = SAVE_EVERY_S / 20  # a save, while which training stands still; longer ones are as much rarer

#: what NNCF adds to a network, which rounds at those operations that were traced then and at no others
HOOKS = "__nncf_hooks"
#: the task's primary metric on dev of what is being trained
Judge = Callable[[], float]


@contextmanager
def quick_attention(module: nn.Module, device: torch.device, precision: str) -> Iterator[None]:
    """On CPUs the backward pass of SDPA in bf16 takes twice the time of eager attention for short texts."""
    networks = [m for m in module.modules() if isinstance(m, Network)]
    encoders = [network.encoder for network in networks if not hasattr(network, HOOKS)]
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


class Course:
    """A lesson that is being taught: what takes its steps, where it stands, and what keeps that on disk."""

    def __init__(
        self, lesson: Lesson, training: Training, device: torch.device, scratch: Path | None
    ) -> None:
        self.lesson = lesson.to(device).train()
        self.device, self.scratch = device, scratch
        self.precision = resolve_precision(training.precision, device)
        self.max_gradient_norm = training.max_gradient_norm
        self.optimizer = torch.optim.AdamW(
            parameter_groups(lesson, training.weight_decay),
            lr=training.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        self.standing = Standing()
        if scratch is not None:
            self.standing = restore_standing(scratch, lesson, self.optimizer, self.scaler)
        self.taught, self.mean = parallel.averaged(lesson, device)
        self.saved, self.took = time.monotonic(), 0.0  # when the last save ended, and how long it took

    def step(
        self, batches: Sequence[tuple[Batch, float]], seeds: Sequence[int], rate: float
    ) -> tuple[float, float]:
        """The loss and the norm of its gradient; where either is not finite no step was taken."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        value = self.gradients(batches, seeds)
        if not math.isfinite(value):
            return value, 0.0
        self.scaler.unscale_(self.optimizer)
        norm = math.hypot(*(self.clipped(learner) for learner in self.lesson.learners))
        if self.scaler.is_enabled():
            norm = 0.0  # it leaves a step out itself, and begins with some
        if math.isfinite(norm):
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.standing.step += 1
        return value, norm

    def clipped(self, learner: nn.Module) -> float:
        """The norm that its gradient had."""
        if self.max_gradient_norm is not None:
            return float(nn.utils.clip_grad_norm_(learner.parameters(), self.max_gradient_norm))
        return float(nn.utils.get_total_norm([p.grad for p in learner.parameters() if p.grad is not None]))

    def gradients(self, batches: Sequence[tuple[Batch, float]], seeds: Sequence[int]) -> float:
        """Leaves the gradient of the mean loss of the batches, each with its share, in the parameters."""
        half = torch.float16 if self.precision == "fp16" else torch.bfloat16
        value = 0.0
        for (batch, share), seed in zip(batches, seeds, strict=True):
            torch.manual_seed(seed)
            with torch.autocast(self.device.type, half, enabled=self.precision != "fp32"):
                loss = self.taught(batch) * (share / len(batches))
            value += self.mean(loss.detach())
            self.scaler.scale(loss).backward()
        return value

    def look(self, judge: Judge) -> float:
        """The score on dev; notes the weights if they are the best so far."""
        self.lesson.eval()
        try:
            with hurried():  # it may take longer than who asks to end will wait
                score = judge() if parallel.rank() == 0 else 0.0
        except (SystemExit, KeyboardInterrupt):
            self.save()
            raise
        self.lesson.train()
        score = parallel.agreed(score)
        standing = self.standing
        if standing.best_score is None or score > standing.best_score:
            standing.best_score, standing.best_step = score, standing.step
            state = self.lesson.learners.state_dict()
            standing.best = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        return score

    def save(self) -> None:
        began = time.monotonic()
        if self.scratch is not None and parallel.rank() == 0:
            save_standing(self.scratch, self.standing, self.lesson, self.optimizer, self.scaler)
        self.saved = time.monotonic()
        self.took = self.saved - began

    def is_to_save(self) -> bool:
        return time.monotonic() - self.saved > SAVE_EVERY_S * max(1.0, self.took / QUICK_S)

    def forget(self) -> None:
        """So that the next run begins anew."""
        if self.scratch is not None:
            (self.scratch / FILE).unlink(missing_ok=True)

    def end(self) -> list[dict[str, float]]:
        """Leaves the best network seen, or the last; the curve."""
        if self.standing.best is not None:
            self.lesson.learners.load_state_dict(self.standing.best)
        self.lesson.cpu().eval()
        return self.standing.history


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
    course = Course(Lesson(learners, loss_of), training, device, scratch)
    standing = course.standing
    total, epoch = training.total_steps(len(rows)), training.steps_an_epoch(len(rows))
    look_every = training.evaluate_every or epoch
    note_every = max(1, total // 100)
    batches = shuffled_batches([len(row.ids) for row in rows], training.batch_size, seed)
    for _ in range(standing.step * training.accumulate):
        next(batches)

    def is_due(step: int) -> bool:
        """Whether dev is looked at once so many steps are taken."""
        last = step == total and standing.best is not None
        return judge is not None and step > 0 and (step % look_every == 0 or last)

    with (
        progress(title, total) as advance,
        quick_attention(course.lesson, device, course.precision),
        patient(),
    ):
        advance(standing.step, "")
        if judge is not None and starts_well and standing.best is None:
            course.look(judge)
        for step in range(standing.step, total + 1):
            # first of all: a run that was asked to end in a look begins with it
            if judge is not None and is_due(step) and "dev" not in (point := standing.history[-1]):
                point["dev"] = course.look(judge)
                advance(0, f"loss {point['loss']:.3f}, dev {point['dev']:.4f}")
                if is_out_of_patience(standing, training.patience, look_every):
                    break
            if step == total:
                break
            rate = training.learning_rate * learning_rate_at(step, total, training.warmup)
            parts = [parallel.own_part(next(batches)) for _ in range(training.accumulate)]
            made = [
                (collate([rows[i] for i in own], outputs, pad_id, device, own), share) for own, share in parts
            ]
            with within_memory(title, [batch for batch, _ in made], training):
                value, norm = course.step(made, seeds_of_a_step(seed, step, training.accumulate), rate)
            for what, number in (("the loss", value), ("the norm of its gradient", norm)):
                if not math.isfinite(number):
                    course.forget()
                    raise NonFiniteLoss(f"{title}: {what} is {number} at step {step + 1} of {total}")
            if step % note_every == 0 or step + 1 == total or is_due(step + 1):
                point = {"step": step + 1, "loss": round(value, 6), "learning_rate": rate}
                standing.history.append(point)
            advance(1, f"loss {value:.3f}")
            told = asked()
            if told or course.is_to_save():
                course.save()
            if told:
                break  # `patient` ends the process
    return course.end()


@contextmanager
def within_memory(title: str, batches: Sequence[Batch], training: Training) -> Iterator[None]:
    """Says what to do where these are more than the device has room for."""
    try:
        yield
    except torch.OutOfMemoryError as e:
        texts, tokens = max((batch.ids.shape for batch in batches), key=math.prod)
        remedy = "a smaller task.max_length may"
        if training.batch_size > 1:
            size, times = training.batch_size // 2, 2 * training.accumulate
            remedy = f"batch_size={size} accumulate={times} of its train takes half of them at a time"
        raise StageFailed(
            f"{title}: a batch of {texts} texts of {tokens} tokens did not fit into the memory of "
            f"{batches[0].ids.device}; {remedy}"
        ) from e


def seeds_of_a_step(seed: int, step: int, batches: int) -> list[int]:
    """Of what each batch draws, such as dropout: the same in a run taken up again, others in each process."""
    draw = Random(f"{seed} {step} {parallel.rank()}")
    return [draw.getrandbits(63) for _ in range(batches)]


def is_out_of_patience(standing: Standing, patience: int | None, look_every: int) -> bool:
    return patience is not None and standing.step - standing.best_step >= patience * look_every
