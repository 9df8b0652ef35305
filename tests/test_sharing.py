"""The store of processes that share nothing but its folder, as those of several machines do.

PARE_SHARED=/mnt/a:/mnt/b, several mounts of one folder, takes them there; `tests/nfs.sh` does, over NFS.
"""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pare.store import Store
from sharing import KEYS, ROUNDS, write

FORK = multiprocessing.get_context("fork")
SCRIPT = Path(__file__).parent / "sharing.py"
#: a process of its own process ids, shared memory and host name
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--uts")


@pytest.fixture
def mounts(tmp_path: Path) -> list[Path]:
    """Two ways to one empty folder."""
    told = os.environ.get("PARE_SHARED")
    if told is None:
        return [tmp_path, tmp_path]
    folder = Path(tempfile.mkdtemp(dir=told.split(":")[0])).name
    return [Path(place) / folder for place in told.split(":")]


def can_unshare() -> bool:
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=["together", "apart"])
def apart(request: pytest.FixtureRequest) -> Sequence[str]:
    """What a process is started with."""
    if request.param == "together":
        return ()
    if shutil.which("unshare") is None or not can_unshare():
        pytest.skip("this machine gives no process namespaces of its own (unshare)")
    return UNSHARE


def started(apart: Sequence[str], root: Path, what: str, home: Path) -> "subprocess.Popen[str]":
    home.mkdir(parents=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    return subprocess.Popen(
        [*apart, sys.executable, str(SCRIPT), str(root), what],
        env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def results_of(processes: Sequence["subprocess.Popen[str]"]) -> list[dict[str, object]]:
    assert [line_of(process) for process in processes] == ["ready"] * len(processes)
    for process in processes:
        go(process)
    found = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return found


def test_what_several_machines_want_is_computed_once(
    mounts: list[Path], apart: Sequence[str], tmp_path: Path
) -> None:
    processes = [started(apart, mounts[n % len(mounts)], "race", tmp_path / f"home{n}") for n in range(4)]
    results = results_of(processes)
    assert all(all(one["absent"]) for one in results)  # type: ignore[call-overload]
    for key in KEYS:
        each = [one["found"][key] for one in results]  # type: ignore[index]
        assert len({digest for digest, _ in each}) == 1
        assert sorted(cached for _, cached in each) == [False, True, True, True]
    for mount in mounts:
        assert Store(mount / "store").verify().intact == len(KEYS)


def test_where_locks_do_not_reach_another_machine_the_first_to_publish_is_taken(tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    sooner, _ = there.produce(KEYS[0], "checkpoint", write)

    def late(folder: Path) -> Mapping[str, object]:
        place = here.root / sooner.path.relative_to(there.root)
        place.parent.mkdir(parents=True)
        shutil.copytree(sooner.path, place)
        return write(folder)

    entry, cached = here.produce(KEYS[0], "checkpoint", late)
    assert (entry.digest, cached) == (sooner.digest, False)
    assert here.verify().intact == 1
    assert list((here.root / "tmp").iterdir()) == []


def test_where_locks_do_not_reach_another_machine_neither_takes_the_others_work_away(tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    here.check_writable()
    there.root.mkdir()
    for name in ("objects", "tmp", "quarantine"):
        (there.root / name).symlink_to(here.root / name)

    def slowly(folder: Path) -> Mapping[str, object]:
        (folder / "weights.bin").write_bytes(bytes(1000))
        other = FORK.Process(target=there.produce, args=(KEYS[0], "checkpoint", write))
        other.start()
        other.join()
        assert other.exitcode == 0
        assert here.peek(KEYS[0])
        assert [path.name for path in folder.iterdir()] == ["weights.bin"]
        return {}

    entry, _ = here.produce(KEYS[0], "checkpoint", slowly)
    assert entry.size_bytes == 100_000  # the other was sooner
    assert here.verify().intact == 1
    assert list((here.root / "tmp").iterdir()) == []


def test_what_a_killed_machine_held_is_free(mounts: list[Path], apart: Sequence[str], tmp_path: Path) -> None:
    holder = started(apart, mounts[0], "hold", tmp_path / "home0")
    assert line_of(holder) == "ready"
    racer = started(apart, mounts[-1], "race", tmp_path / "home1")
    assert line_of(racer) == "ready"
    go(racer)
    assert Store(mounts[-1] / "store").gc().temporary == ()  # its writer lives
    holder.kill()
    holder.communicate()
    found = json.loads(racer.communicate(timeout=60)[0])["found"]
    assert [cached for _, cached in found.values()] == [False] * len(KEYS)


def test_a_lock_excludes_other_machines(mounts: list[Path], apart: Sequence[str], tmp_path: Path) -> None:
    (mounts[0] / "counter").write_text("0", "utf-8")
    processes = [started(apart, mounts[n % len(mounts)], "count", tmp_path / f"home{n}") for n in range(3)]
    results_of(processes)
    assert int((mounts[-1] / "counter").read_text("utf-8")) == 3 * ROUNDS
