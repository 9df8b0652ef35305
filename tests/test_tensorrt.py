"""What TensorRT is told, as far as a machine without one can tell: names, shapes, caches, refusals."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from omegaconf import OmegaConf

from pare.build import build
from pare.checkpoint import Checkpoint
from pare.composition import conf_folder
from pare.decoding import Text
from pare.errors import StageFailed, TargetError
from pare.runtimes.onnx_session import build_seconds, engines
from pare.stages.dynamic import Dynamic
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.quantize import Quantize
from pare.stages.shape import Shape
from pare.stages.stage import Stage
from pare.store import Store
from pare.strategy import problems
from pare.targets.answers import graph_run
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure
from pare.targets.tensorrt import PACKAGES, VERSIONS, Shapes, options, shapes_of
from pare.tasks.example import Encoded
from pare.tasks.text import TextEncoder
from small import FINETUNE, HARDWARE, TASK, Broken, ignore, pipeline

TENSORRT = Hardware(
    name="there", device="cuda", providers=("TensorrtExecutionProvider", "CUDAExecutionProvider")
)
PLAIN = ("export", Export(lowering="plain"))
SHAPES = Shapes(least=(1, 2), usual=(1, 12), most=(32, 64))
LIBRARY = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"


def made(root: Path, *strategy: tuple[str, Stage]) -> Checkpoint:
    return pipeline(root).execute(FINETUNE, strategy, ignore).final


def test_shapes_come_from_lengths_and_batches() -> None:
    assert shapes_of([9, 5, 30, 12, 7], 1, 32, 64) == Shapes(least=(1, 2), usual=(1, 9), most=(32, 64))
    assert shapes_of([90, 5, 90], 4, 2, 64) == Shapes(least=(1, 2), usual=(4, 64), most=(4, 64))
    assert shapes_of([1], 1, 1, 1) == Shapes(least=(1, 1), usual=(1, 1), most=(1, 1))
    assert shapes_of([], 1, 8, 64).most == (8, 64)
    assert shapes_of([9, 5], 1, 8, 64, 16) == Shapes(least=(1, 2), usual=(1, 16), most=(8, 64))
    assert shapes_of([9, 5], 1, 8, 16, 24).most == (8, 24)  # padded beyond what texts are cut to


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, None),
        ({"batch": 64}, "1 to 32 texts of up to 64 tokens, but what runs is 1 to 64 of up to 48"),
        ({"throughput_batches": (200,)}, "1 to 32 texts of up to 64 tokens, but what runs is 1 to 200 of"),
        ({"length": 65}, "1 to 32 texts of up to 64 tokens, but what runs is 1 to 32 of up to 65"),
        (
            {"shapes": Shapes(least=(1, 2), usual=(1, 12), most=(16, 32)), "throughput_batches": (1,)},
            "1 to 16 texts of up to 32 tokens, but what runs is 1 to 32 of up to 48",
        ),
        ({"shapes": Shapes(least=(8, 2), usual=(8, 12), most=(32, 64))}, "8 to 32 texts of up to 64 tokens"),
    ],
)
def test_shapes_that_do_not_cover_what_runs_are_refused(given: dict[str, Any], said: str | None) -> None:
    """Scoring takes 32 texts at a time, whatever is timed."""
    found = replace(TENSORRT, **{"shapes": SHAPES, **given}).misfits(100, [128], 48)
    assert len(found) == (said is not None)
    assert all(line.startswith(f"hardware.shapes: {said}") for line in found)


@pytest.mark.parametrize("wrong", [{"least": (2, 4)}, {"most": (1, 3)}, {"usual": (1,)}, {"least": (0, 1)}])
def test_shapes_in_another_order_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="none smaller than the one before"):
        Shapes(**{"least": (1, 2), "usual": (1, 4), "most": (8, 16), **wrong})


def test_the_options_are_what_the_provider_reads() -> None:
    assert options(SHAPES, "fp16", Path("/cache"), "0123456789abcdef01") == {
        "trt_fp16_enable": "True",
        "trt_bf16_enable": "False",
        "trt_int8_enable": "False",
        "trt_profile_min_shapes": "input_ids:1x2,attention_mask:1x2",
        "trt_profile_opt_shapes": "input_ids:1x12,attention_mask:1x12",
        "trt_profile_max_shapes": "input_ids:32x64,attention_mask:32x64",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": "/cache/0123456789abcdef",
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": "/cache/timing",
    }


@pytest.mark.skipif(not LIBRARY.is_file(), reason="this ONNX Runtime comes without TensorRT's provider")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_the_provider_knows_every_option(precision: str) -> None:
    known = LIBRARY.read_bytes()
    for name in options(SHAPES, precision, Path("/cache"), "0123"):
        assert b"\0" + name.encode() + b"\0" in known, name


@pytest.mark.skipif(not LIBRARY.is_file(), reason="this ONNX Runtime comes without TensorRT's provider")
def test_a_bundle_requires_the_tensorrt_that_its_runtime_is_built_against() -> None:
    cuda = onnxruntime.cuda_version.partition(".")[0]
    assert f"tensorrt-cu{cuda}" == PACKAGES[0]
    assert f"libnvinfer.so.{VERSIONS.partition('.')[0]}\0".encode() in LIBRARY.read_bytes()


def test_tensorrt_is_loaded_from_where_pip_put_it(tmp_path: Path) -> None:
    """Or the loader would not find it; for other providers it is not wanted."""
    (tmp_path / "tensorrt_libs.py").write_text("print('loaded')")
    code = (
        "import sys\n"
        "from pare.runtimes.onnx_session import preload\n"
        "preload('CUDAExecutionProvider')\n"
        "assert 'tensorrt_libs' not in sys.modules\n"
        "preload('TensorrtExecutionProvider')\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr.count("loaded")) == ("", 1)


def test_the_seconds_of_building_stay_beside_the_engine(tmp_path: Path) -> None:
    """Who finds the engine there reads it in a fraction of them."""
    assert build_seconds(None, {}, 0.5) == 0.5
    assert build_seconds(tmp_path, {}, 0.5) == 0.5
    (tmp_path / "graph.engine").touch()
    assert build_seconds(tmp_path, {}, 31.5) == 31.5
    found = engines(tmp_path)
    assert build_seconds(tmp_path, found, 0.5) == 31.5
    os.utime(tmp_path / "graph.engine", ns=(1, 1))  # built again, for other shapes
    assert build_seconds(tmp_path, found, 40.0) == build_seconds(tmp_path, engines(tmp_path), 0.5) == 40.0


def test_flags_are_the_words_that_the_installed_onnx_runtime_takes() -> None:
    """Its message for any other is in it; it would come on a machine with a GPU only."""
    (library,) = Path(onnxruntime.capi.__file__).parent.glob("onnxruntime_pybind11_state*.so")
    content = library.read_bytes()
    flags = [name for name in options(SHAPES, "int8", Path("/cache"), "0") if name.endswith("_enable")]
    assert len(flags) == 5
    for flag in flags:
        assert f"'{flag}' should be 'True' or 'False'".encode() in content


def test_each_precision_is_let_in_by_its_graph() -> None:
    def flags(precision: str) -> list[str]:
        return [n for n, v in options(None, precision, None, "").items() if v == "True"]

    assert flags("fp32") == []
    assert flags("bf16") == ["trt_bf16_enable"]
    assert flags("int8") == ["trt_fp16_enable", "trt_int8_enable"]


def test_sides_that_are_fixed_stay_so() -> None:
    told = options(SHAPES, "fp32", None, "", (None, 16))
    assert told["trt_profile_max_shapes"] == "input_ids:32x16,attention_mask:32x16"
    assert not any("profile" in name for name in options(SHAPES, "fp32", None, "", (4, 16)))


def test_a_session_is_told_what_its_checkpoint_is(root: Path, tmp_path: Path) -> None:
    integer = made(
        root, PLAIN, ("quantize", Quantize(calibration_rows=8, lowering="qdq")), ("shape", Shape(length=16))
    )
    there = TENSORRT.fitted(integer, TASK.texts("test"), tmp_path)
    (tensorrt, told), cuda = there.session_options(integer)["providers"]
    assert (tensorrt, cuda) == ("TensorrtExecutionProvider", ["CUDAExecutionProvider", {"use_tf32": "0"}])
    assert told["trt_int8_enable"] == "True"
    assert told["trt_profile_opt_shapes"] == "input_ids:1x16,attention_mask:1x16"
    assert told["trt_engine_cache_path"] == f"{tmp_path}/tensorrt/{integer.digest[:16]}"
    (_, blind), _ = there.session_options()["providers"]
    assert "trt_engine_cache_path" not in blind  # of a graph that has no name of its own


def test_two_checkpoints_never_share_an_engine(root: Path, tmp_path: Path) -> None:
    """ONNX Runtime names engines by the graph without its weights."""
    one, other = (
        made(root, PLAIN, ("half", Half(fuse=False, keep_float=k))) for k in (("Erf",), ("Softmax",))
    )
    there = TENSORRT.fitted(one, TASK.texts("test"), tmp_path)
    paths = [
        dict(there.session_options(c)["providers"])["TensorrtExecutionProvider"]["trt_engine_cache_path"]
        for c in (one, other)
    ]
    assert paths[0] != paths[1]


def test_the_pipeline_takes_shapes_from_the_training_texts(root: Path) -> None:
    checkpoint = made(root, PLAIN)
    fitted = pipeline(root, hardware=TENSORRT).fitted(checkpoint)
    assert fitted.cache == str(root / "cache" / "tensorrt")
    assert fitted.shapes is not None
    assert fitted.shapes.most == (32, checkpoint.max_length)
    assert 4 <= fitted.shapes.usual[1] <= TASK.max_length
    assert pipeline(root).fitted(checkpoint) == HARDWARE
    given = replace(TENSORRT, shapes=SHAPES, cache="/elsewhere")
    assert pipeline(root, hardware=given).fitted(checkpoint) == given


def shortened(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """A copy that reads 16 tokens."""
    shutil.copytree(checkpoint.path, folder)
    record = json.loads((folder / "checkpoint.json").read_text("utf-8"))
    (folder / "checkpoint.json").write_text(json.dumps({**record, "max_length": 16}), "utf-8")
    return Checkpoint(folder, "short")


def test_training_texts_are_tokenized_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job asks some seven times, each time for all of them; a sweep does for each of its jobs."""
    checkpoint = made(root, PLAIN)
    read: list[int] = []

    class Counting(TextEncoder):
        def encode(self, texts: Sequence[Text], places: bool = True) -> Sequence[Encoded]:
            read.append(len(texts))
            return super().encode(texts, places)

    monkeypatch.setattr("pare.targets.tensorrt.TextEncoder", Counting)
    monkeypatch.setattr("pare.targets.tensorrt._counted", {})
    found = [pipeline(root, hardware=TENSORRT).fitted(checkpoint).shapes for _ in range(3)]
    assert read == [len(TASK.texts("train"))]
    assert found[0] == found[1] == found[2]
    other = pipeline(root, hardware=TENSORRT).fitted(shortened(checkpoint, tmp_path / "short")).shapes
    assert (other and other.most) == (32, 16)
    assert TENSORRT.fitted(checkpoint, ["long " * 30], tmp_path).shapes != found[0]  # which nothing names


def test_each_graph_that_is_timed_has_shapes_of_its_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline reads longer texts than a candidate whose positions were cut."""
    whole = made(root, PLAIN)
    short, settings = shortened(whole, tmp_path / "short"), Measure()
    timed: list[tuple[Checkpoint, Hardware]] = []

    def measure(first: tuple[Checkpoint, Hardware], others: Any, *_: object) -> None:
        timed.extend([first, *others])
        raise Broken

    def latencies_ms(graphs: Any, *_: object) -> None:
        timed.extend(graphs)
        raise Broken

    monkeypatch.setattr("pare.cached.measure", measure)
    monkeypatch.setattr("pare.cached.latencies_ms", latencies_ms)
    with pytest.raises(Broken):
        pipeline(root, hardware=TENSORRT).measure(short, [whole], settings)
    with pytest.raises(Broken):  # hardware=auto, whose pipelines are of other targets
        pipeline(root).quickest([(short, TENSORRT), (whole, TENSORRT)], settings)
    assert [checkpoint for checkpoint, _ in timed] == [short, whole] * 2
    assert [there.shapes and there.shapes.most for _, there in timed] == [(32, 16), (32, 32)] * 2
    assert all(there.cache == str(root / "cache" / "tensorrt") for _, there in timed)


def test_texts_that_are_padded_have_a_shape_too(root: Path) -> None:
    fitted = pipeline(root, hardware=replace(TENSORRT, length=24)).fitted(made(root, PLAIN))
    assert fitted.shapes == Shapes(least=(1, 2), usual=(1, 24), most=(32, 32))


def test_what_the_store_removes_leaves_engines(tmp_path: Path) -> None:
    engine = tmp_path / "cache" / "tensorrt" / "0123" / "graph.engine"
    engine.parent.mkdir(parents=True)
    engine.touch()
    Store(tmp_path).gc(unused_days=0)
    assert engine.is_file()


def test_the_baseline_has_standard_operators_too(root: Path) -> None:
    there = pipeline(root, hardware=TENSORRT)
    baseline = pipeline(root).execute(FINETUNE, (PLAIN,), ignore).baseline
    assert [g.facts["lowering"] for g in there.baseline_graphs((PLAIN,), baseline)] == ["plain"]


def test_operators_that_tensorrt_does_not_know_are_refused() -> None:
    half, qdq = ("half", Half(fuse=False)), ("quantize", Quantize(lowering="qdq"))
    assert problems((PLAIN, half), TENSORRT) == problems((PLAIN, qdq), TENSORRT) == []
    for strategy in (
        (("export", Export()),),
        (("export", Export(lowering="fastest")),),
        (PLAIN, ("half", Half())),
    ):
        (said,) = problems(strategy, TENSORRT)
        assert "which TensorRT does not know; take lowering: plain (export)" in said
    (said,) = problems((PLAIN, ("quantize", Dynamic())), TENSORRT)
    assert "runs on cpu, not on hardware=there (cuda)" in said


def test_the_target_of_the_config_is_that(monkeypatch: pytest.MonkeyPatch) -> None:
    node: Any = OmegaConf.to_container(OmegaConf.load(conf_folder() / "hardware" / "tensorrt.yaml"))
    node.pop("defaults")
    found: list[str] = []
    there = build({"_target_": "pare.targets.hardware.Hardware", "device": "cuda", **node}, "hardware", found)
    assert found == []
    assert (there.engine, there.standard_operators) == ("TensorrtExecutionProvider", True)
    node["shapes"] = {"least": [1, 2], "usual": [1, 12], "most": [32, 64]}
    there = build({"_target_": "pare.targets.hardware.Hardware", "device": "cuda", **node}, "hardware", found)
    assert there.shapes == SHAPES
    monkeypatch.setattr("pare.targets.hardware.gpu", lambda: ("NVIDIA T4", "GPU-1"))
    monkeypatch.setattr("pare.targets.hardware.loads", lambda provider: f"no {provider}")
    with pytest.raises(
        TargetError, match=r"TensorrtExecutionProvider did not load: no TensorrtExecutionProvider$"
    ):
        there.check()


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="no GPU build"
)
def test_where_tensorrt_does_not_load_nothing_else_runs(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime would go on with the CPU, and say so on stdout, where a measuring process answers."""
    from pare.runtimes.probe import loads

    if loads("TensorrtExecutionProvider") is None:
        pytest.skip("TensorRT is here")
    checkpoint = made(root, PLAIN)
    there = TENSORRT.fitted(checkpoint, TASK.texts("test"), tmp_path)
    with pytest.raises(
        StageFailed, match=r"^hardware=there: TensorrtExecutionProvider did not load"
    ) as raised:
        graph_run(checkpoint, there)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().out == ""
    assert [folder.name for folder in (tmp_path / "tensorrt").iterdir()] == [checkpoint.digest[:16]]
