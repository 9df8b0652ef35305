"""Teaching students with a teacher's answers and inner states (Hinton et al., 2015, arXiv:1503.02531).

Inner states are hidden layers (TinyBERT, arXiv:1909.10351), attention maps, and relations between queries,
keys and values (MiniLMv2, arXiv:2012.15828).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pare import parallel
from pare.batches import Batch, Row
from pare.encoders.network import Network
from pare.errors import ConfigError
from pare.fitting import Judge, fit, quick_attention
from pare.losses import hard_loss, hidden_loss, relation_loss, relations, soft_loss
from pare.machine import free_memory
from pare.progress import Progress
from pare.teacher import Projections, Teacher, Thoughts, memory_for, thoughts_of
from pare.training import Training, resolve_device, resolve_precision

Pairs = Sequence[tuple[int, int]]  # (student's layer, teacher's layer); 0 is the embeddings


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """What the student listens to.

    soft, soft_weight: the teacher's logits, by KL at `temperature` or by mean squared difference.
    hard_weight: share of the true labels beside the soft ones, for texts that have them. With both weights 0
      no task is taught, only the encoder.
    hidden_weight, attention_weight, relation_weight: layers, attention maps, and relations among queries,
      among keys and among values, of each pair in `layers`.
    layers: last with last; even, each of the student's with the teacher's at the same depth; or pairs
      [student's, teacher's], 0 for the embeddings, negative ones from the end.
    unlabelled: also learn the teacher's answers to the task's own unlabelled texts.
    cache: keep the teacher's logits and layers of texts that come again; they are the same each time.
    """

    temperature: float = 1.0
    soft: Literal["kl", "mse"] = "kl"
    soft_weight: float = 1.0
    hard_weight: float = 0.1
    hidden_weight: float = 3.0
    attention_weight: float = 0.0
    relation_weight: float = 0.0
    relation_heads: int = 8
    layers: Literal["last", "even"] | tuple[tuple[int, ...], ...] = "last"
    unlabelled: bool = True
    cache: bool = False

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be above 0")
        if self.soft == "mse" and self.temperature != 1:
            raise ValueError(f"temperature={self.temperature}: has no effect with soft=mse; leave it 1")
        if not 0 <= self.hard_weight <= 1:
            raise ValueError(f"hard_weight={self.hard_weight}: a share, in [0, 1]")
        for name in ("soft_weight", "hidden_weight", "attention_weight", "relation_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: cannot be negative")
        if self.relation_heads < 1:
            raise ValueError(f"relation_heads={self.relation_heads}: must be at least 1")
        if not isinstance(self.layers, str) and (not self.layers or any(len(p) != 2 for p in self.layers)):
            raise ValueError(f"layers={self.layers}: last, even, or pairs [student's, teacher's]")
        if self.cache and self.looks_inside:
            raise ValueError("cache=true: keeps logits and layers, not attention maps or relations")
        if not self.teaches_anything:
            weights = ("soft_weight", "hard_weight", "hidden_weight", "attention_weight", "relation_weight")
            told = ", ".join(f"{name}={getattr(self, name):g}" for name in weights)
            raise ValueError(
                f"{told}: nothing is taught; one has to be above 0, and attention maps and relations are of "
                "layers from 1 on"
            )

    @property
    def teaches_the_task(self) -> bool:
        return self.soft_weight > 0 or self.hard_weight > 0

    @property
    def hears_answers(self) -> bool:
        """Those of the teacher to the task."""
        return self.soft_weight > 0 and self.hard_weight < 1

    @property
    def teaches_anything(self) -> bool:
        has_insides = isinstance(self.layers, str) or any(0 not in pair for pair in self.layers)
        return self.teaches_the_task or self.hidden_weight > 0 or (self.looks_inside and has_insides)

    @property
    def looks_inside(self) -> bool:
        return self.attention_weight > 0 or self.relation_weight > 0

    def pairs(self, student: int, teacher: int) -> list[tuple[int, int]]:
        """Which layers are compared, given how many each network has."""
        if self.layers == "last":
            return [(student, teacher)]
        if self.layers == "even":
            return [(i, round(i * teacher / student)) for i in range(1, student + 1)]
        found = []
        for pair in self.layers:
            assert not isinstance(pair, str)
            mine, its = (
                i if i >= 0 else count + 1 + i for i, count in zip(pair, (student, teacher), strict=True)
            )
            if not (0 <= mine <= student and 0 <= its <= teacher):
                raise ConfigError(
                    f"distillation.layers: {list(pair)} is out of range; the student has layers 0…{student}, "
                    f"the teacher 0…{teacher}"
                )
            found.append((mine, its))
        return found


class Student(nn.Module):
    """A network that learns, with the maps from its layers to the teacher's where widths differ."""

    def __init__(self, network: Network, teacher: Network, distillation: Distillation) -> None:
        super().__init__()
        self.network = network
        self.distillation = distillation
        self.teacher_heads = [block.heads for block in teacher.blocks()]
        self.pairs = distillation.pairs(len(network.blocks()), len(teacher.blocks()))
        narrow, wide = (int(n.encoder.config.hidden_size) for n in (network, teacher))
        alike = narrow == wide or not distillation.hidden_weight
        self.bridges = nn.ModuleList(nn.Identity() if alike else nn.Linear(narrow, wide) for _ in self.pairs)
        if distillation.relation_weight:
            check_relation_heads(network, teacher, distillation.relation_heads)

    @property
    def layers(self) -> list[int]:
        return [mine for mine, _ in self.pairs]

    def compared(self, lesson: Thoughts) -> list[Tensor]:
        """The teacher's layer of each pair."""
        return [lesson.layers[its] for _, its in self.pairs]

    def as_lesson(self, own: Thoughts) -> tuple[Thoughts, list[Tensor]]:
        """What this network thinks, as its teacher would say it, and its layer of each pair."""
        layers = [
            bridge(own.layers[mine]).detach()
            for (mine, _), bridge in zip(self.pairs, self.bridges, strict=True)
        ]
        return Thoughts({name: logits.detach() for name, logits in own.logits.items()}, {}, {}), layers

    def loss(self, batch: Batch, lesson: Thoughts) -> Tensor:
        own = thoughts_of(self.network, batch, self.layers, self.distillation.looks_inside)
        return self.loss_of(own, batch, lesson, self.compared(lesson))

    def loss_of(self, own: Thoughts, batch: Batch, lesson: Thoughts, layers: Sequence[Tensor]) -> Tensor:
        """layers: the lesson's of each pair."""
        told, outputs = self.distillation, self.network.outputs
        soft = soft_loss(own.logits, lesson.logits, batch.mask, outputs, told.temperature, told.soft)
        hard = hard_loss(own.logits, batch.labels, outputs)
        loss = told.soft_weight * (1 - told.hard_weight) * soft + told.hard_weight * hard
        share = 1 / len(self.pairs)
        for (mine, its), bridge, layer in zip(self.pairs, self.bridges, layers, strict=True):
            if told.hidden_weight:
                gap = hidden_loss(bridge(own.layers[mine]), layer, batch.mask)
                loss = loss + told.hidden_weight * share * gap
            if told.looks_inside and mine > 0 and its > 0:
                inner = self.inner_loss(own.projections[mine], lesson.projections[its], mine, its, batch.mask)
                loss = loss + share * inner
        return loss

    def inner_loss(
        self, own: Projections, its: Projections, mine: int, teachers: int, mask: Tensor
    ) -> Tensor:
        told = self.distillation
        loss = torch.zeros((), device=mask.device)
        if told.attention_weight:
            heads = (self.network.blocks()[mine - 1].heads, self.teacher_heads[teachers - 1])
            maps = (relations(*own.compared, heads[0], mask), relations(*its.compared, heads[1], mask))
            loss = loss + told.attention_weight * relation_loss(*maps, mask)
        if told.relation_weight:
            for one, other in zip(own.maps, its.maps, strict=True):
                pair = [relations(x, x, told.relation_heads, mask) for x in (one, other)]
                loss = loss + told.relation_weight / 3 * relation_loss(pair[0], pair[1], mask)
        return loss


def distil(
    networks: Sequence[Network],
    teacher: Network,
    rows: Sequence[Row],
    distillation: Distillation,
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
    """Trains all `networks` in place from one answer of the teacher to each batch. Returns the curve."""
    students = []
    for network in networks:
        torch.manual_seed(seed)  # each learns as if it were alone
        students.append(Student(network, teacher, distillation))
    master = master_of(teacher, students, rows, distillation, training)

    def loss_of(batch: Batch) -> Tensor:
        lesson = master.answer(batch)
        losses = []
        for student in students:
            torch.manual_seed(torch.initial_seed())  # each drops what it would alone
            losses.append(student.loss(batch, lesson))
        return torch.stack(losses).sum()

    with answering_quickly(teacher, training):
        return fit(
            students,
            networks[0].outputs,
            rows,
            loss_of,
            training,
            pad_id=pad_id,
            seed=seed,
            progress=progress,
            title=title,
            judge=judge,
            starts_well=starts_well,
            scratch=scratch,
        )


def master_of(
    teacher: Network,
    students: Sequence[Student],
    rows: Sequence[Row],
    distillation: Distillation,
    training: Training,
) -> Teacher:
    """The teacher as a training asks it: what it says is kept where any of it is asked for again."""
    layers = sorted({its for student in students for _, its in student.pairs})
    lengths = None
    if distillation.cache and training.repeats(len(rows)):
        lengths = [len(row.ids) for row in rows]
        needed = memory_for(teacher, layers, lengths) * parallel.world_size()
        free = free_memory()
        if free is not None and needed > free:
            raise ConfigError(
                f"distillation.cache=true: the teacher's answers to {len(rows)} texts need "
                f"{needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; with false it answers anew"
            )
    return Teacher(teacher.to(resolve_device(training.device)), layers, distillation.looks_inside, lengths)


@contextmanager
def answering_quickly(teacher: Network, training: Training) -> Iterator[None]:
    device = resolve_device(training.device)
    with quick_attention(teacher, device, resolve_precision(training.precision, device)):
        yield


def check_relation_heads(student: Network, teacher: Network, heads: int) -> None:
    for name, network in (("student", student), ("teacher", teacher)):
        for block in network.blocks():
            if block.query.out_features % heads:
                raise ConfigError(
                    f"distillation.relation_heads: {heads} does not divide the {name}'s "
                    f"{block.query.out_features} query channels"
                )
