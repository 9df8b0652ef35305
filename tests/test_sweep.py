"""`python run.py -m …`: what jobs share is computed once, and one that fails does not stop the others."""

from pathlib import Path

import pytest

from commands import SMALL, TINY, result_of, run, status_of
from pare.store import Store


@pytest.fixture(scope="module")
def widths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """(store, sweep folder, output) of three widths."""
    root = tmp_path_factory.mktemp("sweep")
    finished = sweep(root, "compression.width.keep=0.25,0.5,0.75")
    assert finished.returncode == 0, finished.stderr
    return root / "store", root / "jobs", finished.stdout


def sweep(root: Path, *overrides: str):  # type: ignore[no-untyped-def]
    return run("-m", *SMALL, f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'jobs'}", *overrides)


def test_three_widths_fine_tune_once(widths: tuple[Path, Path, str]) -> None:
    _, jobs, output = widths
    stages = [result_of(jobs / str(number))["stages"] for number in range(3)]
    assert len({each[0]["key"] for each in stages}) == 1
    assert all(each[0]["cached"] for each in stages)  # by the time that a job writes its result
    assert len({each[1]["key"] for each in stages}) == 3
    sizes = [each[1]["params"] for each in stages]
    assert sizes == sorted(sizes)
    assert "15 stages, 13 distinct, 13 computed" in output
    assert "width.keep=0.25" in (jobs / "table.md").read_text("utf-8")
    assert "width.keep=0.25" in (jobs / "report.html").read_text("utf-8")
    for keep in ("0.25", "0.5", "0.75"):
        assert f"compression.width.keep={keep}" in output


@pytest.mark.slow
def test_the_order_of_a_grid_changes_nothing(widths: tuple[Path, Path, str], tmp_path: Path) -> None:
    finished = sweep(tmp_path, "compression.width.keep=0.75,0.5,0.25")
    assert finished.returncode == 0, finished.stderr

    def checkpoints(store: Path) -> dict[str, str]:
        return {e.key: e.digest for e in Store(store).entries() if e.kind == "checkpoint"}

    assert checkpoints(tmp_path / "store") == checkpoints(widths[0])


def test_a_job_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    before = tmp_path / "jobs" / "0" / "result.json"  # of an earlier sweep in the same folder
    before.parent.mkdir(parents=True)
    before.write_text("{}")
    finished = run("-m", *TINY, *where, "compression=none", "train.learning_rate=1e30,1e-3")
    assert finished.returncode == 1
    assert "error: fine-tuning bert-1L128H4A: the loss is nan" in finished.stderr
    assert "Traceback" not in finished.stderr
    failed, done = tmp_path / "jobs" / "0", tmp_path / "jobs" / "1"
    assert status_of(failed)["state"] == "failed"
    assert status_of(failed)["error"]["kind"] == "NonFiniteLoss"
    assert not (failed / "result.json").exists()
    assert status_of(done)["state"] == "done"
    assert "failed: fine-tuning" in finished.stdout
    assert result_of(done)["scores"]


def test_a_job_that_fails_may_keep_others_from_starting_but_stops_none(tmp_path: Path) -> None:
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    settings = ("sweep.fail_fast=true", "sweep.workers=2", "compression=none")
    finished = run("-m", *TINY, *where, *settings, "train.learning_rate=1e30,1e-3")
    assert finished.returncode == 1
    assert "error: fine-tuning bert-1L128H4A: the loss is nan" in finished.stderr
    assert "error: 2 of 2 jobs have no result" in finished.stderr
    kept = [e.meta["stage"] for e in Store(tmp_path / "store").entries() if e.kind == "checkpoint"]
    assert kept[:1] == ["finetune"]
    assert not (tmp_path / "jobs" / "1" / "result.json").exists()


def test_a_sweep_file_needs_no_flag(widths: tuple[Path, Path, str]) -> None:
    store, jobs, _ = widths
    folder = jobs.parent / "named"
    finished = run("sweep=widths", *SMALL, f"store.root={store}", f"hydra.sweep.dir={folder}")
    assert finished.returncode == 0, finished.stderr
    assert sorted(p.parent.name for p in folder.glob("*/result.json")) == ["0", "1", "2"]


def test_hydras_own_launcher_takes_what_is_in_the_store(widths: tuple[Path, Path, str]) -> None:
    store, jobs, _ = widths
    folder = jobs.parent / "basic"
    where = (f"store.root={store}", f"hydra.sweep.dir={folder}", "hydra/launcher=basic")
    finished = run("-m", *SMALL, *where, "compression.width.keep=0.25,0.5,0.75,2")
    assert finished.returncode == 2
    assert "error: compression.width.keep=2.0: the share that stays" in finished.stderr
    for number in map(str, range(3)):
        found, before = result_of(folder / number), result_of(jobs / number)
        assert all(stage["cached"] for stage in found["stages"])
        assert (found["scores"], found["measurement"]) == (before["scores"], before["measurement"])


def test_a_strategy_that_fails_is_one_that_auto_does_not_take(tmp_path: Path) -> None:
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    auto = ("compression=auto", "~compression.auto.candidates.width_qat", "compression.auto.max_drop=1")
    diverging = "compression.auto.candidates.width_int8.distill.train.learning_rate=1e30"
    finished = run("-m", *TINY, *where, *auto, diverging)
    assert finished.returncode == 0, finished.stderr
    tried = {trial["name"]: trial for trial in result_of(tmp_path / "jobs" / "0")["tried"]}
    assert "the loss is nan" in tried["width_int8"]["why"]
    assert sum(trial["taken"] for trial in tried.values()) == 1


def test_all_mistakes_of_all_jobs_are_listed_before_the_first(tmp_path: Path) -> None:
    finished = sweep(tmp_path, "compression.width.keep=0,0.5,2", "hardware=cpu,nope", "train.batch_size=abc")
    assert finished.returncode == 2
    lines = finished.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), finished.stderr
    assert any("hardware/nope" in line and "job 1: " in line for line in lines)
    for wrong, job in (("keep=0.0", "job 0: "), ("keep=2.0", "job 4: ")):
        assert any(wrong in line and "(0, 1]" in line and job in line for line in lines)
    assert any("train.batch_size: found 'abc'" in line for line in lines)
    assert not list((tmp_path / "jobs").glob("*/status.json"))
    assert not list(Store(tmp_path / "store").entries())


def test_a_file_that_is_no_yaml_is_a_mistake_of_those_that_choose_it(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    file = tmp_path / "task" / "broken.yaml"
    file.write_text("name: [broken\nmax_length: 8\n", encoding="utf-8")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    finished = sweep(tmp_path, path, "task=car,broken", "compression.width.keep=0.5,2")
    assert finished.returncode == 2
    wrong, broken = finished.stderr.splitlines()
    assert wrong.startswith("error: compression.width.keep=2.0: ")
    assert "(job 1: " in wrong
    assert f'"{file}", line 2, column' in broken
    assert "(job 2: task=broken compression.width.keep=0.5; job 3: " in broken
    assert not list((tmp_path / "jobs").glob("*/status.json"))


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["seed=range(0,0)", "experiment=glob(nope*)", "train.steps=range(0,0)", "train.steps=3"],
            ["seed=range(0,0): holds no value", "experiment=glob(nope*): holds no value"],
        ),
        (
            ["seed=range(0,5,0)", "train.steps=range(0,0)"],
            ["train.steps=range(0,0): holds no value", "seed=range(0,5,0): range() arg 3 must not be zero"],
        ),
        (
            ["seed=0,1", "hydra.sweep.dir=/proc/nope/x"],
            ["hydra.sweep.dir: /proc/nope/x: No such file or directory; a writable folder is needed"],
        ),
        (["seed=0,1", "hydra.sweep.dir=/proc"], ["hydra.sweep.dir: /proc: "]),
        (
            ["seed=0,1", "compression.width.keep=0.25,0.5", "hydra.sweep.subdir=s${seed}"],
            ["hydra.sweep.subdir: {jobs}/s0 is the folder of more than one job (job 0: seed=0 compression"],
        ),
        (
            ["seed=0", "hydra/launcher=basic", "sweep.dry_run=true", "sweep.timeout_s=9"],
            ["sweep.dry_run=true: is for what hydra/launcher=pare plans", "sweep.timeout_s=9: is for what"],
        ),
    ],
)
def test_what_cannot_be_a_sweep_is_said_in_lines(
    tmp_path: Path, overrides: list[str], lines: list[str]
) -> None:
    finished = sweep(tmp_path, *overrides)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    told = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == len(lines), finished.stderr
    for line, start in zip(told, lines, strict=True):
        assert line.startswith(f"error: {start}".replace("{jobs}", str(tmp_path / "jobs")))
    assert not list((tmp_path / "jobs").glob("*/status.json"))
    assert not list(Store(tmp_path / "store").entries())


def test_warnings_of_stages_and_trackers_are_seen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only in the logs of the processes, which nobody reads."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    where = (f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}")
    untrained = ("compression=none", "train.steps=1", "tracker=wandb", "measure.texts=20,19")
    finished = run("-m", *TINY, *where, *untrained)
    assert finished.returncode == 0, finished.stderr
    lines = (finished.stdout + finished.stderr).splitlines()
    assert len([line for line in lines if "it learnt nothing" in line]) == 1
    refused = [line for line in lines if "tracker: http://127.0.0.1:9" in line]
    assert [line.rpartition("resync ")[2].split("`")[0] for line in refused] == [
        str(tmp_path / "jobs" / job) for job in ("0", "1", "")
    ]
