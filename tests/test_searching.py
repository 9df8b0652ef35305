"""`sweep=search`: real trials, chosen by what came of those before, and taken up again after a kill."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from commands import ROOT, TINY, Finished, fresh, result_of, run
from pare.aims import Search
from pare.composition import conf_folder
from pare.searching.asked import Asked
from pare.searching.search import Seeker, identity_of
from pare.searching.space import Space, Values
from pare.store import Store
from pare.study.collecting import collect
from pare.study.commands import reproduce
from pare.study.statistics import Row
from pare.sweeps.composing import Composer
from pare.sweeps.sweep import job_and_folder

FEW = (*TINY, "train.threads=1")


def searched(root: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / name / "search.json").read_text("utf-8"))
    assert found["schema"] == "pare/search@1"
    return found


def search(root: Path, name: str, *overrides: str) -> Finished:
    where = (f"store.root={root / 'store'}", f"hydra.sweep.dir={root / name}")
    return run("sweep=search", *FEW, *where, *overrides)


def write_sweep(folder: Path, text: str) -> str:
    """A sweep's file of one's own; the folder is searched for it."""
    (folder / "sweep").mkdir(parents=True, exist_ok=True)
    (folder / "sweep" / "mine.yaml").write_text(f"# @package _global_\n{text}", "utf-8")
    return f"hydra.searchpath=[file://{folder}]"


MINE = """
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      compression: none,slice
      compression.width.keep: 0.5,2
sweep:
  search:
    sampler: grid
    trials: null
    batch: 2
    objectives: {quality: maximize, size_mb: minimize, memory_mb: null}
    when:
      compression.width.keep: {compression: [slice]}
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...], Finished]:
    """(folder, its command, output) of three trials in two batches, one of which cannot be."""
    root = tmp_path_factory.mktemp("search")
    where = (f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'jobs'}")
    command = ("sweep=mine", write_sweep(root / "conf", MINE), *FEW, *where)
    return root, command, run(*command)


def test_one_that_cannot_be_does_not_stop_the_others(grid: tuple[Path, tuple[str, ...], Finished]) -> None:
    root, _, finished = grid
    assert finished.returncode == 1
    assert "error: 1 of 3 trials failed" in finished.stderr
    assert "compression.width.keep=2.0" in finished.stderr
    assert "(trial 2)" in finished.stderr
    assert "Traceback" not in finished.stderr
    told = searched(root, "jobs")
    assert [trial["state"] for trial in told["trials"]] == ["complete", "complete", "failed"]
    assert [trial["point"] for trial in told["trials"]] == [
        {"compression": "none"},
        {"compression": "slice", "compression.width.keep": "0.5"},
        {"compression": "slice", "compression.width.keep": "2"},
    ]
    assert "2 jobs, 5 stages: 4 distinct" in finished.stdout  # a batch is one tree
    assert "3 trials: 2 complete, 1 failed" in finished.stdout
    assert f"report  {root / 'jobs' / 'report.html'}" in finished.stdout  # though one has failed
    lines = (root / "jobs" / "table.md").read_text("utf-8").splitlines()
    told = [line.split(" | ")[0] for line in lines if line.startswith("| compression=")]
    assert told == ["| compression=none", "| compression=slice width.keep=0.5"]


def test_trials_are_judged_on_dev(grid: tuple[Path, tuple[str, ...], Finished]) -> None:
    root, _, _ = grid
    for trial in searched(root, "jobs")["trials"][:2]:
        result = result_of(root / "jobs" / str(trial["number"]))
        last, metric = result["stages"][-1], result["primary"]
        assert trial["quantities"]["quality"] == last["scores"][metric]
        assert trial["quantities"]["drop"] == pytest.approx(-last["delta"]["baseline"][metric])
        assert trial["quantities"]["size_mb"] == result["measurement"]["size_mb"]
        assert trial["test"] == result["scores"][metric]


def test_the_best_are_commands_that_make_them_again(grid: tuple[Path, tuple[str, ...], Finished]) -> None:
    root, _, finished = grid
    told = searched(root, "jobs")
    smallest = min(told["trials"][:2], key=lambda trial: trial["quantities"]["size_mb"])
    assert smallest["number"] in told["best"]
    command = smallest["command"]
    assert command in finished.stdout
    words = shlex.split(command)
    assert words[:2] == ["python", "run.py"]
    assert not any(word.startswith("sweep=") for word in words)
    again = run(*words[2:], f"hydra.run.dir={root / 'again'}")
    assert again.returncode == 0, again.stderr
    first, second = result_of(Path(smallest["folder"])), result_of(root / "again")
    assert second["key"] == first["key"]
    assert all(stage["cached"] for stage in second["stages"])


def test_a_row_of_several_seeds_is_made_again_without_a_search(
    grid: tuple[Path, tuple[str, ...], Finished],
) -> None:
    root, _, _ = grid
    (record, result), *_ = collect([root / "jobs"]).done
    words = shlex.split(reproduce(Row("", [(record, result), (record, replace(result, seed=1))])))
    assert words[2] == "-m"
    where = (f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'seeds'}")
    searchpath = f"hydra.searchpath=[file://{root / 'conf'}]"
    again = run(*words[2:], *where, searchpath, "sweep.dry_run=true")
    assert again.returncode == 0, again.stderr
    assert "2 jobs, " in again.stdout
    assert "trial" not in again.stdout


def test_a_trial_made_again_is_a_job_of_this_machine(tmp_path: Path) -> None:
    job = [*TINY, "compression=none", f"store.root={tmp_path / 'store'}"]
    fixed = [*job, "engine=slurm", "+engine.extra={constraint: a100}"]
    settings = Search(objectives={"quality": "maximize"})
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, loader.load_configuration("config", fixed, RunMode.MULTIRUN))
        seeker = Seeker(composer, tmp_path, fixed, Space({"seed": Values(("0", "1"))}, {}), settings)
        command = seeker.command(Asked(0, {"seed": "1"}, (), None))
    assert shlex.split(command) == ["python", "run.py", *job, "seed=1"]


def test_a_trial_of_a_file_that_is_no_yaml_fails_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "broken.yaml").write_text("name: [broken\nmax_length: 8\n", "utf-8")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    fixed = ["model=micro", "compression=none", f"store.root={tmp_path / 'store'}"]
    settings = Search(objectives={"quality": "maximize"})
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, loader.load_configuration("config", [path, *fixed], RunMode.MULTIRUN))
        space = Space({"task": Values(("car", "broken"))}, {})
        seeker = Seeker(composer, tmp_path, fixed, space, settings)
        asked = [Asked(number, {"task": task}, (), None) for number, task in enumerate(("car", "broken"))]
        jobs, wrong = seeker.composed(asked, 0)
    assert list(jobs) == [0]
    (line,) = wrong[1]
    assert f'"{tmp_path}/task/broken.yaml", line 2, column' in line


@pytest.mark.parametrize(
    ("overrides", "point", "expected"),
    [
        (
            ["experiment=hierarchical_widths", "sweep=search"],
            {"compression": "int8"},
            ["experiment=hierarchical_widths", "compression=int8", "hydra.mode=RUN"],
        ),
        (
            ["sweep=mine"],
            {"seed": "1"},
            ["sweep=mine", "seed=1", "hydra.mode=RUN", "engine=local"],
        ),
    ],
)
def test_a_trial_made_again_is_one_job_with_all_that_the_sweep_s_file_sets(
    tmp_path: Path, overrides: list[str], point: dict[str, str], expected: list[str]
) -> None:
    defaults = "defaults:\n  - override /measure: strict\n  - override /engine: slurm\n"
    path = write_sweep(tmp_path, f"{defaults}bundle: {{evaluation: false}}\n{HALVED}")
    settings = Search(objectives={"quality": "maximize"})
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [path, *overrides], RunMode.MULTIRUN)
        seeker = Seeker(Composer(loader, master), tmp_path, overrides, Space({}, {}), settings)
        words = shlex.split(seeker.command(Asked(0, point, (), None)))
    assert words == ["python", "run.py", path, *expected]
    chosen = [f"{key}={value}" for key, value in point.items()]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        loader = GlobalHydra.instance().config_loader()
        alone = loader.load_configuration("config", words[2:], RunMode.RUN)
        trial = loader.load_configuration("config", [path, *overrides, *chosen], RunMode.MULTIRUN)
    assert alone.hydra.mode == RunMode.RUN
    assert alone.hydra.runtime.choices.engine == "local"
    for config in (alone, trial):
        OmegaConf.set_struct(config, False)
        for key in ("hydra", "sweep", "engine"):
            del config[key]
    assert alone == trial


def test_the_same_search_again_has_nothing_to_do(grid: tuple[Path, tuple[str, ...], Finished]) -> None:
    root, command, _ = grid
    again = run(*command, f"hydra.sweep.dir={root / 'later'}", "tracker=wandb", "tracker.mode=offline")
    assert again.returncode == 1  # one has failed, as before
    assert "tracker:" not in again.stdout + again.stderr  # which has nothing to be told either
    assert " jobs, " not in again.stdout
    first, second = searched(root, "jobs"), searched(root, "later")
    for trial in (*first["trials"], *second["trials"]):
        del trial["command"]  # has the tracker in it
    assert second == first
    assert len(list((root / "store" / "searches").glob("*.journal"))) == 1


def test_a_dry_run_plans_the_first_batch_and_leaves_nothing(tmp_path: Path) -> None:
    finished = search(tmp_path, "jobs", "sweep.dry_run=true", "sweep.search.batch=3")
    assert finished.returncode == 0, finished.stderr
    assert "3 jobs, " in finished.stdout
    lines = [line for line in finished.stdout.splitlines() if line.startswith("trial ")]
    assert len(lines) == 3
    for line in lines:  # as conf/sweep/search.yaml has it
        assert ("compression=prune_distill_quantize" in line) == ("compression.width.keep=" in line)
        student = "model@compression.distill.student="
        assert ("compression=vocabulary_student_int8" in line) == (student in line)
    assert not (tmp_path / "jobs").exists()
    assert not (tmp_path / "store" / "searches").exists()


HALVED = """
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      seed: 0,1
sweep:
  search:
    sampler: grid
    trials: null
    objectives: {quality: maximize}
    constraints: {max_drop: -1}
    rungs: {train.steps: [3, 6]}
    factor: 2
"""


def test_one_in_two_goes_on_and_is_given_up_when_it_is_hopeless(tmp_path: Path) -> None:
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    finished = run("sweep=mine", write_sweep(tmp_path / "conf", HALVED), *FEW, *where, "compression=none")
    assert finished.returncode == 1
    assert "error: none of 2 trials keeps max_drop -1" in finished.stderr
    assert "2 trials: 2 pruned" in finished.stdout
    assert ": given up, export: exact_match is 0.00 points below" in finished.stdout
    hopeless, beaten = sorted(searched(tmp_path, "jobs")["trials"], key=lambda trial: trial["why"])
    assert hopeless["why"].startswith("export: exact_match is 0.00 points below the fine-tuned model on dev")
    assert beaten["why"] == "rung 0: not among the best 1 of 2"
    assert beaten["quantities"]["size_mb"] > 0
    assert not {"quality", "drop"} & set(beaten["quantities"])  # which more training may mend
    configs = [file.read_text("utf-8") for file in (tmp_path / "jobs").glob("*/config.yaml")]
    assert sorted("  steps: 3\n" in config for config in configs) == [False, True]
    assert sorted("  steps: 6\n" in config for config in configs) == [False, True]
    (above,) = json.loads((tmp_path / "jobs" / "plan.json").read_text("utf-8"))["jobs"]
    assert above["title"].endswith(" steps=6")  # a tracker has a run of each rung


RUNGS = "+sweep.search.rungs={compression.distill.train.steps: [100, 300, 900]}"
WHERE = (
    "+sweep.search.when={compression.distill.train.steps: "
    "{compression: [prune_distill_quantize, vocabulary_student_int8]}}"
)


def test_rungs_of_a_key_that_some_strategies_lack_need_a_condition(tmp_path: Path) -> None:
    grid = ("sweep.dry_run=true", "sweep.search.sampler=grid", "compression=int8,prune_distill_quantize")
    without = search(tmp_path, "jobs", *grid, RUNGS)
    assert without.returncode == 2
    (line,) = without.stderr.splitlines()
    assert line.startswith("error: ")
    assert "compression.distill" in line
    assert line.endswith(" (trials 0, 1, 2)")
    assert "trial 3: " in without.stdout
    finished = search(tmp_path, "jobs", *grid, RUNGS, WHERE)
    assert finished.returncode == 0, finished.stderr
    assert "trial 0: " in finished.stdout
    told = (ROOT / "docs" / "sweeps.md").read_text("utf-8")
    assert f"'{RUNGS}'" in told
    assert f"'{WHERE}'" in told


TWICE = """
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      seed: choice(0)
sweep:
  search:
    sampler: grid
    trials: null
    objectives: {quality: maximize}
"""


def test_what_ran_out_of_time_is_tried_again_by_the_same_command(tmp_path: Path) -> None:
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    command = ("sweep=mine", write_sweep(tmp_path / "conf", TWICE), *FEW, *where, "compression=none")
    hasty = run(*command, "sweep.timeout_s=0.01", "sweep.grace_s=0")
    assert hasty.returncode == 1
    assert "error: 1 of 1 trials failed; the same command tries 1 of them again" in hasty.stderr
    assert [trial["state"] for trial in searched(tmp_path, "jobs")["trials"]] == ["failed"]
    finished = run(*command)
    assert finished.returncode == 0, finished.stderr
    assert [trial["state"] for trial in searched(tmp_path, "jobs")["trials"]] == ["complete"]


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["sweep.search.sampler=gp"],
            ["sweep.search.sampler: found 'gp'; one of tpe, nsga2, random, grid is needed"],
        ),
        (
            ["+sweep.search.objectives.latency=minimize", "+sweep.search.constraints.max_loss=1"],
            ["sweep.search.objectives.latency: no such quantity; there are quality, drop, latency_ms"],
        ),
        (
            ["+sweep.search.when={train.stepps:{compression:[int8]}}"],
            ["sweep.search.when.train.stepps: neither searched nor in rungs; there are compression, "],
        ),
        (
            [
                "+sweep.search.when={compression.width.keep:"
                "{compression:[prune_distil_quantize],compresion:[int8],model:[tinny]}}"
            ],
            [
                "sweep.search.when.compression.width.keep.compression: found 'prune_distil_quantize'; "
                "there are int8, prune_distill_quantize, vocabulary_student_int8",
                "sweep.search.when.compression.width.keep.compresion: neither searched nor in the config; "
                "searched are compression, ",
                "sweep.search.when.compression.width.keep.model: found 'tinny'; there are ",
            ],
        ),
        (
            ["sweep.search=true"],
            ["sweep.search: found True; settings, as sweep=search has them, or null are needed"],
        ),
        (
            ["sweep.search.sampler=grid", "compression.width.keep=interval(0.2,0.9)"],
            ["compression.width.keep: an interval has no end; sampler=grid needs choice(…) or range(…)"],
        ),
        (
            ["sweep.timeout_s=60,6000", "engine=choice(local,ray)"],
            ["sweep.timeout_s: all trials have it in common", "engine: all trials have it in common"],
        ),
        (
            ["train.batch_size=abc"],
            ["train.batch_size: found 'abc'; a whole number is needed"],
        ),
        (
            ["+sweep.search.rungs={train.steps:[3,null],train.batch_size:[8,abc]}"],
            ["train.batch_size: found 'abc'; a whole number is needed (rung 1)"],
        ),
        (
            ["sweep.search.storage=/proc/nope/x"],
            ["sweep.search.storage: /proc/nope: No such file or directory; a writable folder is needed"],
        ),
        (
            ["hydra.sweep.dir=/proc"],
            ["hydra.sweep.dir: /proc: "],
        ),
        (
            ["hydra.sweep.subdir=s${seed}"],
            ["hydra.sweep.subdir: "],
        ),
    ],
)
def test_mistakes_are_said_before_anything_runs(
    tmp_path: Path, overrides: list[str], lines: list[str]
) -> None:
    finished = search(tmp_path, "jobs", *overrides)
    assert finished.returncode == 2
    told = finished.stderr.splitlines()
    assert all(line.startswith("error: ") for line in told), finished.stderr
    for line in lines:
        assert any(one.startswith(f"error: {line}") for one in told), finished.stderr
    assert not (tmp_path / "jobs").exists()
    assert not (tmp_path / "store" / "searches").exists()


def test_without_optuna_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['optuna'] = None", "utf-8")
    finished = fresh("sweep=search", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])})
    assert finished.returncode == 2
    expected = "error: sweep.search: optuna is not installed (pip install -e '.[search]')"
    assert finished.stderr.splitlines() == [expected]


SETTINGS = Search(objectives={"quality": "maximize", "latency_ms": "minimize"})
SPACE = Space({"seed": Values(("0", "1")), "train.steps": Values(("25", "50"))}, {})


@pytest.fixture
def identities(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Identities of searches; distillation has a corpus, and there is a strategy of one's own."""
    (tmp_path / "more.txt").write_text("a text\n", "utf-8")
    (tmp_path / "compression").mkdir()
    (tmp_path / "compression" / "mine.yaml").write_text("defaults:\n  - export: onnx\n", "utf-8")
    corpus = f"compression.distill.corpus={tmp_path / 'more.txt'}"
    fixed = [*TINY, corpus, f"store.root={tmp_path / 'store'}"]
    path = f"hydra.searchpath=[file://{tmp_path}]"
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        loader = GlobalHydra.instance().config_loader()

        def identity(settings: Search = SETTINGS, space: Space = SPACE) -> str:
            master = loader.load_configuration("config", [path, *fixed], RunMode.MULTIRUN)
            return identity_of(master, job_and_folder(Composer(loader, master), 0, fixed)[0], space, settings)

        yield identity


def test_a_search_is_of_all_that_its_stages_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identities: Callable[..., str]
) -> None:
    first = identities()
    assert identities() == first
    (tmp_path / "more.txt").write_text("another text\n", "utf-8")
    second = identities()
    assert second != first
    monkeypatch.setenv("PARE_THREADS", "2")  # which is 1 for tests
    assert identities() not in (first, second)


def test_a_search_is_of_the_files_that_its_trials_may_choose(
    tmp_path: Path, identities: Callable[..., str]
) -> None:
    first = identities()
    (tmp_path / "compression" / "mine.yaml").write_text("defaults:\n  - export: fp16\n", "utf-8")
    assert identities() != first


def test_a_search_in_another_order_is_another_one(identities: Callable[..., str]) -> None:
    """Values of objectives are kept in order, and points of a grid are counted."""
    turned = replace(SETTINGS, objectives=dict(reversed(list(SETTINGS.objectives.items()))))
    other = Space(dict(reversed(list(SPACE.dimensions.items()))), {})
    assert len({identities(), identities(turned), identities(space=other)}) == 3


def journals(root: Path) -> list[str]:
    return [file.read_text("utf-8") for file in (root / "store").glob("searches/*.journal")]


def test_a_search_that_is_killed_goes_on_with_the_same_command(tmp_path: Path) -> None:
    text = HALVED.replace("    rungs: {train.steps: [3, 6]}\n    factor: 2\n", "")
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    command = ("sweep=mine", write_sweep(tmp_path / "conf", text), *FEW, *where, "compression=none")
    process = subprocess.Popen(
        [sys.executable, "run.py", *command],
        cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 250
    while not list(Store(tmp_path / "store").entries()):  # the first checkpoint of the first trials
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    (journal,) = journals(tmp_path)
    assert '"found"' not in journal  # all trials were running
    finished = run(*command)
    assert "2 trials: 2 pruned" in finished.stdout, finished.stderr
    (after,) = journals(tmp_path)
    assert after.startswith(journal)
    assert after.count('"op_code":4') == journal.count('"op_code":4') == 2  # none was asked anew
    assert [trial["state"] for trial in searched(tmp_path, "jobs")["trials"]] == ["pruned", "pruned"]
