"""Pairs of texts: read as the encoder was taught to, through every kind of stage, out of the bundle."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pare.bundle import write_bundle
from pare.encoders.network import text_numbers
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.distill import Distill
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.quantize import Quantize
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.store import Store
from pare.tasks.mine import Mine
from pare.tasks.text import TextEncoder, train_wordpiece
from pare.training import Training
from small import FINETUNE, HARDWARE, OPENVINO, ignore

COLOURS = ("red", "green", "blue", "white")
WORDS = ("one", "more", "thing", "here", "and", "there")
TRAIN = Training(steps=250, learning_rate=3e-3, precision="fp32", threads=1)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Mine:
    """The colour in the second text; the first one has a colour too."""
    rng = random.Random(0)
    lines = ["first\tsecond\tcolour"]
    for _ in range(1200):
        chosen = rng.sample(COLOURS, 2)
        texts = []
        for colour in chosen:
            words = [colour, *rng.choices(WORDS, k=rng.randint(1, 5))]
            rng.shuffle(words)
            texts.append(" ".join(words))
        lines.append(f"{texts[0]}\t{texts[1]}\t{chosen[1]}")
    file = tmp_path_factory.mktemp("data") / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Mine(name="pairs", max_length=32, train=str(file), text="first", pair="second", label="colour")


def test_tokens_are_numbered_by_their_text_as_the_tokenizer_does(task: Mine) -> None:
    encoder = TextEncoder(train_wordpiece(["one thing", "more here"], 100), 32)
    for encoding in encoder.tokenizer.encode_batch([("one", "more here"), ("one thing here", "more")]):
        found = text_numbers(torch.tensor([encoding.ids]), encoder.separator_id)
        assert found.tolist() == [encoding.type_ids]
    assert text_numbers(torch.tensor([[2, 9, 3]]), None).tolist() == [[0, 0, 0]]


def test_spans_lie_in_the_second_text() -> None:
    encoder = TextEncoder(train_wordpiece(["one thing", "more here"], 100), 32)
    (found,) = encoder.encode([("one", "more here")])
    assert [span for span in found.offsets if span != (0, 0)] == [(0, 4), (5, 9)]


@pytest.mark.parametrize("hardware", [HARDWARE, OPENVINO], ids=["onnxruntime", "openvino"])
def test_pairs_all_the_way_to_a_bundle(task: Mine, tmp_path: Path, hardware: object) -> None:
    task.check()
    assert task.pairs
    there = Pipeline(Store(tmp_path / "store"), task, 0, hardware, silent)  # type: ignore[arg-type]
    last = (
        (("export", Export()), ("quantize", Quantize(calibration_rows=32)))
        if hardware is HARDWARE
        else (("export", Export(format="openvino", lowering="plain")),)
    )
    strategy = (
        ("width", Width(keep=0.5, rows=64)),
        ("vocabulary", Vocabulary(max_length=32)),
        ("distill", Distill(train=TRAIN)),
        *last,
    )
    outcome = there.execute(Finetune(model=FINETUNE.model, train=TRAIN), strategy, ignore)
    scores = [step.scores["accuracy"] for step in outcome.steps]
    assert scores[0] > 0.95
    assert scores[-1] > 0.95
    write_bundle(tmp_path / "bundle", outcome.final, task.pairs, {}, HARDWARE)
    command = [sys.executable, str(tmp_path / "bundle" / "predict.py")]
    pairs = ["one red thing\tmore blue", "more blue\tone red thing"]
    done = subprocess.run([*command, *pairs], capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["label"] for answer in said] == ["blue", "red"]
    assert said[0]["text"] == ["one red thing", "more blue"]
    lonely = subprocess.run(
        [*command, "one red thing"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert lonely.returncode == 1
    assert lonely.stderr == (
        "error: this model reads pairs, two texts with a tab between them; found 'one red thing'\n"
    )
