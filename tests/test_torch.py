"""Programs: PyTorch runs them alone, they answer as the network, and loading one runs nothing of theirs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.export import export
from transformers import AutoConfig
from transformers.activations import ACT2FN

from commands import ROOT
from pare.bundle import write_bundle
from pare.checkpoint import PROGRAM, SHIPPED, Checkpoint
from pare.encoders.families import family_of
from pare.encoders.model import Architecture
from pare.encoders.network import Network, encoder_of, scratch
from pare.errors import StageFailed
from pare.forwarding import network_run
from pare.lowering.torch_export import read, save, to_program
from pare.outputs import Output
from pare.runtimes.session import session_class
from pare.runtimes.torch_session import bucket, loaded, operation, tensors
from pare.stages.depth import Depth
from pare.stages.export import Export
from pare.stages.stage import Stage
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.strategy import problems
from pare.targets.evidence import ran_as
from pare.targets.hardware import Hardware
from small import FINETUNE, HARDWARE, TASK, TORCH, ignore, pipeline
from test_bundle import predict

OUTPUTS = (Output("intent", ("a", "b", "c")), Output("slots", ("x", "y"), scope="token"))
SMALL = Architecture(layers=2, hidden=32, heads=4, ffn=64, positions=48)
PROGRAM_FP32 = ("export", Export(format="program"))
BF16 = ("export", Export(format="program", precision="bf16", tolerance=0.25))
RAGGED = np.array([[7, 9, 11, 4, 8, 4], [5, 6, 4, 0, 0, 0], [9, 0, 0, 0, 0, 0]])


def steps(root: Path, *strategy: tuple[str, Stage]) -> list[Checkpoint]:
    done = pipeline(root, hardware=TORCH).execute(FINETUNE, strategy, ignore).steps
    return [step.checkpoint for step in done]


def untrained(family: str) -> Network:
    if family != "ernie 3.0":
        return scratch(replace(SMALL, family=family), 90, 0, OUTPUTS)
    shape = family_of("ernie").shape(SMALL, 90, 0)  # as published: the kind of task is embedded, too
    return Network(encoder_of(AutoConfig.for_model("ernie", **shape, use_task_id=True)), OUTPUTS)


@pytest.mark.parametrize(
    "family",
    ["bert", "roberta", "xlm-roberta", "ernie", "ernie 3.0", "electra", "distilbert", "modernbert"],
)
@pytest.mark.parametrize("lowering", ["plain", "fused"])
def test_every_family_answers_as_its_network(family: str, lowering: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = untrained(family).eval()
    network.separator = 4
    mask = (RAGGED != 0).astype(np.int64)
    wanted = network_run(network)(RAGGED, mask)
    save(to_program(network, lowering, "fp32"), network, "fp32", tmp_path / PROGRAM)
    session = session_class("torch")(str(tmp_path / PROGRAM))
    found = session.run(RAGGED, mask)
    assert np.abs(found["intent"] - wanted["intent"]).max() < 1e-5
    assert np.abs((found["slots"] - wanted["slots"]) * mask[:, :, None]).max() < 1e-5
    for shape in ((1, 1), (5, 48)):  # free in both directions, up to the last position
        ids = np.full(shape, 7)
        gap = (
            session.run(ids, np.ones_like(ids))["intent"]
            - network_run(network)(ids, np.ones_like(ids))["intent"]
        )
        assert np.abs(gap).max() < 1e-5


class Altering(torch.nn.Module):
    """What it computes once, it reads before and after writing over it, by two names."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        value = input_ids * 2.0
        before, same = value + 1, value.detach()
        value += attention_mask
        return before, value + same


def test_what_is_written_over_is_read_as_it_became() -> None:
    given = (torch.arange(6.0).reshape(2, 3), torch.full((2, 3), 10.0))
    program = read(export(Altering(), given))
    nodes = [operation_.as_json() for operation_ in program.operations]
    found = loaded({"nodes": nodes, "results": program.results}, program.weights, "cpu")(*given)
    wanted = Altering()(*given)
    assert [torch.equal(one, other) for one, other in zip(found, wanted, strict=True)] == [True, True]


def test_windows_of_attention_are_kept(tmp_path: Path) -> None:
    """ModernBERT's tokens see 64 to each side in most layers; texts must be longer to show it."""
    torch.manual_seed(0)
    network = scratch(replace(SMALL, family="modernbert", layers=3, positions=200), 90, 0, OUTPUTS).eval()
    ids = np.random.default_rng(0).integers(5, 90, (1, 200))
    mask = np.ones_like(ids)
    wanted = network_run(network)(ids, mask)["slots"]
    save(to_program(network, "plain", "fp32"), network, "fp32", tmp_path / PROGRAM)
    assert (
        np.abs(session_class("torch")(str(tmp_path / PROGRAM)).run(ids, mask)["slots"] - wanted).max() < 1e-5
    )


@pytest.mark.parametrize(
    "before",
    [
        ("width", Width(keep=0.5, importance="magnitude")),
        ("depth", Depth(layers=1)),
        ("vocabulary", Vocabulary()),
    ],
)
def test_what_is_smaller_exports_as_well(root: Path, before: tuple[str, Stage]) -> None:
    network, program = steps(root, before, PROGRAM_FP32)[-2:]
    there = pipeline(root, hardware=TORCH)
    assert there.score(program, "test") == there.score(network, "test")


def test_fused_has_fewer_maps_and_the_same_answers(root: Path) -> None:
    plain, fused = (
        steps(root, ("export", Export(format="program", lowering=way)))[-1] for way in ("plain", "fused")
    )  # type: ignore[arg-type]
    counts = [
        sum(node["op"] == "linear.default" for node in json.loads(c.model_file.read_text("utf-8"))["nodes"])
        for c in (plain, fused)
    ]
    assert counts == [14, 10]
    there = pipeline(root, hardware=TORCH)
    assert there.score(plain, "test")[0] == there.score(fused, "test")[0]


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.25), ("fp16", 0.05)])
def test_half_precision_halves_the_file(root: Path, precision: Any, tolerance: float) -> None:
    whole = steps(root, PROGRAM_FP32)[-1]
    half = steps(root, ("export", Export(format="program", precision=precision, tolerance=tolerance)))[-1]
    assert half.model_bytes() < 0.54 * whole.model_bytes()
    assert half.facts["precision"] == precision
    assert 1e-4 < half.facts["largest_difference"] < tolerance
    session = session_class("torch")(str(half.model_file))
    ids = np.full((2, 9), 7)
    assert session.run(ids, np.ones_like(ids))["slots"].dtype == np.float32
    found = session.evidence(ids, np.ones_like(ids))
    assert found["matmuls"] == {precision: 1.0}
    assert ran_as(precision, TORCH, found) == precision


def test_a_tolerance_that_half_precision_cannot_keep_is_said(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"^export: the program's logits differ from PyTorch's by 0\.0"):
        steps(root, ("export", Export(format="program", precision="bf16")))


def test_the_baseline_is_fp32_in_pytorch(root: Path) -> None:
    there = pipeline(root, hardware=TORCH)
    graphs = there.baseline_graphs((BF16,), there.execute(FINETUNE, (BF16,), ignore).baseline)
    assert [(g.format, g.facts["precision"], g.facts["lowering"]) for g in graphs] == [
        ("program", "fp32", "fused"), ("program", "fp32", "plain"),
    ]  # fmt: skip


def test_a_program_is_text_and_plain_numbers(root: Path) -> None:
    program = steps(root, PROGRAM_FP32)[-1]
    assert SHIPPED["program"] == ("program.json", "program.safetensors")
    json.loads(program.model_file.read_text("utf-8"), parse_constant=lambda name: pytest.fail(name))
    weights = program.model_file.with_suffix(".safetensors")
    wanted, found = load_file(weights), tensors(weights, "cpu")
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize(
    "name",
    [
        "from_file.default", "save.default", "add_.Tensor", "fill_.Scalar", "relu.out", "system.default",
        "linear", "__class__.mro", "linear.__call__", "linear.__class__", "os.system", "..", "",
    ],
)  # fmt: skip
def test_a_program_can_only_compute(name: str) -> None:
    with pytest.raises(RuntimeError, match="an operation that is not allowed"):
        operation(name)


@pytest.mark.parametrize("told", [{"dtype": "load"}, {"memory_format": "hub"}, {"call": "x"}])
def test_a_value_that_is_none_is_refused(told: dict[str, str]) -> None:
    node = {"name": "a", "op": "relu.default", "args": [told], "kwargs": {}}
    with pytest.raises(RuntimeError, match="a value that is none"):
        loaded({"nodes": [node], "results": ["a"]}, {}, "cpu")


def test_names_of_a_program_are_no_code(tmp_path: Path) -> None:
    """PyTorch writes Python for a module; what a program calls its values must not reach it."""
    evil = "x = __import__('pathlib').Path('made').touch()"
    nodes = [{"name": evil, "op": "add.Tensor", "args": [{"value": "input_ids"}, 1], "kwargs": {}}]
    module = loaded({"nodes": nodes, "results": [evil]}, {"__import__('os')": torch.ones(1)}, "cpu")
    assert module(torch.ones(1), torch.ones(1))[0] == 2
    assert "import" not in module.code


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / PROGRAM).write_text('{"schema": "other"}')
    with pytest.raises(RuntimeError, match="schema 'other', expected 'pare/program@1'"):
        session_class("torch")(str(tmp_path / PROGRAM))


@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_is_one_graph_with_the_same_answers(root: Path) -> None:
    file = str(steps(root, PROGRAM_FP32)[-1].model_file)
    eager, compiled = (session_class("torch")(file, options={"compile": how}) for how in ("eager", "compile"))
    for shape in ((3, 9), (2, 17)):
        ids = np.full(shape, 7)
        one, other = (session.run(ids, np.ones_like(ids)) for session in (eager, compiled))
        assert all(np.abs(one[name] - other[name]).max() < 1e-4 for name in one)
    found = compiled.evidence(ids, np.ones_like(ids))
    assert found["compiled"] == {"how": "compile", "graphs": 1, "breaks": 0}
    assert found["build_s"] > 0.1
    assert found["fell_back_count"] == 0


def test_cuda_graphs_need_a_gpu(root: Path) -> None:
    with pytest.raises(ValueError, match=r"^compile=graphs: CUDA graphs need device=cuda, found cpu$"):
        replace(TORCH, compile="graphs")
    with pytest.raises(ValueError, match=r"^compile=compile: runtime=onnxruntime compiles by itself"):
        Hardware(name="here", compile="compile")
    file = str(steps(root, PROGRAM_FP32)[-1].model_file)
    with pytest.raises(RuntimeError, match=r"^CUDA graphs need a GPU; the device is cpu$"):
        session_class("torch")(file, options={"compile": "graphs"})


@pytest.mark.parametrize(
    ("texts", "tokens", "padded"),
    [
        (1, 1, (1, 16)),
        (1, 16, (1, 16)),
        (1, 17, (1, 32)),
        (3, 40, (4, 48)),
        (33, 60, (64, 60)),
        (200, 128, (256, 128)),
    ],
)
def test_few_shapes_serve_all_batches(texts: int, tokens: int, padded: tuple[int, int]) -> None:
    assert bucket(texts, tokens, 128 if tokens == 128 else 60) == padded


def test_programs_go_where_they_run() -> None:
    assert problems((PROGRAM_FP32,), TORCH) == []
    (said,) = problems((PROGRAM_FP32,), HARDWARE)
    assert "onnxruntime runs onnx checkpoints" in said
    (said,) = problems((("export", Export()),), TORCH)
    assert "take compression/export=torch and what" in said


def test_graphs_are_halved_by_a_stage_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"^precision=bf16: of onnx is what a half stage is for$"):
        Export(precision="bf16")


@pytest.mark.parametrize("export", [PROGRAM_FP32, BF16])
def test_a_bundle_answers_as_scored(root: Path, tmp_path: Path, export: tuple[str, Stage]) -> None:
    program = steps(root, export)[-1]
    write_bundle(tmp_path / "bundle", program, False, {"task": TASK.name}, TORCH)
    texts = list(TASK.texts("test"))[:5]
    answers = pipeline(root, hardware=TORCH).score(program, "test")[1]
    wanted = [{"text": text, **answer} for text, answer in zip(texts, answers, strict=False)]
    hidden = ("onnxruntime", "safetensors", "openvino")
    assert predict(tmp_path / "bundle", tmp_path, *texts, hidden=hidden, used=("torch",)) == wanted
    needed = (tmp_path / "bundle" / "requirements.txt").read_text("utf-8").splitlines()
    assert [line for line in needed if line.startswith("torch==") and "+" not in line]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")
@pytest.mark.parametrize(("how", "graphs"), [("eager", 0), ("compile", 1), ("graphs", 3)])
def test_a_gpu_answers_as_the_cpu(root: Path, how: str, graphs: int) -> None:
    file = str(steps(root, PROGRAM_FP32)[-1].model_file)
    here, there = session_class("torch")(file), session_class("torch")(file, "cuda", options={"compile": how})
    for shape in ((3, 9), (2, 17), (5, 31)):
        ids = np.full(shape, 7)
        one, other = (session.run(ids, np.ones_like(ids)) for session in (here, there))
        assert all(np.abs(one[name] - other[name]).max() < 1e-3 for name in one)
    found = there.evidence(ids, np.ones_like(ids))
    assert found["matmuls_on"] == {"cuda": 1.0}
    assert found["compiled"] == {"how": how, "graphs": graphs, "breaks": 0}


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_the_benchmark_runs_on_pytorch_alone(tmp_path: Path) -> None:
    """Programs are written here, and measured where nothing but PyTorch and NumPy can be imported."""
    absent = ("transformers", "onnx", "onnxruntime", "safetensors", "tokenizers", "hydra")
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nfor name in {absent}:\n    sys.modules[name] = None\n"
    )
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--quick"]
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    subprocess.run([*command, "--export", str(tmp_path / "programs")], cwd=ROOT, check=True)
    done = subprocess.run(
        [*command, "--programs", str(tmp_path / "programs"), "--json", str(tmp_path / "claims.json")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| small | 8 x 16 | compiled | bf16 |" in done.stdout
    lines = json.loads((tmp_path / "claims.json").read_text("utf-8"))
    assert {line[-1] for line in lines} == {"falls short (not run)"}


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize(
    ("activation", "inside"), [("gelu", ["none"] * 2), ("gelu_pytorch_tanh", ["tanh"] * 2), ("relu", [])]
)
def test_linear_maps_are_onednns_with_gelu_inside_and_weights_are_held_once(
    activation: str, inside: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = scratch(SMALL, 90, 0, OUTPUTS).eval()
    for layer in network.encoder.encoder.layer:
        layer.intermediate.intermediate_act_fn = ACT2FN[activation]
    mask = (RAGGED != 0).astype(np.int64)
    wanted = network_run(network)(RAGGED, mask)["intent"]
    save(to_program(network, "plain", "fp32"), network, "fp32", tmp_path / PROGRAM)
    session = session_class("torch")(str(tmp_path / PROGRAM))
    assert np.abs(session.run(RAGGED, mask)["intent"] - wanted).max() < 1e-5
    graph = session.module.graph
    assert not graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default)
    assert not graph.find_nodes(op="call_function", target=torch.ops.aten.gelu.default)
    products = graph.find_nodes(op="call_function", target=torch.ops.mkldnn._linear_pointwise.default)
    assert [node.args[-1] for node in products if "gelu" in node.args] == inside
    held = sum(tensor.numel() for tensor in session.module.buffers())
    assert held == sum(tensor.numel() for tensor in load_file(tmp_path / "program.safetensors").values())
    found = session.evidence(RAGGED, mask)
    assert found["matmuls"] == {"fp32": 1.0}
