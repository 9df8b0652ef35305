"""The same tree through submitit and Ray: nodes in the order of what they need, wherever they run."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from commands import ROOT, TINY, Finished, fresh, result_of, run, status_of
from pare.build import build
from pare.searching.asked import NOT_ITS_FAULT
from pare.store import Store
from pare.sweep import EngineSettings
from pare.sweeps.errand import Errand, NodeFailed
from pare.sweeps.ray import error_of
from test_sweep_failures import wait_for

JOB = (*TINY, "train.threads=1", "compression=int8")
BOTH = "train.learning_rate=1e30,1e-3"  # the first cannot be trained

needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="pip install -e '.[slurm]'")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="pip install -e '.[ray]'")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has what comes before quantizing, from a job on this machine."""
    root = tmp_path_factory.mktemp("engines")
    made = run(*JOB, "compression=none", "train.learning_rate=1e-3", *where(root / "store", root, "run"))
    assert made.returncode == 0, made.stderr
    return root / "store"


def where(store: Path, folder: Path, mode: str = "sweep") -> tuple[str, str]:
    return f"store.root={store}", f"hydra.{mode}.dir={folder / 'jobs'}"


def endings(folder: Path) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text("utf-8")) for file in (folder / "jobs/nodes").glob("*.json")}


def check_one_failed_and_one_not(finished: Finished, folder: Path) -> None:
    assert finished.returncode == 1, finished.stderr
    assert "error: fine-tuning bert-1L128H4A: the loss is nan" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "error: 1 of 2 jobs have no result" in finished.stderr
    failed, done = (folder / "jobs" / number for number in "01")
    assert status_of(failed)["error"]["kind"] == "NonFiniteLoss"
    assert not (failed / "result.json").exists()
    assert result_of(done)["scores"]
    told = endings(folder)
    assert [one["error"]["kind"] for one in told.values() if one["error"]] == ["NonFiniteLoss"]
    assert "job0" not in told  # nothing of what needs it was begun
    assert all(one["host"] and one["pid"] for one in told.values())


@needs_submitit
def test_a_sweep_runs_as_jobs_of_submitit(store: Path, tmp_path: Path) -> None:
    engine = ("engine=slurm", "engine.cluster=local", "engine.poll_s=0.2", "measure.texts=21")
    finished = run("-m", *JOB, BOTH, *engine, *where(store, tmp_path))
    check_one_failed_and_one_not(finished, tmp_path)
    assert "on this machine, as if on SLURM" in finished.stdout
    began = [one["began"] for one in endings(tmp_path).values() if one["error"] is None]
    assert len(began) == 3  # quantize, its answers, its result
    ended = [one["began"] + one["seconds"] for one in endings(tmp_path).values() if one["error"] is None]
    assert all(later >= before for later, before in zip(sorted(began)[1:], sorted(ended)[:-1], strict=True))


@pytest.fixture
def short_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For Ray's sockets, whose paths may have 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield


@needs_ray
@pytest.mark.usefixtures("short_names")
def test_a_sweep_runs_as_tasks_of_ray(store: Path, tmp_path: Path) -> None:
    finished = fresh("-m", *JOB, BOTH, "engine=ray", "compression=none", *where(store, tmp_path))
    check_one_failed_and_one_not(finished, tmp_path)
    assert "; on Ray, one after the other, " in finished.stdout


@pytest.fixture
def cluster(short_names: None) -> Iterator[Any]:
    """A head that runs no stages, and one machine."""
    import ray
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield found
    found.shutdown()
    assert not ray.is_initialized()


def training(
    folder: Path, steps: int, *overrides: str
) -> tuple["subprocess.Popen[str]", str, dict[str, Any]]:
    """A sweep on Ray whose first stage trains, that stage, and what it said when it began."""
    long = [value for value in JOB if not value.startswith("train.steps")]
    ours = ("engine=ray", f"train.steps={steps}", "compression=none", *overrides)
    process = subprocess.Popen(
        [sys.executable, "run.py", "-m", *long, *ours, *where(folder / "store", folder)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: list((folder / "store/tmp").glob("*")), 200)
    ((name, told),) = endings(folder).items()
    return process, name, told


@pytest.mark.slow
@needs_ray
@pytest.mark.usefixtures("short_names")
def test_a_sweep_on_ray_that_is_told_to_end_keeps_its_checkpoint(tmp_path: Path) -> None:
    process, _, first = training(tmp_path, 100_000)
    spent = Path(f"/proc/{first['pid']}/stat")
    wait_for(lambda: int(spent.read_text("utf-8").rpartition(")")[2].split()[11]) > 800, 120)  # ticks
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 143, errors
    assert not alive(first["pid"])
    assert list((tmp_path / "store/tmp").glob("*.scratch/training.safetensors"))


@pytest.mark.slow
@needs_ray
def test_a_machine_of_ray_is_lost_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    machine = cluster.add_node(num_cpus=2)
    process, name, first = training(tmp_path, 400, f"engine.address={cluster.address}")
    cluster.add_node(num_cpus=2)
    cluster.remove_node(machine, allow_graceful=False)
    wait_for(lambda: not alive(first["pid"]), 10)
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert "2 stages, 2 distinct, 2 computed" in output
    assert endings(tmp_path)[name]["pid"] != first["pid"]
    assert result_of(tmp_path / "jobs/0")["scores"]
    assert Store(tmp_path / "store").verify().damaged == ()


@needs_ray
def test_a_machine_that_ray_lost_is_no_fault_of_what_ran_there() -> None:
    from ray import exceptions

    machine = [
        exceptions.NodeDiedError("gone"),
        exceptions.LocalRayletDiedError(),
        exceptions.ObjectLostError("00" * 28, None, ""),
    ]
    assert {error_of(error)["kind"] for error in machine} == {"MachineFailed"}
    assert "MachineFailed" in NOT_ITS_FAULT
    assert error_of(exceptions.WorkerCrashedError())["kind"] == "WorkerCrashedError"
    failed = exceptions.RayTaskError("f", "", NodeFailed("a: no such luck"))
    assert error_of(failed) == {"kind": "NodeFailed", "message": "a: no such luck"}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


def errand(folder: Path, script: str, **settings: Any) -> Errand:
    """One whose process does what the script says instead: told the plan, the node and a GPU on stdin."""
    package = folder / "pare" / "sweeps"
    package.mkdir(parents=True)
    for place in (package.parent, package):
        (place / "__init__.py").touch()
    (package / "work.py").write_text(script, "utf-8")
    (folder / "nodes").mkdir()
    (folder / "plan.json").write_text("{}", "utf-8")
    given = {"timeout_s": None, "grace_s": 5.0, "environment": {"PYTHONPATH": str(folder)}, **settings}
    return Errand(str(folder / "plan.json"), "a", **given)


@pytest.mark.parametrize(
    ("script", "settings", "error"),
    [
        ("import os; os.kill(0, 11)", {}, ("Killed", "killed by SIGSEGV")),
        ("raise SystemExit(3)", {}, ("Exited", "exit code 3")),
        ("import time; time.sleep(99)", {"timeout_s": 0.5}, ("Timeout", "not done after 0.5 s")),
        (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)",
            {"timeout_s": 1.0, "grace_s": 0.2},
            ("Timeout", "not done after 1 s"),
        ),
    ],
)  # fmt: skip
def test_what_a_process_cannot_say_is_said_for_it(
    tmp_path: Path, script: str, settings: dict[str, Any], error: tuple[str, str]
) -> None:
    (tmp_path / "nodes").mkdir(exist_ok=True)
    work = errand(tmp_path / "there", script, **settings)
    stale = tmp_path / "there/nodes/a.json"
    stale.write_text('{"began": 1, "error": null}', "utf-8")  # of an earlier attempt
    with pytest.raises(NodeFailed):
        work()
    told = json.loads(stale.read_text("utf-8"))
    assert (told["error"]["kind"], told["error"]["message"]) == error


def test_an_errand_that_is_killed_takes_its_process_along(tmp_path: Path) -> None:
    script = (
        "import os, threading, signal, time, pathlib\n"
        "def die():\n    os.read(0, 4096)\n    os.read(0, 1)\n    os.killpg(0, signal.SIGKILL)\n"
        "threading.Thread(target=die, daemon=True).start()\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\ntime.sleep(99)"
    )
    work = errand(tmp_path / "there", script)
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text(), 20)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())), 5)


def test_a_machine_that_sees_another_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(NodeFailed, match="must be on a file system that all machines share"):
        Errand(str(tmp_path / "plan.json"), "a", None, 1.0)()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"_target_": "pare.sweeps.slurm.Slurm", "minutes": 0}, "engine.minutes=0"),
        ({"_target_": "pare.sweeps.slurm.Slurm", "cpus": 0}, "engine.cpus=0"),
        ({"_target_": "pare.sweeps.slurm.Slurm", "mem": 4}, "Slurm has no such key; did you mean mem_gb?"),
        ({"_target_": "pare.sweeps.ray.Ray", "retries": -1}, "retries=-1"),
        ({"_target_": "pare.sweep.Sweep"}, "engine._target_: pare.sweep.Sweep is not a EngineSettings"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], told: str) -> None:
    problems: list[str] = []
    build(settings, "engine", problems, EngineSettings)
    assert len(problems) == 1
    assert told in problems[0]


def test_engines_carry_out_sweeps_only_and_decide_how_many_run(tmp_path: Path) -> None:
    alone = run(*JOB, "engine=slurm", *where(tmp_path / "store", tmp_path, "run"))
    assert alone.returncode == 2
    assert alone.stderr == "error: engine=slurm: is for sweeps; -m makes one of a single job\n"
    many = run("-m", *JOB, "engine=ray", "sweep.workers=3", *where(tmp_path / "store", tmp_path))
    assert many.returncode == 2
    assert many.stderr == "error: sweep.workers: found 3; Ray decides how many run at a time\n"
