"""Writers are killed, disks fill and locks are fought over: files stay whole."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pare.errors import DataError, StageFailed, StoreFull
from pare.files import (
    atomic_write_text,
    disk_full_reported,
    locked,
    remove,
    text_of,
    unseen_locks,
    write_json,
)

UNREADABLE = Path("/proc/self/mem")  # to root, too
FORK = multiprocessing.get_context("fork")


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """A real, small file system for the time of a test."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"mount cannot be run here: {error}")
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(not UNREADABLE.is_file(), reason="there is no /proc here")
def test_a_file_that_cannot_be_read_is_told_of_in_one_line() -> None:
    with pytest.raises(DataError, match=r"^task\.labels_file: /proc/self/mem: \w+"):
        text_of(UNREADABLE, "task.labels_file")


def test_a_killed_writer_leaves_the_old_text_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    texts = ["a" * 300_000, "b" * 200_000]
    atomic_write_text(path, texts[0])

    def rewrite(ready: int) -> None:
        while True:
            for text in texts:
                atomic_write_text(path, text)
                os.write(ready, b".")

    for round_ in range(30):
        read, write = os.pipe()
        writer = FORK.Process(target=rewrite, args=(write,))
        writer.start()
        os.close(write)
        for _ in range(1 + round_ % 3):
            assert os.read(read, 1) == b"."
            assert path.read_text() in texts
        writer.kill()
        writer.join()
        os.close(read)
        assert path.read_text() in texts


def test_json_is_readable_strict_and_replaces_at_once(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"name": "压缩", "scores": [1, 0.5]})
    before = path.read_text(encoding="utf-8")
    assert "压缩" in before
    assert json.loads(before) == {"name": "压缩", "scores": [1, 0.5]}
    with pytest.raises(ValueError, match=r"result\.json"):
        write_json(path, {"loss": float("nan")})
    assert path.read_text(encoding="utf-8") == before
    assert list(tmp_path.iterdir()) == [path]


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        atomic_write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_keeps_the_old_text(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=300k") as disk:
        atomic_write_text(disk / "a.txt", "old")
        with pytest.raises(StoreFull, match=r"the disk is full: .* MB free, a\.txt needs more"):
            atomic_write_text(disk / "a.txt", "x" * 400_000)
        assert (disk / "a.txt").read_text() == "old"
        assert list(disk.iterdir()) == [disk / "a.txt"]


def test_only_want_of_space_is_reported_as_a_full_disk(tmp_path: Path) -> None:
    full = RuntimeError("I/O error: No space left on device (os error 28)")  # safetensors
    with pytest.raises(StoreFull), disk_full_reported(tmp_path, "model"):
        raise full
    for other in (RuntimeError("shapes differ"), OSError(5, "Input/output error"), StageFailed("no")):
        with pytest.raises(type(other)) as caught, disk_full_reported(tmp_path, "model"):
            raise other
        assert caught.value is other


def test_where_nothing_fits_an_error_still_says_what_it_is() -> None:
    """A disk image that nobody can write to has no room either, nor has /proc."""
    proc = Path("/proc")
    for known in (OSError(errno.EROFS, "Read-only file system"), PermissionError(errno.EACCES, "denied")):
        with pytest.raises(OSError, match=str(known.strerror)) as caught, disk_full_reported(proc, "model"):
            raise known
        assert caught.value is known
    for torchs_or_numpys in (RuntimeError("unexpected pos 64 vs 0"), OSError("9 requested and 4 written")):
        with pytest.raises(StoreFull), disk_full_reported(proc, "model"):
            raise torchs_or_numpys


def test_a_lock_excludes(tmp_path: Path) -> None:
    counter, lock = tmp_path / "counter", tmp_path / "lock"
    counter.write_text("0")

    def count() -> None:
        for _ in range(200):
            with locked(lock):
                counter.write_text(str(int(counter.read_text()) + 1))

    processes = [FORK.Process(target=count) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert counter.read_text() == "800"


def test_readers_share_a_lock_and_a_writer_does_not(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked(lock, shared=True):
        with locked(lock, shared=True, wait=False) as held:
            assert held
        with locked(lock, wait=False) as held:
            assert not held
    with locked(lock, wait=False) as held:
        assert held


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:50 / /nfs rw,relatime shared:2 - nfs4 server:/x rw,vers=4.2,local_lock=none,addr=10.0.0.1
41 22 0:51 / /alone rw,relatime shared:3 - nfs server:/y rw,vers=3,nolock,addr=10.0.0.1
42 22 0:52 / /over\\040ssh rw,nosuid - fuse.sshfs me@there:/z rw,user_id=0
"""


@pytest.mark.parametrize(
    ("folder", "unseen"),
    [
        ("/home/me", None),
        ("/nfs/store", None),
        ("/alone/store", "nfs mounted at /alone with nolock"),
        ("/over ssh/store", "fuse.sshfs mounted at /over ssh"),
    ],
)
def test_mounts_whose_locks_other_machines_do_not_see_are_known(folder: str, unseen: str | None) -> None:
    assert unseen_locks(Path(folder), MOUNTS) == unseen


def test_remove_takes_files_folders_links_and_nothing(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(target)
    remove(tmp_path / "link")
    assert target.is_dir()
    remove(target)
    remove(target)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_store_loads_nothing_heavy() -> None:
    program = (
        "import sys, pare.store; print(sorted({'torch', 'numpy', 'logging', 'subprocess'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
