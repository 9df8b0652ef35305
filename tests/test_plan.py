"""A sweep's plan: configs as Hydra composes them, equal stages once, and what the store already has."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from commands import SMALL, TINY, status_of
from pare.composition import conf_folder, plain
from pare.config import job_of
from pare.errors import ConfigError, GateFailed, StageFailed
from pare.files import write_json
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.store import Store
from pare.sweep import EngineSettings, Orders, Slots, Sweep
from pare.sweeps.composing import Composer
from pare.sweeps.engine import Ending, Engine, Working, at_work
from pare.sweeps.errand import timeout
from pare.sweeps.forecast import Forecast, forecast, seconds_before
from pare.sweeps.local import Local
from pare.sweeps.plan import Node, Plan, plan_of
from pare.sweeps.sweep import Run, checked, planned, threads_of
from pare.sweeps.sweep import carry_out as carry_out_all
from pare.sweeps.view import View, about
from pare.sweeps.work import carry_out, error_of
from studies import job as done

WIDTHS = [[*TINY, "compression=width", f"compression.width.keep={keep}"] for keep in (0.25, 0.5, 0.75)]


@pytest.fixture
def loader() -> Iterator[Any]:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        yield GlobalHydra.instance().config_loader()


def master_of(loader: Any, folder: Path) -> DictConfig:
    overrides = [f"hydra.sweep.dir={folder}/jobs", "hydra.sweep.subdir=${hydra.job.num}"]
    master: DictConfig = loader.load_configuration("config", overrides, RunMode.MULTIRUN)
    return master


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["compression=int8", "hardware=cpu", "seed=3"],
        ["compression=int8", "hardware=cpu", "seed=4"],  # from what was composed for the job before
        ["+expect.value=0.9", "~compression.distill", "compression.quantize.keep_float=[head]"],
        ["model@compression.distill.student=mini", "++train.steps=7", "task.max_length=${train.batch_size}"],
        ["experiment=in_car", "measure=strict", "name=${hydra:runtime.choices.model}"],
    ],
)
def test_jobs_are_composed_as_hydra_does(loader: Any, tmp_path: Path, overrides: list[str]) -> None:
    master = master_of(loader, tmp_path)
    expected = loader.load_sweep_config(master, overrides)
    composer = Composer(loader, master)
    for before in (["compression=int8", "hardware=cpu"], overrides):  # what is remembered stays as it was
        with composer.job(0, before):
            pass
    composer.found.clear()
    known: Any = HydraConfig.instance()
    with composer.job(5, overrides) as composed:
        found = OmegaConf.to_container(composed.config, resolve=True)
        assert composed.folder == tmp_path / "jobs" / "5"
    known.set_config(expected)
    with open_dict(expected):
        del expected["hydra"]
    assert found == OmegaConf.to_container(expected, resolve=True)


def plan_for(loader: Any, folder: Path, jobs: list[list[str]]) -> Plan:
    where = [f"store.root={folder / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, folder)), [[*job, *where] for job in jobs])
    return plan_of(grid.jobs, Store(folder / "store"))


def test_what_jobs_share_is_in_the_plan_once(loader: Any, tmp_path: Path) -> None:
    plan = plan_for(loader, tmp_path, WIDTHS)
    names = Counter(node.name for node in plan.nodes.values() if node.kind == "stage")
    assert names == {"finetune": 1, "width": 3, "distill": 3, "export": 3}
    (first,) = (node for node in plan.nodes.values() if node.name == "finetune")
    assert plan.wanted()[first.id] == 3
    assert plan.dependants(first.id) == set(plan.nodes) - {first.id}
    assert [node.alone for node in plan.nodes.values() if node.kind == "result"] == [True] * 3
    for node in plan.nodes.values():
        assert all(list(plan.nodes).index(before) < list(plan.nodes).index(node.id) for before in node.after)


def test_targets_share_all_but_what_is_timed(loader: Any, tmp_path: Path) -> None:
    jobs = [[*WIDTHS[0], f"hardware.batch={batch}"] for batch in (1, 4)]
    kinds = Counter(node.kind for node in plan_for(loader, tmp_path, jobs).nodes.values())
    assert kinds == {"stage": 4, "answers": 1, "result": 2}


def test_gates_that_may_decide_otherwise_share_nothing_after_them(loader: Any, tmp_path: Path) -> None:
    gates = [[*WIDTHS[0], f"compression.width.gate={{max_drop: {drop}}}"] for drop in (0.1, 0.2)]
    names = Counter(node.name for node in plan_for(loader, tmp_path, gates).nodes.values() if node.stage)
    assert names == {"finetune": 1, "width": 2, "distill": 2, "export": 2}


def test_a_gate_before_the_export_decides_alike_for_all_runtimes(loader: Any, tmp_path: Path) -> None:
    gated = [*WIDTHS[0], "compression.width.gate={max_drop: 1, on_fail: skip}"]
    runtimes = [gated, [*gated, "hardware=openvino", "compression/export=openvino"]]
    names = Counter(node.name for node in plan_for(loader, tmp_path, runtimes).nodes.values() if node.stage)
    assert names == {"finetune": 1, "width": 1, "distill": 1, "export": 2}


def test_what_the_store_has_is_known_before_anything_runs(loader: Any, tmp_path: Path) -> None:
    overrides = [*WIDTHS[0], f"store.root={tmp_path / 'store'}"]
    master = master_of(loader, tmp_path)
    with Composer(loader, master).job(0, overrides) as composed:
        job = job_of(plain(composed.config), overrides)
    line = Pipeline(Store(tmp_path / "store"), job.task, job.seed, job.hardware, silent)
    line.execute(job.finetune, job.ways[0].strategy[:1], lambda step: None)
    plan = plan_for(loader, tmp_path, WIDTHS)
    stored = [node.name for node in plan.nodes.values() if node.stored]
    assert stored == ["finetune", "width"]
    guess = forecast(plan, Store(tmp_path / "store"), slots=1)
    assert guess.seconds > 0  # two more widths
    assert guess.unknown == 4 * 3  # distill, export, answers and result of each

    def other(*more: str) -> Forecast:
        return forecast(plan_for(loader, tmp_path, [[*overrides, *more]]), Store(tmp_path / "store"), 1)

    as_before = ["seed=1"], ["train.learning_rate=1e-4"], ["task.source.train=401"], ["name=other"]
    assert [other(*more).unknown for more in as_before] == [4] * len(as_before)
    unlike = ["model.architecture.layers=12"], ["task.source.train=2000"], ["train.steps=2500"]
    for more in unlike:
        assert other(*more) == Forecast(0, 6), more


def test_how_long_measuring_takes_is_known_from_models_alike(loader: Any, tmp_path: Path) -> None:
    overrides = [*TINY, "compression=none", f"store.root={tmp_path / 'store'}"]
    (job,) = checked(Composer(loader, master_of(loader, tmp_path)), [overrides]).jobs
    line = Pipeline(Store(job.store), job.task, job.seed, job.hardware, silent)
    outcome = line.execute(job.finetune, job.ways[0].strategy, lambda step: None)
    graphs = line.baseline_graphs(job.ways[0].strategy, outcome.baseline)
    line.measure(outcome.final, graphs, job.measure)
    line.score(outcome.final, "test")

    def guess(*more: str) -> Forecast:
        return forecast(plan_for(loader, tmp_path, [[*overrides, *more]]), Store(job.store), 1)

    assert guess("seed=1").unknown == 0
    assert guess("seed=1", "measure.seconds=0.3").unknown == 1


def test_what_may_have_to_be_timed_runs_alone(loader: Any, tmp_path: Path) -> None:
    """After a gate that may lead elsewhere, and where a byte of what was measured has changed."""
    width = [*SMALL, "compression=width", "compression.width.keep=0.25"]
    overrides = [*width, f"store.root={tmp_path / 'store'}"]
    (job,) = checked(Composer(loader, master_of(loader, tmp_path)), [overrides]).jobs
    line = Pipeline(Store(job.store), job.task, job.seed, job.hardware, silent)
    strategy = job.ways[0].strategy
    outcome = line.execute(job.finetune, strategy, lambda step: None)
    graphs = line.baseline_graphs(strategy, outcome.baseline)
    what = line.what_is_measured(outcome.final.digest, [graph.digest for graph in graphs])
    line.measured(what, job.measure, lambda: {"latency_ms": 1.0})

    def result(*more: str) -> Node:
        return plan_for(loader, tmp_path, [[*width, *more]]).nodes["job0"]

    gates = {how: f"compression.width.gate={{max_drop: 1, on_fail: {how}}}" for how in ("keep", "skip")}
    assert [result(*more).alone for more in ([], [gates["keep"]], [gates["skip"]])] == [False, False, True]
    (file,) = (tmp_path / "store").glob("objects/*/*/measurement.json")
    assert result("engine=slurm").alone  # whose machine may be another than this one, which has measured it
    file.write_text(file.read_text("utf-8").replace("1", "2"), "utf-8")
    assert result().alone


def test_a_result_that_another_process_took_away_is_one_line(
    loader: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*TINY, "compression=none", f"store.root={tmp_path / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    plan = plan_of(grid.jobs, Store(tmp_path / "store"))
    view, settings, nobody = View(plan, grid.apart, Slots(1)), grid.jobs[0].sweep, cast("Engine", None)
    Run(plan, grid, nobody, view, settings, tmp_path / "plan.json").well(Ending("job0", None))
    gone = tmp_path / "jobs" / "0" / "result.json"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {gone} is gone; another process works in that folder (job 0: ")
    assert grid.results() == [None]


def test_what_runs_on_another_machine_is_shown_with_it(loader: Any, tmp_path: Path) -> None:
    overrides = [*TINY, "compression=none", f"store.root={tmp_path / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    plan = plan_of(grid.jobs, Store(tmp_path / "store"))
    begun, ended, *_ = plan.nodes
    (tmp_path / "nodes").mkdir()
    for name, more in ((begun, {}), (ended, {"error": None})):
        write_json(tmp_path / "nodes" / f"{name}.json", {"began": 0.0, "host": "gpu-7", "pid": 1, **more})
    view = View(plan, grid.apart, Slots(1))
    view.console = Console(file=StringIO(), force_terminal=True)
    shown = []
    with view.watching():
        for running in (at_work(tmp_path / "plan.json", plan.nodes), {begun: Working(0.0)}):
            view.going_on(running)
            assert view.live is not None
            out = Console(file=StringIO(), width=500)
            out.print(view.live.renderable)
            shown.append(out.file.getvalue().splitlines()[1:])  # type: ignore[attr-defined]
    ((there,), (here,)) = shown
    assert there.startswith(f"  {plan.nodes[begun].what}  ")
    assert "  on gpu-7  " in there
    assert " on " not in here


class Late:
    """An engine whose nodes all end well, but for what ends the result's process in time."""

    def submit(self, node: Node, after: Sequence[str]) -> None:
        self.nodes = [*getattr(self, "nodes", []), node.id]

    def running(self) -> dict[str, Working]:
        return {}

    def ended(self, wait_s: float) -> list[Ending]:
        return [Ending(name, timeout(9) if name == "job0" else None) for name in self.nodes]

    def start_no_more(self) -> set[str]:
        return set()

    def stop(self) -> None: ...


def test_a_job_whose_tracker_is_cut_off_keeps_its_result(
    loader: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*TINY, "compression=none", f"store.root={tmp_path / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    (folder,) = grid.folders
    result = done(folder)  # its process tells the tracker now
    plan = plan_of(grid.jobs, Store(tmp_path / "store"))
    view = View(plan, grid.apart, Slots(1))
    Run(plan, grid, Late(), view, grid.jobs[0].sweep, tmp_path / "plan.json").to_the_end()
    (kept,) = grid.results()
    assert kept is not None
    assert kept.scores == result.scores
    assert status_of(folder)["state"] == "done"
    out, err = capsys.readouterr()
    assert "job 0: not done after 9 s, once its result was written; what a tracker lacks" in out
    assert f"`pare track resync {folder}` brings" in out
    assert err == ""
    assert "job 0: exact_match" in out


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"timeout_s": 0}, {"grace_s": -1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sweep(**wrong)


def test_every_mistake_is_listed_with_its_jobs(loader: Any, tmp_path: Path) -> None:
    jobs = [["seed=x"], ["compression.width.keep=2"], ["hardware=nope"], ["seed=x"]]
    with pytest.raises(ConfigError) as caught:
        plan_for(loader, tmp_path, jobs)
    assert len(caught.value.problems) == 3
    assert "(job 0: seed=x; job 3: seed=x)" in caught.value.problems[0]


def test_what_a_gate_may_escalate_to_is_checked_as_well(
    loader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    where = "compression.quantize.escalation.train.processes"
    overrides = [*TINY, "compression=int8", f"store.root={tmp_path / 'store'}", f"{where}=8"]
    checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    escalate = "compression.quantize.gate={on_fail: escalate}"
    with pytest.raises(ConfigError, match=f"^{where}: 8 processes need a GPU each, found 1; "):
        checked(Composer(loader, master_of(loader, tmp_path)), [[*overrides, escalate]])


def test_what_there_is_once_for_a_sweep_is_one_for_all_jobs(loader: Any, tmp_path: Path) -> None:
    settings = {"a": ["sweep.timeout_s=60", "sweep.workers=2"], "b": ["sweep.workers=2", "engine=ray"]}
    jobs = [[*TINY, *own, f"store.root={tmp_path / name}"] for name, own in settings.items()]
    with pytest.raises(ConfigError) as caught:
        checked(Composer(loader, master_of(loader, tmp_path)), jobs)
    ends = "; all jobs of a sweep have it in common"
    assert caught.value.problems == (
        f"sweep.timeout_s: found 60, null{ends}",
        f'engine._target_: found "pare.sweeps.local.Local", "pare.sweeps.ray.Ray"{ends}',
        f'store.root: found "{tmp_path / "a"}", "{tmp_path / "b"}"{ends}',
    )


def test_what_this_machine_lacks_is_for_those_to_say_that_have_to_do_it(
    loader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    lacks = {"hardware=a100": "needs an NVIDIA GPU", "hardware.threads=9999": "9999 asked for"}
    for setting, told in lacks.items():
        job = [*TINY, "compression=none", setting]
        with pytest.raises(ConfigError, match=told):
            plan_for(loader, tmp_path, [job])
        for engine in ("slurm", "ray"):
            away = [*job, f"engine={engine}", f"store.root={tmp_path / 'store'}"]
            grid = checked(Composer(loader, master_of(loader, tmp_path)), [away])
            nodes = plan_of(grid.jobs, Store(tmp_path / "store")).nodes.values()
            assert [node.what for node in nodes] == ["finetune", "export", "answers", "result"]
            with pytest.raises(ConfigError, match=told):
                carry_out(next(iter(nodes)), {"config": grid.jobs[0].config, "overrides": away}, "", [])


def test_the_runtimes_of_other_machines_are_tried_there(
    loader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbered alike on all machines; what one lacks ends the way of one runtime, and no job."""
    monkeypatch.setattr(
        "pare.targets.hardware.find_spec", lambda name: None if name == "openvino" else find_spec(name)
    )
    job = [*TINY, "compression=none", "hardware=auto", f"store.root={tmp_path / 'store'}"]
    found = {}
    for engine in ("local", "slurm"):
        overrides = [*job, f"engine={engine}"]
        grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
        found[engine] = [way.hardware.runtime for way in grid.jobs[0].ways]
    assert found == {"local": ["onnxruntime", "torch"], "slurm": ["onnxruntime", "openvino", "torch"]}
    nodes = plan_of(grid.jobs, Store(tmp_path / "store")).nodes.values()
    (export,) = (node for node in nodes if node.name == "export" and node.way == 1)
    told = {"config": grid.jobs[0].config, "overrides": overrides}
    assert str(carry_out(export, told, "", [None])).startswith("hardware.runtime: openvino is not installed")


@pytest.mark.parametrize("override", ["model=null", "experiment=null", "measure=5", "compression/width=null"])
def test_a_choice_that_is_none_is_a_mistake_as_any(loader: Any, tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_for(loader, tmp_path, [["seed=x"], [override]])
    first, second = caught.value.problems
    assert "(job 0: seed=x)" in first
    assert second.startswith(override)
    assert second.endswith(f"(job 1: {override})")


def test_each_stage_at_a_time_has_a_gpu_where_there_are_any() -> None:
    assert Local().slots(Sweep(workers=3), 1, []).count == 3
    assert Local().slots(Sweep(workers=3), 1, ["GPU-a", "GPU-b"]).count == 2
    assert Local().slots(Sweep(), 10_000, []).count == 1


@pytest.mark.parametrize(
    ("seconds", "unknown", "says"),
    [
        (0, 0, "about 0 s"),
        (150, 0, "about 2 min"),
        (0, 24, "24 steps whose like was never run"),
        (34, 8, "about 34 s and 8 steps whose like was never run"),
    ],
)
def test_what_is_not_known_is_no_forecast(seconds: float, unknown: int, says: str) -> None:
    assert about(Forecast(seconds, unknown)) == says


AUTO = [*TINY, "compression=auto", "~compression.auto.candidates.width_qat"]


@pytest.mark.parametrize(("features", "half"), [({"avx512_fp16"}, "half"), ({"avx2"}, "finetune")])
def test_the_strategies_that_auto_tries_are_stages_as_any(
    loader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: set[str], half: str
) -> None:
    """But for those that it does not try, since they can only be slower on this CPU."""
    monkeypatch.setattr("pare.targets.processor.features", lambda: frozenset(features))
    plan = plan_for(loader, tmp_path, [AUTO, [*TINY, "compression=int8"]])
    names = Counter(node.name for node in plan.nodes.values() if node.kind == "stage")
    assert names.pop("half", 0) == 2 * (half == "half")
    assert names == {"finetune": 1, "export": 2, "quantize": 2, "width": 1, "distill": 1}
    ends = [plan.nodes[last].name for last in plan.nodes["job0"].after]
    assert ends == ["export", half, "quantize", half, "quantize"]
    assert {node.job for node in plan.nodes.values() if node.name == "width"} == {0}


def test_with_a_budget_nobody_knows_what_auto_will_try(loader: Any, tmp_path: Path) -> None:
    plan = plan_for(loader, tmp_path, [[*AUTO, "compression.auto.max_size_mb=1"]])
    assert [node.name for node in plan.nodes.values() if node.kind == "stage"] == ["finetune"]


def test_what_a_node_computes_takes_its_jobs_threads(loader: Any, tmp_path: Path) -> None:
    overrides = [*TINY, "compression=none", "train.threads=1", f"store.root={tmp_path / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    (job,) = grid.jobs
    told = {"config": job.config, "overrides": overrides}
    before = torch.get_num_threads()
    try:
        for node in plan_of(grid.jobs, Store(job.store)).nodes.values():
            torch.set_num_threads(2)
            if node.kind != "result":
                carry_out(node, told, "", [])
                assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_of_the_baselines_none_is_scored_before_it_is_known_which_counts(loader: Any, tmp_path: Path) -> None:
    overrides = [*TINY, "compression=slice", f"store.root={tmp_path / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    store = Store(tmp_path / "store")
    for node in plan_of(grid.jobs, store).nodes.values():
        if node.kind != "result":
            carry_out(node, {"config": grid.jobs[0].config, "overrides": overrides}, "", [])
    assert [entry.meta.get("split") for entry in store.entries()].count("test") == 1
    plan = plan_of(grid.jobs, store)
    assert [node.what for node in plan.nodes.values() if not node.stored] == ["result"]
    assert forecast(plan, store, 1) == Forecast(0, 1)
    timed, baseline = plan.nodes["job0"].efforts
    assert not {timed, baseline} & seconds_before(store).keys()


def test_a_stage_has_the_cores_that_any_stage_uses(
    loader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever strategy of whichever way it is in, and though a gate has to fail first."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    settings = [*TINY, "train.threads=1", "sweep.workers=4", f"store.root={tmp_path / 'store'}"]
    escalation = "compression.quantize.escalation.train.threads=3"
    auto = "compression.auto.candidates.width_int8"
    cases: dict[tuple[str, ...], tuple[int, list[str]]] = {
        (): (1, ["0", "1"]),
        ("compression.distill.train.threads=4",): (4, ["0", "1"]),
        (escalation,): (1, ["0", "1"]),
        (escalation, "compression.quantize.gate={on_fail: escalate}"): (3, ["0", "1"]),
        ("compression=auto", f"{auto}.distill.train.threads=5"): (5, ["0", "1"]),
        ("compression.distill.train.processes=2", "compression.distill.train.device=cpu"): (1, []),
    }
    for more, (threads, gpus) in cases.items():
        overrides = [*settings, *more]
        grid = checked(Composer(loader, master_of(loader, tmp_path)), [settings, overrides])
        assert threads_of(grid.jobs) == threads
        assert planned(grid)[1].slots.gpus == gpus


class Nobody(EngineSettings):
    """Only hears of what there is to do."""

    elsewhere = True

    def check(self, store: Path) -> None: ...

    def slots(self, sweep: Sweep, threads: int, gpus: Sequence[str]) -> Slots:
        return Slots(threads)

    def engine(self, orders: Orders) -> AbstractContextManager[Any]:
        self.heard = orders
        raise StageFailed("nobody is there")


@pytest.mark.parametrize(("target", "cores"), [("hardware=cpu_1thread", 8), ("hardware=a100", 2)])
def test_other_machines_are_asked_for_the_cores_of_the_target_too(
    loader: Any, tmp_path: Path, target: str, cores: int
) -> None:
    """Here one that measures is alone, and stages are as many as they train with."""
    settings = ["compression=none", "train.threads=2", "engine=slurm", target, "hardware.threads=8"]
    overrides = [*TINY, *settings, f"store.root={tmp_path / 'store'}"]
    grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
    nobody = Nobody()
    grid = replace(grid, jobs=[replace(grid.jobs[0], engine=nobody)])
    plan, view = planned(grid)
    assert view.slots.count == 2
    with pytest.raises(StageFailed):
        carry_out_all(tmp_path / "jobs", grid, plan, view)
    assert nobody.heard.cores == cores


def test_what_was_given_up_is_not_tried_again(loader: Any, tmp_path: Path) -> None:
    """A job that can do without a strategy passes on why; one that cannot fails of it."""
    overrides = [*TINY, f"store.root={tmp_path / 'store'}"]
    for strategy, given_up in (("auto", "the loss is nan"), ("int8", None)):
        mine = [*overrides, f"compression={strategy}"]
        grid = checked(Composer(loader, master_of(loader, tmp_path)), [mine])
        nodes = plan_of(grid.jobs, Store(grid.jobs[0].store)).nodes.values()
        export = next(node for node in nodes if node.name == "export")
        told = {"config": grid.jobs[0].config, "overrides": mine}
        if given_up is None:
            with pytest.raises(StageFailed, match="the loss is nan"):
                carry_out(export, told, "", ["the loss is nan"])
        else:
            assert carry_out(export, told, "", [given_up]) == given_up
    assert not list(Store(tmp_path / "store").entries())


def test_a_status_names_the_stage_that_failed_though_one_after_it_finds_that_out(
    loader: Any, tmp_path: Path
) -> None:
    """What it made is in the store, so the same command asks the next one."""
    overrides = [*TINY, "compression=none", "+expect.value=0.9", f"store.root={tmp_path / 'store'}"]
    for asked in ("finetune", "export"):
        grid = checked(Composer(loader, master_of(loader, tmp_path)), [overrides])
        plan = plan_of(grid.jobs, Store(tmp_path / "store"))
        node = next(node for node in plan.nodes.values() if not node.stored)
        assert node.name == asked
        with pytest.raises(GateFailed) as caught:
            carry_out(node, {"config": grid.jobs[0].config, "overrides": overrides}, "", [])
        view, nobody = View(plan, grid.apart, Slots(1)), cast("Engine", None)
        error = error_of(caught.value)
        Run(plan, grid, nobody, view, Sweep(), tmp_path / "plan.json").ill(Ending(node.id, error), error)
        assert status_of(grid.folders[0])["stage"] == "finetune"


def test_a_stage_that_another_trial_may_recover_from_is_a_node_of_its_own(
    loader: Any, tmp_path: Path
) -> None:
    """Nothing trains after the width of `slice`; after that of `width` something does."""
    limit = ["sweep=search", "sweep.search.constraints.max_drop=0.01"]
    jobs = [[*TINY, *limit, f"compression={strategy}"] for strategy in ("slice", "width")]
    names = Counter(node.name for node in plan_for(loader, tmp_path, jobs).nodes.values() if node.stage)
    assert (names["finetune"], names["width"]) == (1, 2)
