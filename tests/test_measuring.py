"""Measuring: real processes, paired blocks, a control, and what else went on."""

import json
import mmap
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import numpy as np
import pytest

from pare.checkpoint import Checkpoint
from pare.errors import StageFailed, TargetError
from pare.machine import gpu
from pare.nursery import Nursery
from pare.progress import silent
from pare.report import caveats
from pare.stages.export import Export
from pare.stages.quantize import Quantize
from pare.stages.shape import Shape
from pare.stages.stage import Stage
from pare.targets.answers import graph_run
from pare.targets.arm import pss_mb
from pare.targets.arms import Arm, Process
from pare.targets.comparison import Side
from pare.targets.conditions import Watch, lease
from pare.targets.energy import Meter, cpu_meter
from pare.targets.flops import flops_of, mean_flops
from pare.targets.hardware import Hardware
from pare.targets.inputs import read_inputs, write_inputs
from pare.targets.measurement import Measure, Measurement
from pare.targets.measuring import PEAK, arms_of, measure
from pare.targets.peak import SIZE, peak
from pare.targets.works import LATENCY, bucketed_work, padded_work, write_works
from sample import MEASURED, RESULT
from small import FINETUNE, TASK, ignore, pipeline

QUICK = Measure(launches=2, seconds=0.3, texts=20)
SHAPE = {"hidden": 8, "head_size": 2, "heads": [4, 2], "ffn": [16, 10], "gated": False}


@pytest.fixture
def graph(root: Path) -> Checkpoint:
    return pipeline(root).execute(FINETUNE, (("export", Export()),), ignore).final


def measured(
    candidate: Checkpoint,
    baselines: Sequence[Checkpoint],
    texts: Sequence[str],
    hardware: Hardware,
    settings: Measure,
) -> tuple[Measurement, Measurement, int]:
    """All on the target as it is."""
    first, *others = [(graph, hardware) for graph in (candidate, *baselines)]
    return measure(first, others, texts, settings, silent)


def test_what_was_measured_afresh_is_what_the_store_has(root: Path, graph: Checkpoint) -> None:
    line = pipeline(root)
    told = Measure(launches=2, seconds=0.1, texts=5, peak=False)
    found = [line.measure(graph, [graph], replace(told, fresh=fresh))[0] for fresh in (False, True, False)]
    assert found[0] != found[1] == found[2]
    assert line.has_measured(graph.digest, [graph.digest], told)
    assert not line.has_measured(graph.digest, [graph.digest], replace(told, fresh=True))


def test_a_measurement_knows_what_it_measured(root: Path) -> None:
    line = pipeline(root)
    outcome = line.execute(
        FINETUNE, (("export", Export()), ("quantize", Quantize(calibration_rows=8))), ignore
    )
    graphs = line.baseline_graphs((), outcome.baseline)
    hardware = Hardware(name="here", batch=2, throughput_batches=(1, 4))
    small, large, best = measured(outcome.final, graphs, TASK.texts("test"), hardware, QUICK)
    assert best in (0, 1)
    assert (small.precision, large.precision) == ("int8", "fp32")
    assert large.lowering == ("fused", "plain")[best]
    assert small.latency_ms["n"] == large.latency_ms["n"] >= 8  # two rounds of two blocks, two launches
    assert (small.mode, small.batch, small.length, small.threads) == ("quick", 2, None, 1)
    assert small.end_to_end_ms is not None
    assert small.end_to_end_ms["p50"] > small.latency_ms["p50"]  # it makes tokens and answers as well
    assert [rate.batch for rate in small.rates] == [1, 4]
    assert all(rate.padded_per_s > 0 and rate.bucketed_per_s > 0 for rate in small.rates)
    assert (small.throughput_batch, small.throughput_per_s) == (4, small.rates[-1].bucketed_per_s)
    assert small.load_ms > 0
    assert small.first_ms > 0
    assert small.size_mb < large.size_mb
    assert small.speedup.low <= small.speedup.median <= small.speedup.high
    assert len(small.conditions["cpus"]) == 1
    assert large.speedup.median == 1
    assert small.control == large.control
    assert small.control.low <= small.control.median <= small.control.high
    assert small.ran["quantized_matmuls"] > 0.5
    assert large.ran["matmuls"] == {"fp32": 1}
    assert small.ran["providers"].keys() == {"CPUExecutionProvider"}
    assert small.arithmetic is not None
    assert large.arithmetic is not None
    assert small.arithmetic.flops_per_text == large.arithmetic.flops_per_text
    assert large.arithmetic.fraction is not None
    assert 0 < large.arithmetic.fraction < 1
    assert Measurement.from_json(small.as_json()) == small


def test_the_baseline_is_chosen_by_launches_in_either_order(
    root: Path, graph: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the first in the list would be the one that starts on a quiet machine, say."""
    started, really = [], Side.started

    def note(side: Side, nursery: Nursery) -> Arm:
        started.append(side.checkpoint.path)
        return really(side, nursery)

    monkeypatch.setattr(Side, "started", note)
    plain = pipeline(root).execute(FINETUNE, (("export", Export(lowering="plain")),), ignore).final
    hardware, settings = Hardware(name="here", throughput_batches=(1,)), replace(QUICK, peak=False)
    _, _, best = measured(graph, [graph, plain], TASK.texts("test"), hardware, settings)
    assert best in (0, 1)
    launches = [tuple(started[i : i + 2]) for i in (0, 2, 4)]
    assert set(launches) == {(graph.path, plain.path), (plain.path, graph.path)}


def test_what_calls_itself_int8_and_multiplies_in_float_is_not_shown_as_int8(
    graph: Checkpoint, tmp_path: Path
) -> None:
    folder = shutil.copytree(graph.path, tmp_path / "boasts")
    record = json.loads((folder / "checkpoint.json").read_text("utf-8"))
    record["facts"]["precision"] = "int8"
    (folder / "checkpoint.json").write_text(json.dumps(record), "utf-8")
    hardware, settings = Hardware(name="here", throughput_batches=(1,)), replace(QUICK, peak=False)
    boasts = Checkpoint(folder, "boasts")
    found, _, _ = measured(boasts, [graph], TASK.texts("test"), hardware, settings)
    assert found.precision == "fp32 (int8 asked)"


def test_at_a_fixed_length_only_the_model_is_timed(graph: Checkpoint) -> None:
    hardware = Hardware(name="here", length=16, throughput_batches=(2,))
    settings = replace(QUICK, peak=False)
    found, _, _ = measured(graph, [graph], TASK.texts("test"), hardware, settings)
    assert found.arithmetic is not None
    assert found.arithmetic.fraction is None
    assert found.end_to_end_ms is None
    assert found.end_to_end_speedup is None
    assert found.length == 16


def test_strict_goes_on_until_there_are_enough_calls(graph: Checkpoint) -> None:
    settings = Measure(mode="strict", launches=2, seconds=0.1, calls=300, texts=20, peak=False)
    hardware = Hardware(name="here", throughput_batches=(1,))
    found, _, _ = measured(graph, [graph], TASK.texts("test"), hardware, settings)
    assert found.latency_ms["n"] >= 300
    assert "p90" not in found.latency_ms
    assert found.mode == "strict"


def test_texts_are_drawn_from_all_over_a_sorted_file(graph: Checkpoint) -> None:
    """Or a file sorted by length would be timed on its short texts."""
    hardware, settings = Hardware(name="here", throughput_batches=(1,)), replace(QUICK, peak=False)
    texts = sorted(TASK.texts("test"), key=len)
    found, _, _ = measured(graph, [graph], texts, hardware, settings)
    first, _, _ = measured(graph, [graph], texts[:20], hardware, settings)
    assert found.arithmetic is not None
    assert first.arithmetic is not None
    assert found.arithmetic.flops_per_text > 1.2 * first.arithmetic.flops_per_text


def test_batches_are_padded_as_they_come_and_by_length(graph: Checkpoint, tmp_path: Path) -> None:
    works = write_works(
        tmp_path / "works", graph, TASK.texts("train"), Hardware(name="here", throughput_batches=(4,))
    )
    waste = {
        work: np.mean([1 - mask.mean() for _, mask in pairs])
        for work, pairs in read_inputs(works.inputs).items()
    }
    assert waste[bucketed_work(4)] < waste[padded_work(4)]


def test_rates_of_single_texts_stand_for_all_texts(graph: Checkpoint, tmp_path: Path) -> None:
    """Nothing is padded there, so that both rates are of the same: the mean of short and long texts."""
    hardware = Hardware(name="here", throughput_batches=(1,))
    works = write_works(tmp_path / "works", graph, TASK.texts("train"), hardware)
    lengths = {
        work: sorted(ids.size for ids, _ in pairs) for work, pairs in read_inputs(works.inputs).items()
    }
    assert lengths[padded_work(1)] == lengths[bucketed_work(1)]
    assert len(set(lengths[LATENCY])) > 5
    assert np.mean(lengths[padded_work(1)]) == pytest.approx(np.mean(lengths[LATENCY]), rel=0.05)
    assert works.counts[padded_work(1)] == 16


def test_inputs_of_all_shapes_come_back_as_they_were(tmp_path: Path) -> None:
    shapes = {"latency": [(1, 3), (1, 1), (2, 5)], "padded4": [(4, 7)]}
    pairs = {
        work: [(np.random.default_rng(i).integers(9, size=shape), np.ones(shape, int)) for i, shape in each]
        for work, each in ((work, list(enumerate(sizes))) for work, sizes in shapes.items())
    }
    write_inputs(tmp_path / "inputs.npz", pairs)
    found = read_inputs(tmp_path / "inputs.npz")
    assert found.keys() == pairs.keys()
    for work in pairs:
        for one, other in zip(found[work], pairs[work], strict=True):
            for back, given in zip(one, other, strict=True):
                np.testing.assert_array_equal(back, given)


def test_inputs_are_written_alike_by_every_numpy_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 2.2 every keyword of `savez` is the name of an array."""

    def savez(file: Path, **arrays: object) -> None:
        with ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(array))

    monkeypatch.setattr(np, "savez", savez)
    write_inputs(tmp_path / "inputs.npz", {"latency": [(np.ones((1, 3), int), np.ones((1, 3), int))]})
    assert read_inputs(tmp_path / "inputs.npz").keys() == {"latency"}


def test_too_few_texts_are_said(graph: Checkpoint) -> None:
    hardware = Hardware(name="here", batch=64)
    with pytest.raises(StageFailed, match=r"^measuring: hardware\.batch: 64 texts .* 20 are"):
        measured(graph, [graph], TASK.texts("test"), hardware, QUICK)


@pytest.mark.parametrize("after", [(), (("shape", Shape(length=16)),)])
def test_more_tokens_than_the_model_reads_are_said(root: Path, after: tuple[tuple[str, Stage], ...]) -> None:
    made = pipeline(root).execute(FINETUNE, (("export", Export()), *after), ignore).final
    hardware, longest = Hardware(name="here", length=40), 16 if after else 32
    said = rf"^measuring: hardware\.length: 40 tokens asked for, but the model reads at most {longest}$"
    with pytest.raises(StageFailed, match=said):
        measured(made, [made], TASK.texts("test"), hardware, QUICK)


def test_a_graph_that_does_not_load_is_said_in_one_line(graph: Checkpoint, tmp_path: Path) -> None:
    for file in graph.path.iterdir():
        (tmp_path / file.name).write_bytes(b"no graph" if file.suffix == ".onnx" else file.read_bytes())
    broken = Checkpoint(tmp_path, "broken")
    with pytest.raises(StageFailed, match=r"measuring: the process ended with 1: .*Protobuf") as raised:
        measured(broken, [graph], TASK.texts("test"), Hardware(name="here"), QUICK)
    assert "\n" not in str(raised.value)
    with pytest.raises(
        StageFailed, match=r"^hardware=here: CPUExecutionProvider did not .*Protobuf"
    ) as raised:
        graph_run(broken, Hardware(name="here"))
    assert "\n" not in str(raised.value)


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(TargetError, match="4096 asked for"):
        Hardware(name="here", threads=4096).check()


BURN = """
import sys, time
end = time.process_time() + 0.4
while time.process_time() < end:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def noticed(ours: bool) -> bool:
    """Whether a process that burnt almost half a second is."""
    watch = Watch()
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        watch.mine = {process.pid} if ours else set()
        process.stdout.readline()
        seen = [one["pid"] for one in watch.look().foreign]
        process.kill()
    return process.pid in seen


def test_a_foreign_process_is_named() -> None:
    assert noticed(ours=False)
    assert not noticed(ours=True)


def test_what_others_took_that_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the cores did, but for living processes and for ours, which have their children's in their
    account."""
    monkeypatch.setattr("pare.targets.conditions.PROC", tmp_path)
    tick, me = os.sysconf("SC_CLK_TCK"), os.getpid()

    def now(busy: int, **processes: tuple[int, int]) -> None:
        (tmp_path / "stat").write_text(f"cpu  {busy * tick} 0 0 9 0 0 0 0 0 0\n", "ascii")
        for name, (own, children) in processes.items():
            pid = me if name == "me" else 1 + len(name)
            (tmp_path / f"{pid}").mkdir(exist_ok=True)
            counts = f"{own * tick} 0 {children * tick} 0"
            (tmp_path / f"{pid}" / "stat").write_text(f"{pid} ({name}) S 1{' 0' * 9} {counts} 0\n", "ascii")

    now(1000, me=(10, 0), lives=(500, 7))
    watch = Watch()
    now(1100, me=(30, 30), lives=(550, 7))  # 100 in all: 20 and 30 of ours, and 50
    assert [one["name"] for one in watch.look().foreign] == ["lives"]
    now(1200, me=(30, 30), lives=(550, 7))
    named, rest = watch.look().foreign
    assert (named["name"], rest["pid"]) == ("lives", None)
    assert rest["cores"] == pytest.approx(2 * named["cores"], rel=0.01)


def test_who_was_on_the_gpu_is_named_though_he_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours are not: neither a child nor, while some run, whom a container may know by another id."""

    def now_there(**pids: int) -> None:
        apps = "".join(f"{pid}, GPU-aa, 512, {name}\n" for name, pid in pids.items())
        (tmp_path / "apps").write_text(apps + "9999990, GPU-bb, 512, elsewhere\n", "ascii")

    nvidia_smi(tmp_path, monkeypatch)
    now_there(before=9999991)
    watch = Watch("cuda")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        now_there(child=child.pid, hidden=9999992, between=os.getppid())
        watch.glance(beside_mine=True)
        child.kill()
    now_there(after=9999993)
    found = watch.look()
    seen = [(one["name"], one["gpu_mb"]) for one in found.foreign if "gpu_mb" in one]
    assert seen == [("before", "512"), ("between", "512"), ("after", "512")]
    assert not found.gpu_unknown


@pytest.mark.parametrize("apps", [None, "[Insufficient Permissions], GPU-aa, [N/A], x\n"])
def test_a_gpu_that_nobody_can_look_at_is_not_called_empty(
    apps: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    if apps is not None:
        (tmp_path / "apps").write_text(apps, "ascii")
    conditions = {**Watch("cuda").look().as_json(), "settled": True}
    result = replace(RESULT, measurement=replace(MEASURED, conditions=conditions))
    assert "[yellow]nvidia-smi did not tell who else used the GPU[/yellow]" in caveats(result)


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows a GPU and says of its processes what is in `apps`; it fails without that file."""
    command = folder / "nvidia-smi"
    gpus = "echo 'GPU 0: NVIDIA A10 (UUID: GPU-aa)'"
    command.write_text(f'#!/bin/sh\n[ "$1" = -L ] && {gpus} && exit\ncat {folder / "apps"}\n', "utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_one_measurement_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARE_LEASES", str(tmp_path))
    inside: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with lease("cpu"):
            entered.set()
            leave.wait(10)
            inside.append("first")

    def second() -> None:
        with lease("cpu"):
            inside.append("second")

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    entered.wait(10)
    two.start()
    with lease("cuda"):  # another device is free
        inside.append("gpu")
    leave.set()
    one.join(10)
    two.join(10)
    assert inside == ["gpu", "first", "second"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_users_measure_after_one_another(umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each can lock the other's file, whatever the umask, and not put another in its place."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "leases"
        place.mkdir()
        place.chmod(0o1777)
        monkeypatch.setenv("PARE_LEASES", str(place))
        held = []
        before = os.umask(umask)
        try:
            with lease("cpu"):
                held.append(os.geteuid())
        finally:
            os.umask(before)
        (place / "cpu.lock").chmod((place / "cpu.lock").stat().st_mode & ~0o222)  # as to another user
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with lease("cpu"):
                held.append(os.geteuid())
        finally:
            if root:
                os.seteuid(0)
        assert held == ([0, 65534] if root else 2 * [os.geteuid()])


def test_a_lease_that_cannot_be_had_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "cpu.lock").symlink_to(tmp_path / "elsewhere")  # another user's trick
    monkeypatch.setenv("PARE_LEASES", str(tmp_path))
    with pytest.raises(StageFailed, match=r"cpu\.lock, .* cannot be had: .*set PARE_LEASES"), lease("cpu"):
        pass


def test_flops_are_counted_by_hand() -> None:
    layers = [(8, 16), (4, 10)]  # width of attention, neurons
    tokens = 5
    expected = sum(
        2 * tokens * (4 * 8 * width + 2 * 8 * neurons) + 4 * tokens * tokens * width
        for width, neurons in layers
    )
    assert flops_of(SHAPE, tokens) == expected
    gated = flops_of({**SHAPE, "gated": True}, tokens)
    assert gated - expected == sum(2 * tokens * 8 * neurons for _, neurons in layers)
    assert mean_flops(SHAPE, [5, 5]) == expected


@pytest.mark.skipif(gpu() is not None, reason="nvidia-smi lists a GPU here")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_without_a_gpu_of_pytorchs_there_is_no_peak(precision: str) -> None:
    """Of a build for CPUs, while another runtime measures on a GPU."""
    assert peak(precision, "cuda") is None


def test_a_peak_that_does_not_fit_into_memory_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZE, "cpu", 10**8)  # as a GPU's that others have filled
    assert peak("int8", "cpu") is None


@pytest.mark.parametrize(("name", "counts"), [("model.onnx.data", True), ("libruntime.so.1", False)])
def test_memory_is_not_the_code_of_libraries(tmp_path: Path, name: str, counts: bool) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 2**16)
    before = pss_mb()
    with (tmp_path / name).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[:: mmap.PAGESIZE]) == 0
        now = pss_mb()
    assert before is not None
    assert now is not None
    assert (now - before > 15) == counts


def domain(folder: Path, name: str, microjoules: int) -> Path:
    """One of RAPL's, as Linux shows it; the file of its counter."""
    folder.mkdir()
    (folder / "name").write_text(f"{name}\n", "ascii")
    (folder / "max_energy_range_uj").write_text("9999999\n", "ascii")
    (folder / "energy_uj").write_text(f"{microjoules}\n", "ascii")
    return folder / "energy_uj"


def test_energy_is_that_of_the_packages_however_often_they_begin_again(tmp_path: Path) -> None:
    assert cpu_meter(tmp_path) is None
    one = domain(tmp_path / "intel-rapl:0", "package-0", 9_000_000)
    domain(tmp_path / "intel-rapl:0:0", "core", 0)
    other = domain(tmp_path / "intel-rapl:1", "package-1", 2_000_000)
    platform = domain(tmp_path / "intel-rapl:2", "psys", 0)
    meter = cpu_meter(tmp_path)
    assert meter is not None
    before = meter.joules()
    for file, microjoules in ((one, 1_000_000), (other, 4_000_000), (platform, 7_000_000)):
        file.write_text(f"{microjoules}\n", "ascii")
    assert meter.joules() - before == pytest.approx(2 + 2)
    one.write_text("500000\n", "ascii")
    assert meter.joules() - before == pytest.approx(2 + 2 + 9.5)


@pytest.mark.parametrize(("moves", "window_s"), [(1, 0.0), (5, 0.3)])
def test_joules_are_those_of_the_calls_that_count(
    moves: int, window_s: float, graph: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever those took that warmed the caches, and however seldom the counter moves."""
    spent, really = [0.0], Arm.block
    counter = Meter(lambda: spent[0] // moves * moves, window_s)

    def block(arm: Arm, work: str, calls: int, first: int, warm: int = 0) -> list[float]:
        spent[0] += calls + 10 * warm
        return really(arm, work, calls, first, warm)

    monkeypatch.setattr(Arm, "block", block)
    monkeypatch.setattr("pare.targets.comparison.meter", lambda device: counter)
    hardware = Hardware(name="here", throughput_batches=(4,))
    found, _, _ = measured(graph, [graph], TASK.texts("test"), hardware, replace(QUICK, peak=False))
    assert found.energy_j == pytest.approx(1 / 4, rel=0.1 if window_s else 1e-6)


def test_long_calls_need_few_to_warm_up(graph: Checkpoint, tmp_path: Path) -> None:
    hardware = Hardware(name="here", throughput_batches=(64,))
    works = write_works(tmp_path / "works", graph, TASK.texts("test"), hardware)
    with arms_of([hardware.runtime]) as nursery, Arm(nursery, graph, works, hardware) as arm:
        arm.ready()
        arm.warm()
        arm.rewarm_ms = 2.0  # of a larger graph
        arm.block(bucketed_work(64), 1, 0)
        assert arm.to_warm(bucketed_work(64)) < arm.to_warm(LATENCY)


def test_there_are_more_launches_while_the_interval_is_wide(graph: Checkpoint) -> None:
    hardware = Hardware(name="here", throughput_batches=(1,))
    few, most = (
        measured(graph, [graph], TASK.texts("test"), hardware, settings)[0].conditions["launches"]
        for settings in (
            replace(QUICK, peak=False, more=3, half_width=100.0),
            replace(QUICK, peak=False, more=3, half_width=0.0),
        )
    )
    assert (few, most) == (2, 5)


def test_nothing_is_left_of_a_process_that_ended() -> None:
    """What nobody waited for goes to init, and would be named as a stranger that took seconds of CPU."""
    with Nursery.fresh(PEAK) as nursery:
        with Process(nursery, {"device": "cpu", "threads": 1}) as process:
            assert process.answer() is True
        assert not Path(f"/proc/{process.pid}").exists()
        with (
            Process(nursery, {"device": "nowhere"}) as process,
            pytest.raises(StageFailed, match="with 1: KeyError"),
        ):
            process.answer()
        assert not Path(f"/proc/{process.pid}").exists()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "raise ImportError('libfast.so: no such file')",
            "cannot start: ImportError: libfast.so: no such file$",
        ),
        ("import os; os.abort()", "the process that starts others has ended$"),
    ],
)
def test_a_runtime_that_cannot_be_imported_is_said(
    module: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_runtime.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with (
        Nursery.fresh(PEAK, ["broken_runtime"]) as nursery,
        pytest.raises(StageFailed, match=f"^{PEAK}:? {said}"),
    ):
        Process(nursery, {})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python knows no -P")
def test_files_of_the_current_folder_are_no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise ImportError('not that one')")
    monkeypatch.chdir(tmp_path)
    with Nursery.fresh(PEAK) as nursery, Process(nursery, {"device": "cpu", "threads": 1}) as process:
        assert process.answer() is True


def test_who_is_not_asked_stands_still_and_does_not_outlive_who_asks() -> None:
    """Threads that look for work would take the cores of whoever is timed next."""
    script = (
        "import os, signal\n"
        "from pare.nursery import Nursery\n"
        "from pare.targets.arms import Arm, Process\n"
        "process = Process(Nursery.fresh('pare.targets.peak'), {'device': 'cpu', 'threads': 1})\n"
        "process.answer()\n"
        "print(process.pid, flush=True)\n"
        "signal.pause()\n"
    )
    asking = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        ending, deadline = os.pidfd_open(pid), time.monotonic() + 5
        while Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline
    finally:
        asking.kill()
        asking.wait()
    assert select.select([ending], [], [], 5)[0]
    os.close(ending)
