"""The other CPU runtime: its own graphs, NNCF's INT8, and a bundle that needs nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from pare.bundle import write_bundle
from pare.checkpoint import Checkpoint
from pare.errors import StageFailed, TargetError
from pare.lowering.openvino import linear_maps, read
from pare.stages.export import Export
from pare.stages.nncf import Nncf
from pare.stages.stage import Stage
from pare.strategy import problems
from small import FINETUNE, HARDWARE, OPENVINO, TASK, ignore, pipeline
from test_bundle import predict

EXPORT = ("export", Export(format="openvino", lowering="plain"))


def steps(root: Path, *strategy: tuple[str, Stage]) -> list[Checkpoint]:
    done = pipeline(root, hardware=OPENVINO).execute(FINETUNE, strategy, ignore).steps
    return [step.checkpoint for step in done]


@pytest.mark.parametrize("lowering", ["plain", "fused"])
def test_the_graph_answers_as_the_network(root: Path, lowering: str) -> None:
    export = Export(format="openvino", lowering=lowering)  # type: ignore[arg-type]
    network, graph = steps(root, ("export", export))
    there = pipeline(root, hardware=OPENVINO)
    assert there.score(graph, "test") == there.score(network, "test")
    assert graph.facts["largest_difference"] < 1e-4


@pytest.mark.parametrize(
    "stage",
    [
        Nncf(calibration_rows=32),
        Nncf(calibration_rows=32, activations="percentile", weights="abs_max", smooth=False),
        Nncf(calibration_rows=32, activations="min_max", symmetric=True, correct_bias=False),
    ],
)
def test_every_linear_map_becomes_integer_and_the_file_a_third(
    root: Path, stage: Nncf, capfd: pytest.CaptureFixture[str]
) -> None:
    _, graph, integer = steps(root, EXPORT, ("quantize", stage))
    assert all(linear_maps(read(integer.model_file)).values())
    done, count = integer.facts["integer_linear_maps"]
    assert done == count == len(linear_maps(read(graph.model_file)))
    weights = [Path(checkpoint.path / "model.bin").stat().st_size for checkpoint in (graph, integer)]
    assert weights[1] < 0.3 * weights[0]
    there = pipeline(root, hardware=OPENVINO)
    before, after = (there.score(checkpoint, "test")[0] for checkpoint in (graph, integer))
    assert after["intent_accuracy"] > before["intent_accuracy"] - 0.05
    assert capfd.readouterr().out == ""  # NNCF's bars and log stay out of Pare's tables


def test_what_is_to_stay_float_stays_float(root: Path) -> None:
    stage = Nncf(calibration_rows=8, keep_float=("*intermediate*",))
    _, graph, quantized = steps(root, EXPORT, ("quantize", stage))
    kept = {name for name, integer in linear_maps(read(quantized.model_file)).items() if not integer}
    assert kept == {name for name in linear_maps(read(graph.model_file)) if "intermediate" in name}


def test_a_pattern_that_matches_nothing_is_refused(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"^keep_float: 'nothing' matches no linear map; there are "):
        steps(root, EXPORT, ("quantize", Nncf(keep_float=("nothing",))))


def test_graphs_go_where_they_run() -> None:
    nncf = ("quantize", Nncf())
    assert problems((EXPORT, nncf), OPENVINO) == []
    (said,) = problems((EXPORT, nncf), HARDWARE)
    assert "onnxruntime runs onnx checkpoints" in said
    (said,) = problems((("export", Export()),), OPENVINO)
    assert "take compression/export=openvino" in said
    (said,) = problems((("export", Export()), nncf), HARDWARE)
    assert "takes openvino, but export before it makes onnx" in said


def test_without_openvino_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pare.targets.hardware.find_spec", lambda name: None)
    wanted = r"^hardware.runtime: openvino is not installed \(pip install -e '\.\[openvino\]'\)$"
    with pytest.raises(TargetError, match=wanted):
        OPENVINO.check()


def test_it_runs_on_the_cpu_only() -> None:
    with pytest.raises(ValueError, match=r"^device=cuda: runtime=openvino runs on the cpu here$"):
        replace(OPENVINO, device="cuda")


def test_a_bundle_answers_as_scored(root: Path, tmp_path: Path) -> None:
    integer = steps(root, EXPORT, ("quantize", Nncf(calibration_rows=32)))[-1]
    write_bundle(tmp_path / "bundle", integer, False, {"task": TASK.name}, OPENVINO)
    texts = list(TASK.texts("test"))[:5]
    answers = pipeline(root, hardware=OPENVINO).score(integer, "test")[1]
    wanted = [{"text": text, **answer} for text, answer in zip(texts, answers, strict=False)]
    assert predict(tmp_path / "bundle", tmp_path, *texts, hidden=("onnxruntime",)) == wanted
    needed = (tmp_path / "bundle" / "requirements.txt").read_text(encoding="utf-8")
    assert "openvino==" in needed
    assert "onnxruntime" not in needed
