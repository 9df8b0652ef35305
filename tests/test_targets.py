"""Targets say before anything is computed what they cannot do: cards, processors, providers."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from omegaconf import OmegaConf

from commands import TINY, job
from pare.build import build
from pare.composition import conf_folder, parts
from pare.errors import TargetError
from pare.machine import driver_knows, gpu, torch_finds_a_gpu
from pare.nursery import PYTHON
from pare.runtimes.probe import MODEL, loads
from pare.stages.dynamic import Dynamic
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.quantize import Quantize
from pare.strategy import doubts, problems
from pare.targets.arm import gpu_memory
from pare.targets.card import Card
from pare.targets.energy import gpu_meter
from pare.targets.hardware import Automatic, Hardware
from pare.targets.processor import cores_first, features, features_in, lacks
from pare.targets.tensorrt import Shapes
from pare.training import resolve_device

CARDS = ("v100", "t4", "a10", "a100", "h100", "h200")
EXPORT = ("export", Export())
QDQ = ("quantize", Quantize(lowering="qdq"))
SHAPES = Shapes(least=(1, 2), usual=(1, 12), most=(32, 64))


def card(name: str) -> Card:
    found: list[str] = []
    node: Any = OmegaConf.to_container(OmegaConf.load(conf_folder() / "hardware" / f"{name}.yaml"))["card"]  # type: ignore[call-overload,index]
    made: Card = build({"_target_": "pare.targets.card.Card", **node}, "hardware.card", found)
    assert found == []
    return made


def on(name: str) -> Hardware:
    return Hardware(name=name, device="cuda", card=card(name))


@pytest.mark.parametrize("name", CARDS)
def test_cards_are_in_order(name: str) -> None:
    """Never more of a wider number than of a narrower one; half precision everywhere."""
    made = card(name)
    assert made.name == name.upper()
    assert made.tflops["fp16"] == 2 * made.tflops.get("tf32", made.tflops["fp16"] / 2) or name[0] == "h"
    peaks = [made.tflops[p] for p in made.precisions if p != "bf16"]
    assert peaks == sorted(peaks)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Tesla V100-SXM2-16GB", "v100"), ("Tesla T4", "t4"), ("NVIDIA A10", "a10"), ("NVIDIA A10G", None),
        ("NVIDIA A100-PCIE-40GB", "a100"), ("NVIDIA A100 80GB PCIe", "a100"), ("NVIDIA H100 PCIe", "h100"),
        ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA H200", "h200"), ("NVIDIA H200 NVL", "h200"),
        ("NVIDIA GH200 480GB", None), ("NVIDIA L4", None),
    ],
)  # fmt: skip
def test_cards_know_their_names(name: str, said: str | None) -> None:
    assert [c for c in CARDS if card(c).is_named(name)] == ([said] if said else [])


def test_int8_of_a_v100_is_refused() -> None:
    (problem,) = problems((EXPORT, QDQ), on("v100"))
    assert problem == (
        "compression.quantize: makes int8, but V100 (volta, compute capability 7.0) has no INT8 matrix "
        "units; it can fp32, fp16"
    )
    assert problems((EXPORT, QDQ), on("t4")) == []


def test_bf16_of_a_t4_is_refused() -> None:
    (problem,) = problems((EXPORT, ("half", Half(precision="bf16"))), on("t4"))
    assert problem.startswith("compression.half: makes bf16, but T4 (turing, compute capability 7.5)")
    assert problems((EXPORT, ("half", Half(precision="bf16"))), on("a10")) == []
    assert problems((EXPORT, ("half", Half())), on("t4")) == []


def test_fp8_is_for_hopper() -> None:
    assert "T4" in str(card("t4").lacks("fp8"))
    assert "A100" in str(card("a100").lacks("fp8"))
    assert card("h100").lacks("fp8") is None


def test_a_card_without_a_gpu_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"^card: T4 is a GPU, device=cpu is none$"):
        Hardware(name="here", card=card("t4"))


@pytest.mark.parametrize("tflops", [{"fp16": 1.0}, {"fp32": 0.0}, {"fp32": 1.0, "int9": 2.0}])
def test_a_card_of_nonsense_is_refused(tflops: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^tflops"):
        replace(card("t4"), tflops=tflops)


def test_another_card_than_asked_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pare.targets.hardware.gpu", lambda: ("NVIDIA H200", "GPU-1"))
    monkeypatch.setattr("pare.targets.hardware.loads", lambda provider: None)
    with pytest.raises(TargetError, match=r"^hardware\.card: T4 asked for, this machine has NVIDIA H200$"):
        on("t4").check()
    on("h200").check()


def test_what_is_measured_with_another_driver_is_another_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = []
    for version in ("580.65.06", "575.57.08"):
        listed = "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'"
        script = f"#!/bin/sh\ncase $1 in -L) {listed};; *) echo {version}; echo {version};; esac\n"
        (place := tmp_path / version).mkdir()
        (place / "nvidia-smi").write_text(script)
        (place / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
        found.append(on("h200").fingerprint())
    assert [one.pop("driver") for one in found] == ["580.65.06", "575.57.08"]
    assert found[0] == found[1]
    assert found[0]["gpu"] == ["NVIDIA H200"]
    assert "driver" not in Hardware(name="here").fingerprint()


def test_energy_and_memory_are_those_of_the_gpu_that_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def handle(uuid: str) -> str:
        asked.append(uuid)
        return uuid

    library = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {"GPU-2": 3000}[handle],
        nvmlDeviceGetComputeRunningProcesses=lambda handle: {
            "GPU-2": [SimpleNamespace(pid=os.getpid(), usedGpuMemory=7 * 2**20)]
        }[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr("pare.targets.nvml.gpu", lambda: ("NVIDIA A10", "GPU-2"))
    meter = gpu_meter()
    assert meter is not None
    assert meter.joules() == 3
    assert meter.window_s >= 1  # it moves ten times a second on some cards
    assert gpu_memory()["gpu_memory_mb"] == 7
    assert set(asked) == {"GPU-2"}


def test_a_provider_that_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pare.targets.hardware.gpu", lambda: ("NVIDIA H200", "GPU-1"))
    monkeypatch.setattr("pare.targets.hardware.loads", lambda provider: "libcublas.so: not found")
    wanted = r"^hardware\.providers: CUDAExecutionProvider did not load: libcublas\.so: not found$"
    with pytest.raises(TargetError, match=wanted):
        Hardware(name="cuda", device="cuda").check()


def test_looking_for_a_gpu_leaves_it_to_what_is_forked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "0")
    torch_finds_a_gpu()
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"


@pytest.mark.parametrize(("driver", "found"), [(12080, False), (13000, True), (14010, True)])
def test_a_driver_that_is_older_than_pytorch_s_cuda_has_no_gpu_for_it(
    monkeypatch: pytest.MonkeyPatch, driver: int, found: bool
) -> None:
    """NVML, which is asked in CUDA's place, counts the GPU; training on it would fail at its first step."""
    monkeypatch.setattr("pare.machine.driver_knows", driver_knows.__wrapped__)  # what is found is kept
    library = SimpleNamespace(nvmlInit=lambda: None, nvmlSystemGetCudaDriverVersion_v2=lambda: driver)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    assert torch_finds_a_gpu() is found
    assert resolve_device("auto").type == ("cuda" if found else "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(gpu() is None, reason="nvidia-smi lists no GPU here")
def test_what_is_forked_after_looking_for_a_gpu_can_use_it() -> None:
    code = (
        "import os, torch\n"
        "from pare.machine import torch_finds_a_gpu\n"
        "assert torch_finds_a_gpu()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    torch.ones(1, device='cuda')\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_provider_is_tried_not_believed() -> None:
    """onnxruntime-gpu lists CUDA wherever it is installed."""
    assert loads("CPUExecutionProvider") is None
    reason = loads("NoSuchExecutionProvider")
    assert reason is not None
    assert "\n" not in reason


def test_trying_a_provider_takes_the_runtime_alone(tmp_path: Path) -> None:
    """Where a bundle is evaluated its requirements are all there is, and onnx is none of them."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['onnx'] = None\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*PYTHON, "-m", "pare.runtimes.probe", "CPUExecutionProvider"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, '["CPUExecutionProvider"]\n'), done.stderr


def test_what_is_tried_is_a_graph_of_one_node() -> None:
    found = onnx.load_from_string(MODEL)
    onnx.checker.check_model(found, full_check=True)
    assert [node.op_type for node in found.graph.node] == ["MatMul"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"providers": ("CUDAExecutionProvider",)}, "does not run on device=cpu"),
        ({"runtime": "openvino", "providers": ("CPUExecutionProvider",)}, "runtime=openvino has none"),
        ({"device": "cuda", "providers": ("CPUExecutionProvider",)}, "does not run on device=cuda"),
    ],
)
def test_providers_belong_to_a_device(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Hardware(name="here", **given)


@pytest.mark.parametrize("given", [{"shapes": SHAPES}, {"cache": "engines"}])
@pytest.mark.parametrize(
    ("target", "found"),
    [
        (Hardware(name="here"), "CPUExecutionProvider"),
        (Hardware(name="here", device="cuda"), "CUDAExecutionProvider"),
        (Hardware(name="here", runtime="torch"), "eager"),
        (Automatic(name="auto", device="cuda"), "CUDAExecutionProvider"),
    ],
)
def test_what_only_tensorrt_is_told_is_refused_elsewhere(
    target: Hardware, found: str, given: dict[str, Any]
) -> None:
    ((field, _),) = given.items()
    needed = r"TensorRT's alone; providers=\[TensorrtExecutionProvider,…\] is needed"
    with pytest.raises(ValueError, match=rf"^{field}: {needed}, found {found}$"):
        replace(target, **given)


def test_what_tensorrt_is_told_is_not_told_to_other_runtimes() -> None:
    auto = Automatic(
        name="auto", device="cuda", providers=("TensorrtExecutionProvider",), shapes=SHAPES, cache="engines"
    )
    assert (auto.on("onnxruntime").shapes, auto.on("onnxruntime").cache) == (SHAPES, "engines")
    assert (auto.on("torch").shapes, auto.on("torch").cache) == (None, None)


@pytest.mark.parametrize("name", ["cuda", "cuda_graph", "tensorrt", *CARDS])
def test_gpus_are_measured_at_large_batches_too(name: str) -> None:
    assert list(parts([f"hardware={name}"], "hardware")["hardware"]["throughput_batches"]) == [1, 16, 32, 200]


def test_features_are_those_that_all_cores_have() -> None:
    text = "model name\t: x\nflags\t\t: fpu avx2 avx512_vnni\n\nflags\t\t: fpu avx2\n"
    assert features_in(text) == {"fpu", "avx2"}
    assert features_in("Features\t: fp asimd asimddp bf16\n") == {"fp", "asimd", "asimddp", "bf16"}
    assert features_in("nothing of the kind") == frozenset()


@pytest.mark.parametrize(
    ("siblings", "allowed", "order"),
    [
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {0, 1, 2, 3}, [0, 2, 1, 3]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, {0, 1, 2, 3}, [0, 1, 2, 3]),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, {1, 2, 3}, [1, 2, 3]),
        ({}, {5, 4}, [4, 5]),
    ],
)
def test_threads_have_cores_of_their_own_as_far_as_there_are_cores(
    siblings: dict[int, str], allowed: set[int], order: list[int], tmp_path: Path
) -> None:
    for cpu, told in siblings.items():
        (tmp_path / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(f"{told}\n")
    assert cores_first(allowed, tmp_path) == order


def test_a_cpu_without_the_instructions_is_named() -> None:
    old = {"fpu", "avx2"}
    assert lacks("bf16", old) == "this CPU has no instructions for BF16 (avx512_bf16, amx_bf16, bf16)"
    assert str(lacks("int8", old)).startswith("this CPU has no instructions for INT8 (avx512_vnni, ")
    assert lacks("bf16", {*old, "amx_bf16"}) is None
    assert lacks("int8", {*old, "asimddp"}) is None
    assert lacks("fp32", old) is None
    assert lacks(None, old) is None
    assert lacks("int8", frozenset()) is None  # nobody knows


def test_int8_without_vnni_is_doubted_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pare.targets.processor.features", lambda: frozenset({"avx2"}))
    strategy = (EXPORT, ("quantize", Dynamic()))
    assert problems(strategy, Hardware(name="here")) == []
    (doubt,) = doubts(strategy, Hardware(name="here"))
    assert doubt.startswith("compression.quantize: makes int8, but this CPU has no instructions for INT8")


def test_int8_in_the_cuda_provider_is_doubted() -> None:
    (doubt,) = doubts((EXPORT, QDQ), on("t4"))
    assert "CUDAExecutionProvider has no integer kernels for it and computes in float" in doubt


def test_a_doubt_is_a_line_of_its_own_on_the_terminal(tmp_path: Path) -> None:
    if lacks("fp16", features()) is None:
        pytest.skip("this CPU computes in FP16, or nobody knows")
    done = job(tmp_path, *TINY, "compression=half", "model=micro", "task.source.train=60", "train.steps=1")
    assert done.returncode == 0, done.stderr
    assert (
        "compression.half: makes fp16, but this CPU has no instructions for FP16" in done.stdout + done.stderr
    )
    assert json.loads((tmp_path / "job" / "status.json").read_text("utf-8"))["state"] == "done"
