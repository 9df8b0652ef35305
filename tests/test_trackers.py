"""Trackers beside real jobs: parallel, driven by an agent of wandb's, after a crash, and in trouble."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import pytest
import yaml

from commands import ROOT, TINY, Finished, result_of, run, status_of
from pare.cli import main
from pare.tracking.mirroring import trouble_with
from pare.tracking.record import read_job, read_study
from pare.tracking.schema import CURVES, metrics_of
from wandb_files import artifacts, config_of, history_of, records, run_of, summary_of

JOB = (*TINY, "compression=width", "compression.distill.train.steps=10", "compression.width.keep=0.5")
GRID = ("compression.width.keep=0.5,0.25", "measure.texts=20,19")  # two keys, each measured in two ways


class Swept(NamedTuple):
    root: Path
    jobs: Path
    finished: Finished

    @property
    def store(self) -> str:
        return f"store.root={self.root / 'store'}"

    def folders(self) -> list[Path]:
        return [self.jobs / str(number) for number in range(4)]


@pytest.fixture(autouse=True)
def whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODE", "API_KEY", "BASE_URL", "DIR", "CONFIG_DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name in ("MLFLOW_TRACKING_URI", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """Four jobs at once, tracked offline: what they need is measured before, which is done one at a time."""
    root = tmp_path_factory.mktemp("trackers")
    sweep = ("-m", *JOB, f"store.root={root / 'store'}", *GRID, "sweep.workers=4")
    finished = run(*sweep, f"hydra.sweep.dir={root / 'before'}")
    assert finished.returncode == 0, finished.stderr
    tracked = ("tracker=wandb", "tracker.mode=offline")
    finished = run(*sweep, f"hydra.sweep.dir={root / 'tracked'}", *tracked)
    assert finished.returncode == 0, finished.stderr
    assert "tracker:" not in finished.stdout + finished.stderr
    return Swept(root, root / "tracked", finished)


def test_four_parallel_jobs_are_four_runs_with_every_field(swept: Swept) -> None:
    seen = set()
    for folder in swept.folders():
        found = records(folder)
        run, job = run_of(found), read_job(folder)
        assert (run.run_id, run.run_group, run.job_type) == (job.id, "tracked", "job")
        seen.add((run.run_id, run.display_name))
        assert summary_of(found).items() >= metrics_of(job.result).items()
        config = config_of(found)
        keep = config["compression"]["width"]["keep"]
        assert set(run.display_name.split()) == {f"keep={keep}", f"texts={config['measure']['texts']}"}
        history = history_of(found)
        assert any("dev" in point for point in job.curves["finetune"])
        for stage in ("finetune", "distill"):
            for field in CURVES:
                name = field.name.format(stage=stage)
                last = name.rpartition("/")[2]
                assert [point[name] for point in history if name in point] == [
                    point[last] for point in job.curves[stage] if last in point
                ]
        assert [a.type for a in artifacts(found)] == ["teacher", "student", "student", "bundle"]
    assert len(seen) == 4


def test_the_sweep_ends_with_a_report_run(swept: Swept) -> None:
    (file,) = (swept.jobs / "wandb").rglob("*.wandb")
    found = records(file.parent)
    run = run_of(found)
    assert (run.run_group, run.job_type) == ("tracked", "report")
    logged = history_of(found)[-1]
    kinds = {name: logged[f"{name}/_type"] for name in ("study", "pareto", "parallel_coordinates")}
    assert kinds == {"study": "table-file", "pareto": "plotly-file", "parallel_coordinates": "plotly-file"}
    table = json.loads((file.parent / "files" / logged["study/path"]).read_text(encoding="utf-8"))
    place = table["columns"].index("keep")
    assert sorted(row[place] for row in table["data"]) == ["0.25", "0.25", "0.5", "0.5"]


@pytest.mark.slow
def test_the_report_has_the_jobs_that_failed_too(swept: Swept) -> None:
    folder = swept.root / "half"
    tracked = ("tracker=wandb", "tracker.mode=offline", "train.learning_rate=1e30,1e-3")
    finished = run("-m", *TINY, "compression=none", swept.store, f"hydra.sweep.dir={folder}", *tracked)
    assert finished.returncode == 1
    (file,) = (folder / "wandb").rglob("*.table.json")
    table = json.loads(file.read_text(encoding="utf-8"))
    states = [row[table["columns"].index("state")] for row in table["data"]]
    assert states[0].startswith("failed: fine-tuning")
    assert states[1] == "done"


@pytest.fixture
def crashed(swept: Swept, tmp_path: Path) -> Path:
    """A sweep of which one job came to its end, and nothing of wandb's files is left."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    shutil.copy(swept.jobs / "plan.json", folder)
    shutil.copytree(swept.jobs / "0", folder / "0", ignore=shutil.ignore_patterns("wandb"))
    return folder


def test_runs_are_made_again_after_a_crash(swept: Swept, crashed: Path) -> None:
    assert main(["track", "resync", str(crashed)]) == 0
    old, new = records(swept.jobs / "0"), records(crashed / "0")
    assert run_of(old).run_id == run_of(new).run_id
    assert [timeless(p) for p in history_of(old)] == [timeless(p) for p in history_of(new)]
    assert timeless(summary_of(old)) == timeless(summary_of(new))
    reports = [run_of(records(folder / "wandb")) for folder in (swept.jobs, crashed)]
    assert len({(run.run_id, run.run_group, run.display_name) for run in reports}) == 1
    (file,) = (crashed / "wandb").rglob("*.table.json")
    table = json.loads(file.read_text(encoding="utf-8"))
    place = table["columns"].index("state")
    assert [row[place] for row in table["data"]] == ["done", *["not started"] * 3]


def timeless(found: dict[str, Any]) -> dict[str, Any]:
    """Without what wandb adds itself."""
    return {name: value for name, value in found.items() if not name.startswith("_")}


def test_an_agent_of_wandb_can_drive_run_py(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What wandb's agent makes of sweeps/wandb.yaml, without the server that chooses values."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = yaml.safe_load((ROOT / "sweeps" / "wandb.yaml").read_text(encoding="utf-8"))
    metric = sweep["metric"]["name"]
    assert metric in metrics_of(read_job(swept.folders()[0]).result)
    chosen = {"compression.width.keep": {"value": 0.5}, "compression/quantize": {"value": "int8_mse"}}
    assert chosen.keys() == sweep["parameters"].keys()
    known = create_sweep_command_args({"args": chosen}) | {
        "env": ["/usr/bin/env"],
        "interpreter": ["python"],
        "program": [sweep["program"]],
    }
    command = [
        word
        for part in create_sweep_command(sweep["command"])
        for word in (known[part[2:-1]] if part.startswith("${") else [part])
    ]
    assert command[:3] == ["/usr/bin/env", "python", "run.py"]
    small = (*TINY, "compression.distill.train.steps=10", swept.store, f"hydra.run.dir={tmp_path}")
    agent = {"WANDB_SWEEP_ID": "abcd1234", "WANDB_RUN_ID": "wxyz9876", "WANDB_MODE": "offline"}
    for name, value in agent.items():
        monkeypatch.setenv(name, value)
    finished = run(*command[3:], *small)
    assert finished.returncode == 0, finished.stderr
    found = records(tmp_path)
    assert run_of(found).run_id == "wxyz9876"  # or the agent would not find its numbers
    assert run_of(found).sweep_id == "abcd1234"
    assert metric in summary_of(found)
    assert "keep=0.5" in run_of(found).display_name
    assert not {"tracker=wandb", "limit_s=60"} & set(run_of(found).display_name.split())


def test_the_sweep_of_wandb_is_none_of_run_py(tmp_path: Path) -> None:
    finished = run("sweep=wandb", f"hydra.run.dir={tmp_path}")
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: sweep.only_for_agents_of_wandb")
    assert len(finished.stderr.splitlines()) == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"  # the kernel takes them


@pytest.fixture
def stuck() -> Iterator[str]:
    """The address of a server that is there, and never comes to an end with what it is asked for."""
    done = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def do_POST(self) -> None:
            done.wait()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        done.set()
        server.shutdown()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk that has hardly any room left."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not mounted:
        pytest.skip("needs to mount a small disk, which only root may")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


WANDB = ("tracker=wandb", "tracker.limit_s=1")
MLFLOW = ("tracker=mlflow", "tracker.limit_s=1")


def in_trouble(swept: Swept, folder: Path, *overrides: str) -> str:
    """The one line that a job says of its tracker; its result is as without one."""
    same = (*JOB, swept.store, "measure.texts=20", f"hydra.run.dir={folder}")
    finished = run(*same, *overrides)
    assert finished.returncode == 0, finished.stderr
    assert status_of(folder)["state"] == "done"
    assert told(folder) == told(swept.root / "before" / "0")
    lines = [line for line in (finished.stdout + finished.stderr).splitlines() if "tracker: " in line]
    assert len(lines) == 1
    assert "Traceback" not in finished.stdout + finished.stderr
    assert f"`pare track resync {folder}` tries again" in lines[0]
    return lines[0]


def told(folder: Path) -> dict[str, Any]:
    """What a result says, but for the overrides and what this very run took."""
    result = result_of(folder)
    stages = [{**stage, "seconds": 0} for stage in result["stages"]]
    environment = {**result["environment"], "git": ""}
    return {**result, "stages": stages, "environment": environment, "overrides": []}


def test_a_wandb_that_refuses_changes_nothing(
    swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert "http://127.0.0.1:9: [Errno 111] Connection refused" in in_trouble(swept, tmp_path, *WANDB)


def test_a_wandb_that_hangs_changes_nothing_and_leaves_no_process(
    swept: Swept, stuck: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", stuck)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert "given up after 1 s (tracker.limit_s)" in in_trouble(swept, tmp_path, *WANDB)
    until = monotonic() + 30  # wandb's service looks now and then whether whom it serves is still there
    while (left := processes_that_know(stuck)) and monotonic() < until:
        pass
    assert left == []


def processes_that_know(address: str) -> list[str]:
    """The ids of all that were started with it in their environment, but for this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            known = address.encode() in (place / "environ").read_bytes()
        except OSError:
            continue
        if known and place.name != str(os.getpid()):
            found.append(place.name)
    return found


def test_a_wandb_without_room_changes_nothing(
    swept: Swept, full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DIR", str(full))
    offline = (*WANDB, "tracker.mode=offline")
    assert "No space left on device" in in_trouble(swept, tmp_path / "job", *offline)


def test_an_mlflow_that_hangs_changes_nothing(
    swept: Swept, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    assert "given up after 1 s (tracker.limit_s)" in in_trouble(swept, tmp_path, *MLFLOW)


def test_an_mlflow_without_room_changes_nothing(swept: Swept, full: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    uri = f"tracker.uri=sqlite:///{full / 'mlflow.db'}"
    assert "No space left on device" in in_trouble(swept, tmp_path / "job", *MLFLOW, uri)


@pytest.mark.slow
def test_four_jobs_at_once_are_four_runs_of_mlflow(swept: Swept, crashed: Path, tmp_path: Path) -> None:
    """In a database that none of them finds there; a file is not waited for, so no limit is too short."""
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    tracker = {"_target_": "pare.tracking.mlflow.Mlflow", "uri": uri}
    with ThreadPoolExecutor() as pool:
        assert (
            list(pool.map(lambda folder: trouble_with(tracker, 1e-6, folder), swept.folders())) == [None] * 4
        )
    again = ["track", "resync", str(crashed), "tracker=mlflow", f"tracker.uri={uri}"]
    assert main(again) == 0  # the first job once more, which takes the place of its first run; and the report
    client = mlflow.MlflowClient(uri)
    (experiment,) = (e for e in client.search_experiments() if e.name == "pare")
    runs = {r.data.tags["pare.id"]: r for r in client.search_runs([experiment.experiment_id])}
    assert len(runs) == len(client.search_runs([experiment.experiment_id])) == 5
    for folder in swept.folders():
        job = read_job(folder)
        found = runs[job.id]
        assert found.info.run_name == job.title
        assert (found.data.tags["group"], found.data.tags["job_type"]) == ("tracked", "job")
        known = {name: value for name, value in metrics_of(job.result).items() if value is not None}
        assert found.data.metrics.items() >= known.items()
        assert found.data.params["compression.width.keep"] == str(job.config["compression"]["width"]["keep"])
        curve = client.get_metric_history(found.info.run_id, "train/finetune/loss")
        assert [(m.step, m.value) for m in curve] == [(p["step"], p["loss"]) for p in job.curves["finetune"]]
        assert {f.path for f in client.list_artifacts(found.info.run_id)} == {
            "config.yaml", "result.json", "models.json"
        }  # fmt: skip
    report = runs[read_study(crashed).id]
    assert report.data.tags["group"] == "tracked"
    assert {f.path for f in client.list_artifacts(report.info.run_id)} == {
        "study.csv", "pareto.html", "parallel_coordinates.html"
    }  # fmt: skip


@pytest.mark.parametrize(("tracker", "library"), [("wandb", "wandb"), ("mlflow", "sqlalchemy")])
def test_a_tracker_that_is_not_installed_is_one_line_before_anything_is_told(
    swept: Swept,
    tracker: str,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert main(["track", "resync", str(swept.jobs), f"tracker={tracker}"]) == 2
    told = f"error: tracker: {library} is not installed (pip install -e '.[{tracker}]')"
    assert capsys.readouterr().err.splitlines()[0] == told
