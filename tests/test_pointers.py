"""Spans told by where they begin and end: losses, labels, answers, and the whole way to a bundle."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pare.batches import Row, collate
from pare.bundle import write_bundle
from pare.decoding import pointed_spans
from pare.losses import hard_loss, soft_loss
from pare.outputs import IGNORED_LABEL, Output
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.distill import Distill
from pare.stages.export import Export
from pare.stages.quantize import Quantize
from pare.stages.sensitivity import Sensitivity
from pare.stages.width import Width
from pare.store import Store
from pare.tasks.example import Example
from pare.tasks.pointers import pointer_labels, pointers_of
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated, Splits
from small import FINETUNE, HARDWARE, ignore
from test_bundle import predict

LABELS = pointer_labels(("city", "street"))
HEAD = Output("spans", LABELS, scope="token", choice="any")
WORDS = "abcd efgh ij, and much more"
OFFSETS = [(0, 0), (0, 3), (3, 4), (5, 9), (10, 12), (0, 0)]  # it is cut there


def test_labels_and_answers_are_two_ways_to_say_the_same() -> None:
    """A street in a city's name, which BIO cannot tell, and two cities."""
    spans = [(0, 9, "city"), (3, 9, "street"), (10, 12, "city")]
    ids = pointers_of(WORDS, spans, OFFSETS, LABELS)
    assert ids == [None, [0], [2], [1, 3], [0, 1], None]
    logits = np.full((len(OFFSETS), len(LABELS)), -5.0)
    for token, held in enumerate(ids):
        logits[token, held or []] = 5.0
    assert pointed_spans(logits[1:-1], LABELS, OFFSETS[1:-1]) == sorted(spans)


@pytest.mark.parametrize("span", [(0, 3, "river"), (20, 22, "city"), (10, 15, "city")])
def test_what_cannot_be_pointed_at_is_left_out(span: tuple[int, int, str]) -> None:
    assert pointers_of(WORDS, [span], OFFSETS, LABELS) == [None, [], [], [], [], None]


@pytest.mark.parametrize("dropped", [" ", "\u200b", "\x07", "\u3000\u0301"])
@pytest.mark.parametrize("after", ["", "ij"])
def test_a_span_that_ends_in_what_is_no_token_ends_with_the_last_one(dropped: str, after: str) -> None:
    text = f"abc{dropped}{after}"
    last = 3 + len(dropped)
    offsets = [(0, 0), (0, 3), *([(last, last + 2)] if after else []), (0, 0)]
    found = pointers_of(text, [(0, last, "city")], offsets, LABELS)
    assert found == [None, [0, 1], *([[]] if after else []), None]


def test_a_start_without_an_end_is_no_answer() -> None:
    logits = np.full((4, 4), -1.0)
    logits[2, 0] = logits[1, 1] = 1.0  # it ends before it starts
    assert pointed_spans(logits, LABELS, OFFSETS[1:-1]) == []


def test_a_batch_holds_ones_for_what_is_there_and_nothing_for_what_is_none() -> None:
    rows = [Row([1, 2, 3], {"spans": [None, [0, 3], []]}), Row([1, 2])]
    found = collate(rows, (HEAD,), 0, torch.device("cpu")).labels["spans"]
    none = [IGNORED_LABEL] * 4
    assert found.tolist() == [[none, [1, 0, 0, 1], [0, 0, 0, 0]], [none, none, none]]


def test_the_losses_are_those_of_a_sigmoid_for_each_start_and_end() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    truth = rng.integers(0, 2, (2, 3, 4))
    truth[1, 2] = IGNORED_LABEL
    p, q = (1 / (1 + np.exp(-x)) for x in (student, teacher))
    known = truth[..., 0] != IGNORED_LABEL
    wanted = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum(-1)[known].mean()
    found = hard_loss({"spans": torch.tensor(student)}, {"spans": torch.tensor(truth)}, (HEAD,))
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    gap = (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).sum(-1)
    found = soft_loss({"spans": torch.tensor(student)}, {"spans": torch.tensor(teacher)}, mask, (HEAD,), 1.0)
    assert float(found) == pytest.approx(gap[mask.numpy() == 1].mean(), rel=1e-5)


@dataclass(frozen=True, kw_only=True)
class OneKind(Generated):
    """The small task with slots that are all of one kind, so that spans lie side by side."""

    def read(self) -> Splits:
        def one_kind(utterance: Example) -> Example:
            return replace(utterance, spans=tuple(replace(slot, label="value") for slot in utterance.spans))

        return {split: [one_kind(u) for u in rows] for split, rows in super().read().items()}


def test_the_whole_way_to_a_bundle(tmp_path: Path) -> None:
    source = OneKind(train=1500, dev=150, test=100, unlabelled=50)
    task = Slu(name="pointed", max_length=32, source=source, by="pointers", primary="slot_f1")
    there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
    strategy = (
        ("width", Width(keep=0.5, rows=64)),
        ("distill", Distill(train=replace(FINETUNE.train, steps=100))),
        ("export", Export()),
        ("sensitivity", Sensitivity(calibration_rows=16)),
        ("quantize", Quantize(calibration_rows=32, keep_sensitive=1)),
    )
    outcome = there.execute(FINETUNE, strategy, ignore)
    tuned, pruned, taught = (outcome.steps[i].scores["slot_f1"] for i in (0, 1, 2))
    assert tuned > 0.3
    assert pruned < taught
    assert outcome.steps[-1].scores["slot_f1"] > tuned - 0.1
    write_bundle(tmp_path / "bundle", outcome.final, False, {}, HARDWARE)
    texts = list(task.texts("test"))[:5]
    answers = there.score(outcome.final, "test")[1]
    assert predict(tmp_path / "bundle", tmp_path, *texts) == [
        {"text": text, **answer} for text, answer in zip(texts, answers, strict=False)
    ]
