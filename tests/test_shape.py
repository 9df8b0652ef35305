"""Graphs that take one shape: any batch can still be asked, and the bundle too."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from pare.bundle import write_bundle
from pare.checkpoint import ONNX_MODEL, Checkpoint
from pare.errors import StageFailed
from pare.feeding import feed
from pare.stages.export import Export
from pare.stages.networks import open_text_encoder
from pare.stages.quantize import Quantize
from pare.stages.sensitivity import Sensitivity
from pare.stages.shape import Shape
from pare.stages.stage import Stage
from pare.strategy import problems
from small import FINETUNE, HARDWARE, TASK, ignore, pipeline


def made(root: Path, *strategy: tuple[str, Stage]) -> Checkpoint:
    return pipeline(root).execute(FINETUNE, (("export", Export()), *strategy), ignore).final


@pytest.mark.parametrize(
    "shape",
    [Shape(batch=1), Shape(batch=4, length=32), Shape(length=32), Shape(inputs="int32"), Shape()],
    ids=["one", "four by 32", "32", "int32", "free"],
)
def test_the_answers_are_those_of_the_free_graph(root: Path, shape: Shape) -> None:
    free, fixed = made(root), made(root, ("shape", shape))
    there = pipeline(root)
    assert there.score(fixed, "dev")[1] == there.score(free, "dev")[1]
    (first, *_) = onnx.load(str(fixed.path / ONNX_MODEL)).graph.input
    sides = [side.dim_value or None for side in first.type.tensor_type.shape.dim]
    assert sides == [shape.batch, shape.length]
    wide = onnx.TensorProto.INT32 if shape.inputs == "int32" else onnx.TensorProto.INT64
    assert first.type.tensor_type.elem_type == wide


def test_longer_texts_are_cut_to_the_shape(root: Path) -> None:
    fixed = made(root, ("shape", Shape(length=8)))
    assert fixed.max_length == 8
    assert max(len(e.ids) for e in open_text_encoder(fixed).encode(TASK.texts("dev"))) == 8
    assert len(pipeline(root).score(fixed, "dev")[1]) == len(TASK.texts("dev"))


def test_an_integer_graph_is_fixed_after_its_calibration(root: Path) -> None:
    quantize = ("quantize", Quantize(calibration_rows=16))
    free, fixed = made(root, quantize), made(root, quantize, ("shape", Shape(batch=1, length=32)))
    pairs = zip(pipeline(root).score(fixed, "dev")[1], pipeline(root).score(free, "dev")[1], strict=True)
    same = [one == other for one, other in pairs]
    assert sum(same) > 0.96 * len(
        same
    )  # padding changes the order of float sums, and so a rounding here or there


@pytest.mark.parametrize("later", [Quantize(), Sensitivity()])
@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        (Shape(), True), (Shape(batch=1), True),
        (Shape(batch=2), False), (Shape(length=16), False), (Shape(inputs="int32"), False),
    ],
)  # fmt: skip
def test_what_runs_texts_as_they_are_comes_before_the_shape(later: Stage, shape: Shape, fits: bool) -> None:
    """Before anything runs: else ONNX Runtime says so in the middle, and in its own words."""
    found = problems((("export", Export()), ("shape", shape), (later.kind, later)), HARDWARE)
    says = f"compression.{later.kind}: runs texts of any length, which a graph no longer takes after shape"
    assert [line.partition(";")[0] for line in found] == ([] if fits else [says])


def test_more_tokens_than_the_model_reads_are_refused(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"shape.length: 100 asked for, the model reads at most 32 tokens"):
        made(root, ("shape", Shape(length=100)))


def test_rows_are_cut_and_filled_up() -> None:
    seen: list[np.ndarray] = []

    def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        seen.append(inputs["input_ids"])
        return [inputs["input_ids"][:, :, None], inputs["input_ids"][:, :1]]

    ids = np.arange(1, 11).reshape(5, 2)
    found = feed(run, ["tokens", "text"], [2, 3], np.int32, ids, np.ones_like(ids))  # type: ignore[arg-type]
    assert [part.tolist() for part in seen] == [
        [[1, 2, 0], [3, 4, 0]], [[5, 6, 0], [7, 8, 0]], [[9, 10, 0], [9, 10, 0]],
    ]  # fmt: skip
    assert seen[0].dtype == np.int32
    assert found["tokens"][:, :, 0].tolist() == ids.tolist()
    assert found["text"].tolist() == ids[:, :1].tolist()
    with pytest.raises(ValueError, match="4 tokens are more than the 3"):
        feed(run, ["tokens", "text"], [2, 3], np.int32, np.ones((1, 4)), np.ones((1, 4)))  # type: ignore[arg-type]


def test_a_graph_of_any_shape_gets_the_arrays_themselves() -> None:
    """No copies: what feeding takes is part of every latency."""
    ids, mask = np.ones((2, 3), np.int64), np.ones((2, 3), np.int64)
    answer = np.zeros((2, 3, 5))

    def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert inputs["input_ids"] is ids
        assert inputs["attention_mask"] is mask
        return [answer]

    assert feed(run, ["tokens"], ["texts", "tokens"], np.int64, ids, mask)["tokens"] is answer  # type: ignore[arg-type]


def test_a_bundle_of_one_shape_predicts(root: Path, tmp_path: Path) -> None:
    graph = made(root, ("shape", Shape(batch=2, length=32, inputs="int32")))
    write_bundle(tmp_path / "bundle", graph, False, {}, HARDWARE)
    texts = TASK.texts("test")[:3]
    command = [sys.executable, str(tmp_path / "bundle" / "predict.py"), *texts]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["text"] for answer in said] == list(texts)
    assert all("intent" in answer for answer in said)
