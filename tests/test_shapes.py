"""Every shape of task goes through every kind of method, and what comes out still knows its task."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pare.encoders.model import Architecture, Model
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.cohort import Cohort
from pare.stages.depth import Depth
from pare.stages.distill import Distill
from pare.stages.embeddings import Embeddings
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.half import Half
from pare.stages.nncf import Nncf
from pare.stages.qat import Qat
from pare.stages.quantize import Quantize
from pare.stages.stage import Stage
from pare.stages.supernet import Supernet
from pare.stages.take import Take
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.store import Store
from pare.tasks.classify import Classify
from pare.tasks.example import Example, Span
from pare.tasks.multilabel import Multilabel
from pare.tasks.prompts import Prompts
from pare.tasks.sourced import truth
from pare.tasks.sources import Source, Splits
from pare.tasks.spans import Spans
from pare.tasks.task import Task
from pare.training import Training
from small import HARDWARE, OPENVINO, ignore
from small import TASK as SLU

COLOURS = ("red", "green", "blue", "white")
PLACES = ("york", "rome", "oslo")
WORDS = ("one", "more", "thing", "here", "and", "there")


@dataclass(frozen=True, kw_only=True)
class Made(Source):
    """Sentences with a colour and perhaps a place, as each shape of task has them."""

    kind: str

    def read(self) -> Splits:
        rng = random.Random(0)
        sizes = {"train": 900, "dev": 120, "test": 60, "unlabelled": 40}
        return {split: [self.example(rng) for _ in range(size)] for split, size in sizes.items()}

    def example(self, rng: random.Random) -> Example:
        colours = rng.sample(COLOURS, 2)
        words = [colours[0], *rng.choices(WORDS, k=3), *rng.choices(PLACES, k=rng.randint(0, 1))]
        rng.shuffle(words)
        text = " ".join(words)
        if self.kind == "pair":
            return Example((f"{colours[1]} {rng.choice(WORDS)}", text), (colours[0],))
        if self.kind == "labels":
            return Example(text, tuple(f"{'place' if w in PLACES else 'colour'}->{w}" for w in named(words)))
        spans = ((text.index(w), w) for w in named(words))
        kinds = (Span(a, a + len(w), "place" if w in PLACES else "colour") for a, w in spans)
        return Example(text, spans=tuple(kinds))


def named(words: Sequence[str]) -> list[str]:
    return [word for word in words if word in (*COLOURS, *PLACES)]


TASKS: dict[str, Task] = {
    "pair": Classify(name="pair", max_length=32, source=Made(kind="pair")),
    "labels in labels": Multilabel(name="labels", max_length=32, source=Made(kind="labels")),
    "tags": Spans(name="tags", max_length=32, source=Made(kind="spans")),
    "pointers": Spans(name="pointers", max_length=32, source=Made(kind="spans"), by="pointers"),
    "prompts": Spans(name="prompts", max_length=32, source=Prompts(source=Made(kind="spans")), by="pointers"),
}
SHAPE = Architecture(layers=2, hidden=64, heads=4, ffn=128, positions=32, vocabulary=300)
LEARNT = Training(steps=200, learning_rate=3e-3, precision="fp32", threads=1)
AGAIN = Training(steps=80, learning_rate=2e-3, precision="fp32", threads=1)
QUICK = Training(steps=5, precision="fp32", threads=1)
EXPORT = ("export", Export())
STATIC = ("quantize", Quantize(calibration_rows=32))
STRATEGIES: dict[str, tuple[tuple[str, Stage], ...]] = {
    "source 004": (
        ("vocabulary", Vocabulary(max_length=24)),
        ("width", Width(keep=0.5, rows=64)),
        ("distill", Distill(train=AGAIN)),
        ("qat", Qat(train=QUICK, calibration_rows=8)),
        EXPORT,
        STATIC,
    ),
    "supernet": (
        ("supernet", Supernet(widths=(0.5, 1.0), rows=32, train=AGAIN)),
        ("width", Width(keep=0.5, importance="order")),
        EXPORT,
        ("embeddings", Embeddings(smallest=1024)),
        ("half", Half(fuse=False)),
    ),
    "student of a cohort": (
        ("depth", Depth(keep="first", layers=1)),
        ("cohort", Cohort(students={"one": Model(architecture=SHAPE)}, train=LEARNT)),
        ("take", Take(student="one")),
        EXPORT,
        STATIC,
    ),
    "openvino": (
        ("depth", Depth(keep="first", layers=1)),
        ("distill", Distill(train=AGAIN)),
        ("export", Export(format="openvino", lowering="plain")),
        ("quantize", Nncf(calibration_rows=32)),
    ),
}


@pytest.fixture(scope="module", params=TASKS)
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Path]:
    return TASKS[request.param], tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_shape_goes_through_every_kind_of_method(shape: tuple[Task, Path], name: str) -> None:
    task, root = shape
    there = Pipeline(Store(root), task, 0, OPENVINO if name == "openvino" else HARDWARE, silent)
    start = Finetune(model=Model(architecture=SHAPE), train=LEARNT)
    steps = there.execute(start, STRATEGIES[name], ignore).steps
    assert steps[0].scores[task.primary] > 0.9
    assert steps[-1].scores[task.primary] > 0.8


@pytest.mark.parametrize(
    ("name", "primary"),
    [("pair", "accuracy"), ("pair", "micro_f1"), ("pair", "f1"), ("labels in labels", "micro_f1"),
     ("labels in labels", "accuracy"), ("tags", "f1"), ("tags", "exact_match"), ("slu", "exact_match"),
     ("slu", "intent_accuracy"), ("slu", "slot_f1")],
)  # fmt: skip
def test_the_shares_of_rows_make_the_score(name: str, primary: str) -> None:
    """Interval and score speak of the same metric."""
    more = {"positive": "red"} if (name, primary) == ("pair", "f1") else {}
    task = replace({**TASKS, "slu": SLU}[name], primary=primary, **more)
    examples = list(task.examples("dev"))
    mixed = [examples[i if i % 3 else i // 2] for i in range(len(examples))]  # two of three are right
    answers = [truth(task.outputs(), example) for example in mixed]
    shares = task.shares("dev", answers)
    assert shares is not None
    score = sum(above for above, _ in shares) / sum(below for _, below in shares)
    assert 0 < score < 1
    assert score == pytest.approx(task.score("dev", answers)[primary])


@pytest.mark.parametrize(("name", "weighed"), [*((name, name == "pair") for name in TASKS), ("slu", True)])
def test_labels_are_balanced_where_a_text_has_one_and_else_the_wish_is_refused(
    name: str, weighed: bool
) -> None:
    start = Finetune(model=Model(architecture=SHAPE), train=replace(QUICK, class_weights="balanced"))
    found = start.misfits({**TASKS, "slu": SLU}[name], "")
    assert [line.partition(":")[0] for line in found] == ([] if weighed else ["train.class_weights=balanced"])
