"""hardware=auto: the same strategy on each runtime that is here, and the quickest result taken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, XLMRobertaConfig

from commands import TINY, job, result_of
from pare.checkpoint import write_record
from pare.choosing import take_quickest
from pare.encoders.model import Model
from pare.encoders.network import Network, encoder_of
from pare.errors import GateFailed, StageFailed
from pare.lowering.onnx_export import to_onnx
from pare.outputs import Output
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.dynamic import Dynamic
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.nncf import Nncf
from pare.stages.quantize import Quantize
from pare.stages.width import Width
from pare.steps import Trial
from pare.store import Store
from pare.strategy import Strategy
from pare.targets.hardware import Automatic, Hardware
from pare.targets.measurement import Measure
from pare.tasks.text import train_wordpiece
from pare.ways import able, ways
from small import FINETUNE, TASK, ignore

TENSORRT = Hardware(
    name="tensorrt", device="cuda", providers=("TensorrtExecutionProvider", "CUDAExecutionProvider")
)
HERE = Automatic(name="auto", throughput_batches=(1,))
INT8 = (("width", Width(keep=0.5)), ("export", Export()), ("quantize", Quantize(calibration_rows=8)))
MEASURE = Measure(launches=2, seconds=0.2, texts=20, peak=False)


def test_a_strategy_is_written_once_for_all_runtimes() -> None:
    found, reasons = ways(INT8, HERE, "compression")
    stages = {way.hardware.runtime: dict(way.strategy) for way in found}
    assert list(stages) == ["onnxruntime", "openvino"]
    assert isinstance(stages["onnxruntime"]["quantize"], Quantize)
    assert isinstance(stages["openvino"]["quantize"], Nncf)
    assert stages["openvino"]["quantize"].calibration_rows == 8
    assert stages["openvino"]["width"] == stages["onnxruntime"]["width"]
    assert reasons == ["hardware=auto, torch: compression.quantize: quantize is for ONNX graphs only"]


@pytest.mark.parametrize(
    "setting",
    [{"embeddings": False}, {"activations": "percentile"}, {"weight_bits": 7}, {"keep_sensitive": 2}],
)
def test_a_runtime_that_has_nothing_like_a_setting_is_left_out(setting: dict[str, Any]) -> None:
    found, reasons = ways((INT8[1], ("quantize", Quantize(**setting))), HERE, "compression")
    assert [way.hardware.runtime for way in found] == ["onnxruntime"]
    ((name, value),) = setting.items()
    assert f"compression.quantize: OpenVINO's INT8 has nothing like {name}={value}" in reasons[0]


def test_without_int8_pytorch_is_among_them() -> None:
    found, reasons = ways(INT8[:2], HERE, "compression")
    assert [way.hardware.runtime for way in found] == ["onnxruntime", "openvino", "torch"]
    assert [dict(way.strategy)["export"].produces for way in found] == ["onnx", "openvino", "program"]
    assert reasons == []


STRATEGIES: dict[str, Strategy] = {
    "int8": INT8,
    "half": (("export", Export()), ("half", Half())),
    "dynamic": (("export", Export()), ("quantize", Dynamic())),
    "wrong": (("quantize", Quantize()), ("export", Export())),
}


def test_for_tensorrt_strategies_are_translated_to_standard_operators() -> None:
    found, reasons = able(STRATEGIES, TENSORRT, "candidates")
    assert list(found) == ["int8", "half", "wrong"], "a mistake stays, to be told"
    assert dict(found["int8"])["export"] == Export(lowering="plain")
    assert dict(found["int8"])["quantize"] == Quantize(calibration_rows=8, lowering="qdq")
    assert dict(found["half"])["half"] == Half(fuse=False)
    assert list(reasons) == ["dynamic"]


def test_of_strategies_those_are_left_out_that_a_target_cannot_run() -> None:
    found, reasons = able(STRATEGIES, Hardware(name="cuda", device="cuda"), "candidates")
    assert list(found) == ["half", "wrong"]
    assert reasons["int8"] == "quantize: what quantize makes runs on cpu, not on hardware=cuda (cuda)"
    assert list(able(STRATEGIES, Hardware(name="here"), "candidates")[0]) == list(STRATEGIES)


def test_providers_are_onnx_runtimes() -> None:
    found, _ = ways(INT8[:2], replace(HERE, providers=("CPUExecutionProvider",)), "compression")
    providers = {way.hardware.runtime: way.hardware.providers for way in found}
    assert providers == {"onnxruntime": ("CPUExecutionProvider",), "openvino": (), "torch": ()}


def test_where_no_runtime_will_do_each_says_why() -> None:
    cuda = Automatic(name="auto", device="cuda")
    found, reasons = ways((("export", Export()), ("half", Half())), cuda, "compression")
    assert found == []
    assert [reason.split(": ")[0] for reason in reasons] == [
        "hardware=auto, onnxruntime",
        "hardware=auto, tensorrt",
        "hardware=auto, torch",
    ]


def test_a_gpu_has_tensorrt_among_its_runtimes() -> None:
    cuda = Automatic(name="auto", device="cuda")
    found, _ = ways(INT8[:2], cuda, "compression", elsewhere=True)  # wherever that is, which has a GPU
    assert [way.hardware.way for way in found] == ["onnxruntime", "tensorrt", "torch"]
    assert found[1].hardware == replace(TENSORRT, name="auto")
    assert dict(found[1].strategy)["export"] == Export(lowering="plain")
    (only,), _ = ways(INT8, cuda, "compression", elsewhere=True)
    assert (only.hardware.way, dict(only.strategy)["quantize"].computes) == ("tensorrt", "int8")
    assert cuda.doubts("int8") is None
    told = replace(cuda, providers=("CUDAExecutionProvider",))
    found, _ = ways(INT8[:2], told, "compression", elsewhere=True)
    assert [way.hardware.way for way in found] == ["onnxruntime", "torch"]
    assert "take hardware=tensorrt" in str(told.doubts("int8"))


def test_another_target_has_one_way() -> None:
    found, reasons = ways(INT8, Hardware(name="here"), "compression")
    assert [(way.hardware.name, way.strategy) for way in found] == [("here", INT8)]
    assert reasons == []


def tried(root: Path, strategy: tuple[tuple[str, object], ...]) -> tuple[Pipeline, list[Trial]]:
    trials: list[Trial] = []
    found, _ = ways(strategy, HERE, "compression")  # type: ignore[arg-type]
    pipelines = [Pipeline(Store(root), TASK, 0, way.hardware, silent) for way in found]
    pipeline, taken = take_quickest(found, pipelines, FINETUNE, MEASURE, ignore, trials.append, None)
    assert taken.tried == tuple(trials)
    assert taken.outcome.final.format == pipeline.hardware.runs
    return pipeline, trials


def test_the_quickest_is_taken(root: Path) -> None:
    pipeline, trials = tried(root, INT8[1:])
    times = {trial.name: trial.latency_ms for trial in trials}
    taken = [trial.name for trial in trials if trial.taken]
    assert times.keys() == {"onnxruntime", "openvino"}
    assert taken == [min(times, key=lambda name: times[name] or 0)] == [pipeline.hardware.runtime]
    again, _ = tried(root, INT8[1:])
    assert again.hardware == pipeline.hardware  # from the store: a second look might choose another


def test_a_runtime_that_fails_is_left_out_and_says_why(root: Path) -> None:
    impossible = (("export", Export(format="openvino", lowering="plain", tolerance=1e-30)),)
    found, _ = ways(INT8[1:2], HERE, "compression")
    found = [replace(way, strategy=impossible) if way.hardware.runs == "openvino" else way for way in found]
    pipelines = [Pipeline(Store(root), TASK, 0, way.hardware, silent) for way in found]
    _, taken = take_quickest(found, pipelines, FINETUNE, MEASURE, ignore, lambda trial: None, None)
    why = {trial.name: trial.why for trial in taken.tried}
    assert "differ from PyTorch's" in why["openvino"]
    assert why["onnxruntime"] == why["torch"] == ""
    with pytest.raises(GateFailed, match="hardware=auto: no runtime will do: openvino: export: the graph's"):
        take_quickest(found[1:2], pipelines[1:2], FINETUNE, MEASURE, ignore, lambda trial: None, None)


def test_the_command_takes_one_and_says_what_was_tried(tmp_path: Path) -> None:
    done = job(tmp_path, *TINY, "compression=int8", "hardware=auto")
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path / "job")
    assert {trial["name"] for trial in result["tried"]} == {"onnxruntime", "openvino"}
    (taken,) = (trial["name"] for trial in result["tried"] if trial["taken"])
    measured = result["measurement"]
    assert (measured["hardware"], measured["runtime"]) == ("auto", taken)
    assert result["baseline"]["measurement"]["runtime"] == taken


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("compression=auto", "hardware=auto"), "compression.auto: measures on one runtime"),
        (
            ("compression=width", "~compression/export", "hardware=auto"),
            "hardware=auto, openvino: hardware.auto",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    tmp_path: Path, overrides: tuple[str, ...], told: str
) -> None:
    done = job(tmp_path, *overrides)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """XLM-R-large, so far as it is known before its weights are there."""
    config = XLMRobertaConfig(
        vocab_size=250002, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16,
        intermediate_size=4096, max_position_embeddings=514, type_vocab_size=1,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "large")
    train_wordpiece(["one text"], 10).save(str(tmp_path / "large" / "tokenizer.json"))
    return tmp_path / "large"


TOO_LARGE = (
    "559 million parameters, 2.24 GB in FP32, and an ONNX graph holds 2.15; "
    "take hardware=torch, whose programs may be of any size"
)


@pytest.mark.parametrize("compression", ["none", "auto"])
def test_a_model_that_no_graph_holds_is_refused_before_it_is_trained(
    tmp_path: Path, large: Path, compression: str
) -> None:
    done = job(tmp_path, *TINY, f"model={{path: {large}}}", f"compression={compression}")
    assert done.returncode == 2
    assert done.stderr == f"error: model.path: {large}: {TOO_LARGE}\n"


def test_only_pytorch_runs_what_no_graph_holds(tmp_path: Path, large: Path) -> None:
    found, reasons = ways(INT8[:2], HERE, "compression", model=Model(path=str(large)))
    assert [way.hardware.runtime for way in found] == ["torch"]
    assert [reason.split(": ")[:2] for reason in reasons] == [
        ["hardware=auto, onnxruntime", "model.path"], ["hardware=auto, openvino", "model.path"],
    ]  # fmt: skip
    write_record(
        large, format="torch", outputs=(), tokenizer="", max_length=8, pad_id=0, parameters=10**8, facts={}
    )
    pruned = Model(path=f"{large}/")  # of Pare's own: its config says nothing of what it lacks by now
    assert len(ways(INT8[:2], HERE, "compression", model=pruned)[0]) == 3


def test_what_shows_to_be_too_large_at_its_export_is_one_line(large: Path) -> None:
    with torch.device("meta"):
        network = Network(encoder_of(AutoConfig.from_pretrained(large)), (Output("intent", ("a", "b")),))
    with pytest.raises(StageFailed, match=f"^export: {TOO_LARGE}$"):
        to_onnx(network, "fused", 17)
