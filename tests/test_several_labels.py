"""Texts with any number of labels: sigmoid losses, sets as answers, the whole way to a bundle."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pare.batches import Row, collate
from pare.bundle import write_bundle
from pare.errors import DataError
from pare.losses import hard_loss, soft_binary_cross_entropy
from pare.outputs import IGNORED_LABEL, Output
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.finetune import Finetune
from pare.stages.networks import judge_of, rows_of, start_network, tune_thresholds
from pare.store import Store
from pare.tasks.example import Encoded, Example, singly
from pare.tasks.mine import Mine
from pare.tasks.several import Several
from pare.tasks.spans import Way, span_labels
from pare.tasks.text import TextEncoder, train_wordpiece
from pare.training import Training
from small import FINETUNE, HARDWARE, halved_int8, ignore
from small import TASK as SPOKEN

WORDS = ("red", "green", "blue", "tall")
TOPICS = Output("topics", ("a", "b", "c"), choice="any")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_the_hard_loss_is_that_of_one_sigmoid_a_label() -> None:
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [9.0, 9.0, 9.0]])
    truth = np.array([[1, 0, 1], [0, 1, 0], [IGNORED_LABEL] * 3])
    p, y = sigmoid(logits[:2]), truth[:2]
    wanted = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum() / 2
    found = hard_loss({"topics": torch.tensor(logits)}, {"topics": torch.tensor(truth)}, [TOPICS])
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_soft_loss_is_the_kl_divergence_of_each_label(temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    p, q = sigmoid(teacher / temperature), sigmoid(student / temperature)
    wanted = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(-1) * temperature**2
    found = soft_binary_cross_entropy(torch.tensor(student), torch.tensor(teacher), temperature)
    assert np.allclose(found.numpy(), wanted)


def test_labels_become_ones_and_what_is_missing_is_no_lesson() -> None:
    batch = collate(
        [Row([5], {"topics": [0, 2]}), Row([6], {"topics": []}), Row([7])], [TOPICS], 0, torch.device("cpu")
    )
    assert batch.labels["topics"].tolist() == [[1, 0, 1], [0, 0, 0], [IGNORED_LABEL] * 3]


@pytest.fixture
def task(tmp_path: Path) -> Mine:
    rng = random.Random(0)
    lines = ["text\tlabel"]
    for _ in range(900):
        chosen = [word for word in WORDS if rng.random() < 0.4]
        filler = rng.choices(["one", "more", "thing", "here"], k=3)
        text = [*chosen, *filler]
        rng.shuffle(text)
        lines.append(f"{' '.join(text)}\t{'|'.join(chosen)}")
    file = tmp_path / "rows.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Mine(name="words", max_length=24, train=str(file), separator="|", primary="micro_f1")


def test_any_number_of_labels_all_the_way_to_a_bundle(task: Mine, tmp_path: Path) -> None:
    task.check()
    assert task.names == tuple(sorted(WORDS))
    there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
    train = Training(steps=150, learning_rate=2e-3, precision="fp32", threads=1)
    outcome = there.execute(Finetune(model=FINETUNE.model, train=train), halved_int8(train), ignore)
    assert outcome.steps[0].scores["micro_f1"] > 0.97
    assert outcome.steps[-1].scores["micro_f1"] > 0.95
    assert outcome.steps[-1].scores["accuracy"] > 0.85
    write_bundle(tmp_path / "bundle", outcome.final, False, {}, HARDWARE)
    command = [sys.executable, str(tmp_path / "bundle" / "predict.py"), "here blue thing tall", "one more"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert said == [["blue", "tall"], []]


def test_scores_of_sets_are_those_worked_out_by_hand(task: Mine) -> None:
    gold = [set(example.labels) for example in task.data["dev"]]
    assert task.score("dev", [{"label": sorted(g)} for g in gold])["micro_f1"] == 1
    silent_answers = [{"label": []} for _ in gold]
    empty = sum(not g for g in gold) / len(gold)
    scores = task.score("dev", silent_answers)
    assert scores.pop("accuracy") == empty
    assert set(scores.values()) == {0}


def test_a_label_that_training_lacks_is_named(task: Mine, tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("text\tlabel\nred one\tred|square\n", encoding="utf-8")
    wrong = Mine(name="words", max_length=24, train=task.train, dev=str(tmp_path / "dev.tsv"), separator="|")
    with pytest.raises(DataError, match=r"dev.tsv:2: label 'square' is not in task.train"):
        wrong.check()


def test_a_look_at_dev_is_with_the_thresholds_of_the_end(task: Mine) -> None:
    """Otherwise a head that is still unsure of everything scores 0, and training stops by that."""
    network, encoder = start_network(FINETUNE.model, task, task.outputs())
    judge = judge_of(network, task, encoder)
    before = judge()
    assert before > 0
    with torch.no_grad():
        network.heads["label"].bias.sub_(9.0)
    assert judge() == before
    tune_thresholds(network, task, encoder, "cpu")
    assert judge() == before


@pytest.mark.parametrize("by", ["tags", "pointers"])
def test_labels_are_worked_out_once_and_stay_what_they_are(
    task: Mine, by: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several tasks, too, of which each text has its own only."""
    both = Several(name="both", max_length=32, tasks={"spoken": replace(SPOKEN, by=by), "words": task})
    encoder = TextEncoder(train_wordpiece(list(singly(both.texts("train"))), 500), 32)
    encoded = encoder.encode(both.texts("dev"))
    labels = both.labels("dev", encoded)
    expected = [Row(one.ids, its) for one, its in zip(encoded, labels, strict=True)]
    worked: list[Example] = []

    def noted(output: Output, example: Example, tokens: Encoded) -> object:
        worked.append(example)
        return span_labels(output, example, tokens)

    monkeypatch.setattr("pare.tasks.slu.span_labels", noted)
    rows = rows_of(both, "dev", encoder)
    assert all(list(rows) == expected for _ in range(3))
    assert len(worked) == len(SPOKEN.texts("dev"))
    assert {"words_label": []} in [row.labels for row in rows]
