"""What a sweep makes of jobs that raise, exit, crash, hang or run out of memory: real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors import safe_open

from commands import ROOT, SMALL, Finished, fresh, result_of, run, status_of
from pare.store import Store

#: what happens to the width of each share, by the hands of the process that prunes
FAULTS = """
import os, resource, signal, sys, time

def spoil():
    if "pare.sweeps.work" not in sys.modules:
        return
    from pare.stages import width as module
    prune = module.Width.run

    def run(self, inputs, context):
        if self.keep == 0.1:
            raise RuntimeError("no such luck")
        if self.keep == 0.2:
            sys.exit(3)
        if self.keep == 0.3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.keep == 0.4:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.keep == 0.5:
            resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
            bytearray(1 << 28)
        if self.keep == 0.6:
            time.sleep(1000)
        prune(self, inputs, context)

    module.Width.run = run

os.register_at_fork(after_in_child=spoil)
"""
ENDS = {
    0.1: ("RuntimeError", "no such luck"),
    0.2: ("Exited", "exit code 3"),
    0.3: ("Killed", "killed by SIGSEGV"),
    0.4: ("Killed", "killed by SIGKILL; perhaps for want of memory"),
    0.5: ("OutOfMemory", "OutOfMemory"),
    0.6: ("Timeout", "not done after 15 s"),
}
WIDTH = (*SMALL, "compression=width", "train.threads=1")


def sweep(root: Path, *overrides: str, env: dict[str, str] | None = None) -> Finished:
    return fresh("-m", *WIDTH, *folders(root), *overrides, env=env)


def folders(root: Path) -> tuple[str, str]:
    return f"store.root={root / 'store'}", f"hydra.sweep.dir={root / 'jobs'}"


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """(folder, output) of six jobs that end badly and two that do not."""
    root = tmp_path_factory.mktemp("spoiled")
    (root / "sitecustomize.py").write_text(FAULTS, "utf-8")
    keeps = ",".join(map(str, [*ENDS, 0.7, 0.8]))
    settings = ("sweep.timeout_s=15", "sweep.grace_s=1")
    return root, sweep(root, f"compression.width.keep={keeps}", *settings, env={"PYTHONPATH": str(root)})


def test_the_other_jobs_finish(spoiled: tuple[Path, Finished]) -> None:
    root, finished = spoiled
    assert finished.returncode == 1
    assert [status_of(root / "jobs" / str(n))["state"] for n in range(8)] == ["failed"] * 6 + ["done"] * 2
    for number in (6, 7):
        assert result_of(root / "jobs" / str(number))["scores"]
    assert "error: 6 of 8 jobs have no result" in finished.stderr
    assert "32 stages, 25 distinct, 7 computed" in finished.stdout  # fine-tuned once; two widths to the end


@pytest.mark.parametrize("number", range(6))
def test_a_status_says_how_a_job_ended(spoiled: tuple[Path, Finished], number: int) -> None:
    root, finished = spoiled
    (keep, (kind, message)) = list(ENDS.items())[number]
    folder = root / "jobs" / str(number)
    status = status_of(folder)
    assert (status["stage"], status["error"]["kind"], status["error"]["message"]) == ("width", kind, message)
    assert f"compression.width.keep={keep}" in status["overrides"]
    assert ("traceback" in status["error"]) == (kind in ("RuntimeError", "OutOfMemory"))
    assert not (folder / "result.json").exists()
    assert (folder / "config.yaml").is_file()
    line = f"error: {message} (job {number}: compression.width.keep={keep})"
    assert line in finished.stderr.splitlines()
    assert f"failed: {message}"[:20] in finished.stdout


def started(root: Path, *overrides: str) -> "subprocess.Popen[str]":
    """A sweep under way, whose processes can be told by their environment."""
    return subprocess.Popen(
        [sys.executable, "run.py", "-m", *WIDTH, *folders(root), *overrides],
        cwd=ROOT, env={**os.environ, "PARE_TEST": str(root)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` has it ignored
    )  # fmt: skip


def processes_of(root: Path) -> list[int]:
    mark, found = f"PARE_TEST={root}".encode(), []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            ours = mark in file.read_bytes().split(b"\0")
            dead = file.with_name("stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if ours and not dead:
            found.append(int(file.parent.name))
    return found


def busy_s(root: Path) -> list[float]:
    """Seconds of CPU that each process of a stage has had: many once it trains."""
    fields = {}
    for pid in processes_of(root):
        try:
            fields[pid] = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
    grandchildren = [
        one for one in fields.values() if int(one[1]) in fields and int(fields[int(one[1])][1]) in fields
    ]
    return [(int(one[11]) + int(one[12])) / os.sysconf("SC_CLK_TCK") for one in grandchildren]


def wait_for(what: object, seconds: float) -> None:
    """Until it is true; looks again and again."""
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def entries(root: Path) -> dict[str, float]:
    """When each checkpoint of the store was made."""
    return {e.key: e.created for e in Store(root / "store").entries() if e.kind == "checkpoint"}


LONG = ("compression.width.keep=0.25,0.5", "compression.distill.train.steps=100000")
SHORT = ("compression.width.keep=0.25,0.5", "compression.distill.train.steps=10")


def test_a_sweep_whose_controller_is_killed_leaves_nobody_behind_and_goes_on(tmp_path: Path) -> None:
    process = started(tmp_path, *LONG)
    wait_for(lambda: len(entries(tmp_path)) == 3 and len(processes_of(tmp_path)) >= 3, 120)  # both widths
    second = run("-m", *WIDTH, *SHORT, *folders(tmp_path))
    said = f"another sweep is at work in {tmp_path / 'jobs'}; wait for it, or name another folder"
    assert (second.returncode, second.stderr) == (2, f"error: hydra.sweep.dir: {said}\n")
    process.kill()
    process.communicate()
    wait_for(lambda: not processes_of(tmp_path), 5)
    before = entries(tmp_path)
    finished = sweep(tmp_path, *SHORT)
    assert finished.returncode == 0, finished.stderr
    assert "8 stages: 7 distinct, 3 in the store" in finished.stdout
    assert before.items() <= entries(tmp_path).items()


#: every step of a training is noted on disk, and in a file which they were
SAVING = """
import os, sys

def often():
    if "pare.sweeps.work" in sys.modules and "SAVED" in os.environ:
        from pare import fitting
        note = getattr(fitting, "note_alone", fitting.save_standing)

        def save(folder, standing, *rest):
            with open(os.environ["SAVED"], "a") as file:
                file.write(f"{folder.name} {standing.step}\\n")
            note(folder, standing, *rest)

        fitting.SAVE_EVERY_S, fitting.save_standing, fitting.note_alone = 0.0, save, note

os.register_at_fork(after_in_child=often)
"""


@pytest.mark.slow
def test_what_comes_of_a_sweep_that_was_killed_is_what_had_come_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very same command, after kill -9 while two students train, and in another store without one."""
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    command = ("compression.width.keep=0.25,0.5", "compression.distill.train.steps=200")
    (tmp_path / "sitecustomize.py").write_text(SAVING, "utf-8")
    with monkeypatch.context() as often:
        often.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT / "src")]))
        often.setenv("SAVED", str(tmp_path / "first"))
        process = started(killed, *command)
        wait_for(lambda: len(entries(killed)) == 3 and len(standings(killed)) == 2, 120)
        process.kill()
        process.communicate()
        wait_for(lambda: not processes_of(killed), 5)
        before, stood = entries(killed), standings(killed)
        assert len(before) == 3  # fine-tuned, and two widths: both students are still to come
        often.setenv("SAVED", str(tmp_path / "second"))
        finished = sweep(killed, *command)
    assert finished.returncode == 0, finished.stderr
    assert "8 stages: 7 distinct, 3 in the store" in finished.stdout
    assert before.items() <= entries(killed).items()
    steps: dict[str, list[int]] = {}
    for line in (tmp_path / "second").read_text("utf-8").splitlines():
        folder, step = line.split()
        steps.setdefault(folder, []).append(int(step))
    assert steps == {folder: list(range(step + 1, 201)) for folder, step in stood.items()}
    assert sweep(undisturbed, *command).returncode == 0
    assert lasting(killed) == lasting(undisturbed)


def standings(root: Path) -> dict[str, int]:
    """How many steps each training that is not done has noted."""
    found = {}
    for file in (root / "store" / "tmp").glob("*.scratch/training.safetensors"):
        with suppress(FileNotFoundError), safe_open(file, "pt") as opened:
            found[file.parent.name] = json.loads(opened.metadata()["standing"])["step"]
    return found


def lasting(root: Path) -> object:
    """All that came of a sweep but for times."""
    store = {e.key: e.digest for e in Store(root / "store").entries() if e.kind != "measurement"}
    results = [result_of(root / "jobs" / str(number)) for number in range(2)]
    timed = {"seconds", "computed_s", "cached"}
    stages = [[{k: v for k, v in one.items() if k not in timed} for one in r["stages"]] for r in results]
    told = [[r[key] for key in ("name", "key", "scores", "difference", "split")] for r in results]
    lines = (root / "jobs" / "table.md").read_text("utf-8").splitlines()
    table = [line.split("|") for line in lines if line.startswith("|")]
    still = [i for i, name in enumerate(table[0]) if name.strip() not in ("speed-up", "p50 ms")]
    return store, stages, told, [[row[i] for i in still] for row in table]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR2, 143, marks=pytest.mark.slow),
    ],
)
def test_a_sweep_that_is_told_to_end_keeps_its_checkpoints(tmp_path: Path, number: int, code: int) -> None:
    process = started(tmp_path, *LONG)
    scratches = (tmp_path / "store" / "tmp").glob
    wait_for(lambda: len(entries(tmp_path)) == 3 and len([s for s in busy_s(tmp_path) if s > 2]) == 2, 120)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert not processes_of(tmp_path)
    assert "not started" in output  # the table is written all the same
    assert list(scratches("*.scratch/training.safetensors"))
