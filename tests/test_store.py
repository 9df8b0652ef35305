"""The store under killed writers, races, flipped bytes and full disks."""

import json
import logging
import multiprocessing
import os
import random
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest

from pare.errors import ConfigError, StageFailed, StoreFull, StoreNotWritable
from pare.store import Entry, Store
from test_files import tmpfs

FORK = multiprocessing.get_context("fork")
KEY = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def fill(*, seed: int = 0, **meta: object) -> Callable[[Path], Mapping[str, object]]:
    def write(folder: Path) -> Mapping[str, object]:
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "weights.bin").write_bytes(random.Random(seed).randbytes(5000))
        (folder / "config.json").write_text("{}")
        return meta

    return write


def refuse(folder: Path) -> Mapping[str, object]:
    raise AssertionError(f"computed again in {folder}")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_is_produced_anew_takes_the_place_of_what_was_there(store: Store) -> None:
    store.produce(KEY, "model", fill(seed=1))

    def fail(folder: Path) -> Mapping[str, object]:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        store.produce(KEY, "model", fail, anew=True)
    old, cached = store.produce(KEY, "model", refuse)
    assert cached
    new, cached = store.produce(KEY, "model", fill(seed=2), anew=True)
    assert not cached
    assert new.digest != old.digest
    assert store.produce(KEY, "model", refuse) == (new, True)
    assert store.produce(KEY[::-1], "model", fill(), anew=True)[1] is False
    assert store.verify().intact == 2


def run_all(processes: list[multiprocessing.context.ForkProcess]) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_what_was_produced_is_not_produced_again(store: Store) -> None:
    assert store.get(KEY) is None
    entry, cached = store.produce(KEY, "model", fill(f1=0.9, names=("a", "b")))
    assert (entry.key, entry.kind, cached) == (KEY, "model", False)
    assert entry.meta == {"f1": 0.9, "names": ["a", "b"]}
    assert entry.size_bytes == 5002
    assert entry.path == store.root / "objects" / "01" / KEY
    assert store.produce(KEY, "model", refuse) == (entry, True)
    assert Store(store.root).get(KEY) == entry
    assert list(store.entries()) == [entry]
    assert names(store.root / "tmp") == []


def test_manifest_is_what_the_layout_promises(store: Store) -> None:
    entry, _ = store.produce(KEY, "model", fill())
    manifest = json.loads((entry.path / "manifest.json").read_text())
    assert manifest["schema"] == "pare/artifact@1"
    assert (manifest["key"], manifest["kind"], manifest["digest"]) == (KEY, "model", entry.digest)
    assert sorted(manifest["files"]) == ["config.json", "deep/er/weights.bin"]
    assert manifest["files"]["config.json"]["bytes"] == 2


def test_digest_is_that_of_the_content_alone(store: Store) -> None:
    first, _ = store.produce("a" * 64, "model", fill(seed=1, note="x"))
    same, _ = store.produce("b" * 8, "onnx", fill(seed=1))
    other, _ = store.produce("c" * 8, "model", fill(seed=2, note="x"))
    assert first.digest == same.digest != other.digest


def test_a_relative_root_outlives_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Path("store"))
    entry, _ = store.produce(KEY, "model", fill())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.get(KEY) == entry


@pytest.mark.parametrize("key", ["", "abc", "A" * 8, "g" * 8, "a" * 65, "../../etc", "abcdefab\n"])
def test_keys_are_short_hexadecimal_names(store: Store, key: str) -> None:
    with pytest.raises(ConfigError, match="8 to 64 of the characters 0-9a-f"):
        store.produce(key, "model", refuse)
    with pytest.raises(ConfigError):
        store.get(key)


def link(folder: Path) -> None:
    (folder / "passwd").symlink_to("/etc/passwd")


def link_folder(folder: Path) -> None:
    (folder / "up").symlink_to("..")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")


def not_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff")).write_text("")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (link, "passwd is a symbolic link"),
        (link_folder, "up is a symbolic link"),
        (pipe, "pipe is a special file"),
        (manifest, "a file named manifest.json"),
        (not_utf8, "UTF-8 names"),
    ],
)
def test_only_plain_files_are_stored(store: Store, spoil: Callable[[Path], None], found: str) -> None:
    def write(folder: Path) -> Mapping[str, object]:
        spoil(folder)
        return {}

    with pytest.raises(StageFailed, match=found):
        store.produce(KEY, "model", write)
    assert store.get(KEY) is None
    assert names(store.root / "tmp") == []


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_meta_is_strict_json(store: Store, value: object) -> None:
    with pytest.raises(StageFailed, match="not strict JSON"):
        store.produce(KEY, "model", fill(value=value))
    assert store.get(KEY) is None


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_a_writer_that_raises_leaves_nothing(store: Store, kind: type[BaseException]) -> None:
    def write(folder: Path) -> Mapping[str, object]:
        fill()(folder)
        raise kind("half way")

    with pytest.raises(kind, match="half way"):
        store.produce(KEY, "model", write)
    assert store.get(KEY) is None
    assert names(store.root / "tmp") == []
    assert store.produce(KEY, "model", fill())[1] is False


def test_eight_processes_compute_one_key_once(store: Store, tmp_path: Path) -> None:
    log, start, results = tmp_path / "log", FORK.Barrier(8), FORK.SimpleQueue()

    def write(folder: Path) -> Mapping[str, object]:
        with log.open("ab", buffering=0) as file:
            file.write(b"computed\n")
        for part in range(20):
            (folder / f"{part}.bin").write_bytes(os.urandom(200_000))
        return {"by": os.getpid()}

    def ask() -> None:
        for index in range(5):
            start.wait(timeout=20)
            results.put((index, *store.produce(f"{index:08x}", "model", write)))

    run_all([FORK.Process(target=ask, daemon=True) for _ in range(8)])
    found: list[tuple[int, Entry, bool]] = [results.get() for _ in range(8 * 5)]
    assert log.read_text() == "computed\n" * 5
    for index in range(5):
        mine = [(entry, cached) for place, entry, cached in found if place == index]
        assert sorted(cached for _, cached in mine) == [False] + [True] * 7
        assert all(entry == mine[0][0] for entry, _ in mine)


def slowly(ready: int) -> Callable[[Path], Mapping[str, object]]:
    def write(folder: Path) -> Mapping[str, object]:
        for part in range(5):
            (folder / f"{part}.bin").write_bytes(bytes([part]) * 30_000)
            os.write(ready, b".")
        return {}

    return write


def test_two_hundred_killed_writers_leave_no_torn_entry(store: Store) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    chance, unpublished, began = random.Random(7), 0, time.perf_counter()
    store.produce(KEY, "model", slowly(nowhere))
    undisturbed = time.perf_counter() - began
    for index in range(200):
        key = f"{index:08x}"
        read, write = os.pipe()
        writer = FORK.Process(target=store.produce, args=(key, "model", slowly(write)))
        writer.start()
        os.close(write)
        parts = chance.randrange(1, 8)
        for _ in range(min(parts, 5)):
            os.read(read, 1)
        if parts >= 5:  # somewhere in hashing, syncing and publishing
            writer.join(timeout=chance.uniform(0, undisturbed))
        writer.kill()
        writer.join()
        os.close(read)
        if store.get(key) is None:
            unpublished += 1
            if index % 2:
                assert store.produce(key, "model", slowly(nowhere))[1] is False
    os.close(nowhere)
    assert unpublished > 50
    assert names(store.root / "quarantine") == []  # torn entries were never there, not even for `get`
    assert len(store.gc().temporary) > 25
    assert names(store.root / "tmp") == []
    verified = store.verify()
    assert verified.damaged == ()
    assert verified.intact == len(list(store.entries())) > 100


def test_a_killed_holders_lock_is_free_at_once_though_its_child_lives(store: Store) -> None:
    ready_read, ready_write = os.pipe()
    quit_read, quit_write = os.pipe()

    def write(folder: Path) -> Mapping[str, object]:
        fill()(folder)
        if os.fork() == 0:  # as a data-loading worker would
            os.close(quit_write)
            os.write(ready_write, b"child")
            os.read(quit_read, 1)
            os._exit(0)
        signal.pause()
        return {}

    holder = FORK.Process(target=store.produce, args=(KEY, "model", write), daemon=True)
    holder.start()
    assert os.read(ready_read, 5) == b"child"
    assert store.gc().temporary == ()  # its writer lives
    holder.kill()
    holder.join()
    removed = store.gc()
    assert [name.partition(".")[0] for name in removed.temporary] == [KEY]
    assert removed.freed_bytes >= 5000
    assert store.produce(KEY, "model", fill())[1] is False
    for descriptor in (ready_read, ready_write, quit_read, quit_write):
        os.close(descriptor)


def test_gc_keeps_what_a_live_writer_writes(store: Store) -> None:
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()

    def write(folder: Path) -> Mapping[str, object]:
        fill()(folder)
        os.write(ready_write, b".")
        os.read(go_read, 1)
        return {}

    writer = FORK.Process(target=store.produce, args=(KEY, "model", write), daemon=True)
    writer.start()
    os.read(ready_read, 1)
    assert store.gc(unused_days=0).temporary == ()
    assert len(names(store.root / "tmp")) == 1
    os.write(go_write, b".")
    writer.join()
    assert writer.exitcode == 0
    assert store.get(KEY) is not None
    for descriptor in (ready_read, ready_write, go_read, go_write):
        os.close(descriptor)


def test_gc_keeps_where_an_interrupted_training_stands_for_some_days(store: Store) -> None:
    def interrupted(days_ago: float) -> Path:
        scratch = store.scratch(KEY)
        scratch.mkdir(parents=True)
        (scratch / "training.safetensors").write_bytes(bytes(5000))
        os.utime(scratch, 2 * (time.time() - days_ago * 86400,))
        return scratch

    scratch = interrupted(days_ago=2)
    assert store.gc().temporary == store.gc(unused_days=30).temporary == ()
    assert names(scratch) == ["training.safetensors"]
    assert store.gc(unused_days=1).temporary == (scratch.name,)
    interrupted(days_ago=8)
    removed = store.gc()
    assert (removed.temporary, removed.freed_bytes) == ((scratch.name,), 5000)
    assert names(store.root / "tmp") == []


def test_who_waits_for_long_is_told_for_what(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pare.files.TELL_AFTER_S", 0.01)
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()

    def write(folder: Path) -> Mapping[str, object]:
        os.write(ready_write, b".")
        select.select([go_read], [], [], 10)
        return fill()(folder)

    class GoOn(logging.Handler):
        lines: ClassVar[list[str]] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.lines.append(record.getMessage())
            os.write(go_write, b".")

    handler = GoOn(logging.WARNING)
    logging.getLogger("pare").addHandler(handler)
    writer = FORK.Process(target=store.produce, args=(KEY, "model", write), daemon=True)
    writer.start()
    os.read(ready_read, 1)
    try:
        assert store.produce(KEY, "model", refuse)[1]
    finally:
        logging.getLogger("pare").removeHandler(handler)
    writer.join()
    (line,) = handler.lines
    assert "waiting for another process" in line
    assert str(store.root / "locks" / KEY) in line
    for descriptor in (ready_read, ready_write, go_read, go_write):
        os.close(descriptor)


def test_producers_and_collectors_do_not_disturb_one_another(store: Store) -> None:
    def produce(seed: int) -> None:
        for index in range(40):
            entry, _ = store.produce(f"{index % 4:08x}", "model", fill(seed=index % 4))
            assert entry.key == f"{index % 4:08x}", seed

    def collect(_: int) -> None:
        for _ in range(40):
            store.gc(unused_days=0)

    run_all([FORK.Process(target=work, args=(i,)) for i in range(3) for work in (produce, collect)])
    assert names(store.root / "tmp") == []
    assert names(store.root / "quarantine") == []


def test_gc_does_not_take_what_was_just_handed_out(store: Store) -> None:
    long_ago, stop = time.time() - 9 * 86400, FORK.Event()

    def collect() -> None:
        while not stop.is_set():
            store.gc(unused_days=1)

    collectors = [FORK.Process(target=collect, daemon=True) for _ in range(2)]
    for collector in collectors:
        collector.start()
    for _ in range(150):
        entry, _ = store.produce(KEY, "model", fill())
        os.utime(entry.path / "manifest.json", (long_ago, long_ago))
        if found := store.get(KEY):
            assert store.produce(KEY, "model", refuse) == (found, True)
    stop.set()
    for collector in collectors:
        collector.join()


def test_one_flipped_byte_in_each_of_fifty_files_is_found(store: Store) -> None:
    chance = random.Random(3)
    keys = [f"{index:08x}" for index in range(50)]
    for index, key in enumerate(keys):
        entry, _ = store.produce(key, "model", fill(seed=index))
        path = entry.path / chance.choice(["deep/er/weights.bin", "config.json", "manifest.json"])
        content, place = bytearray(path.read_bytes()), 0
        while content[place := chance.randrange(len(content))] in b" \n":
            pass  # white space in a manifest says nothing
        content[place] ^= 1 << chance.randrange(7)
        path.write_bytes(content)
    assert [key for key in keys if store.get(key)] == []
    assert len(names(store.root / "quarantine")) == 50
    assert [store.produce(key, "model", fill(seed=index))[1] for index, key in enumerate(keys)] == [
        False
    ] * 50
    assert all(store.get(key) for key in keys)


def truncate(entry: Entry) -> None:
    os.truncate(entry.path / "manifest.json", 40)


def drop_manifest(entry: Entry) -> None:
    (entry.path / "manifest.json").unlink()


def better_score(entry: Entry) -> None:
    path = entry.path / "manifest.json"
    path.write_text(path.read_text().replace("0.81", "0.91"))


def swap_manifest(entry: Entry) -> None:
    other = entry.path.rename(entry.path.with_name(KEY[::-1]))
    Store(entry.path.parents[2]).produce(KEY, "model", fill(f1=0.5))
    (entry.path / "manifest.json").write_bytes(
        (other / "manifest.json").read_bytes().replace(KEY.encode(), b"0" * 16)
    )


def swap_for_link(entry: Entry) -> None:
    path = entry.path / "config.json"
    path.unlink()
    path.symlink_to("/dev/null")


DAMAGES: dict[str, tuple[Callable[[Entry], object], str]] = {
    "missing file": (lambda entry: (entry.path / "config.json").unlink(), "config.json is missing"),
    "extra file": (lambda entry: (entry.path / "deep" / "x").write_text(""), "deep/x is not one"),
    "longer file": (lambda entry: (entry.path / "config.json").write_text("{ }"), "3 bytes instead of 2"),
    "truncated manifest": (truncate, "manifest.json is not one"),
    "no manifest": (drop_manifest, "manifest.json: No such file"),
    "list as manifest": (lambda entry: (entry.path / "manifest.json").write_text("[]"), "is not one"),
    "better score": (better_score, "manifest.json does not hold what was written"),
    "another's manifest": (swap_manifest, "manifest.json does not hold what was written"),
    "link": (swap_for_link, "config.json is a symbolic link"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_told_in_one_line_and_repaired(
    store: Store, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    damage, said = DAMAGES[name]
    entry, _ = store.produce(KEY, "model", fill(f1=0.81))
    damage(entry)
    assert store.get(KEY) is None
    assert store.get(KEY) is None
    (line,) = caplog.messages
    assert KEY in line
    assert said in line
    assert "\n" not in line
    again, cached = store.produce(KEY, "model", fill(f1=0.81))
    assert (again.digest, again.meta, cached) == (entry.digest, entry.meta, False)


def test_verify_names_the_damaged_and_counts_the_rest(store: Store) -> None:
    entries = [store.produce(f"{index:08x}", "model", fill(seed=index))[0] for index in range(5)]
    truncate(entries[1])
    (entries[3].path / "config.json").unlink()
    assert len(list(store.entries())) == 4
    found = store.verify()
    assert (found.intact, found.damaged) == (3, ("00000001", "00000003"))
    assert [entry.key for entry in store.entries()] == ["00000000", "00000002", "00000004"]
    removed = store.gc()
    assert [name.partition(".")[0] for name in removed.quarantined] == ["00000001", "00000003"]
    assert removed.freed_bytes > 10_000
    assert names(store.root / "quarantine") == []


def test_gc_removes_what_was_long_unused(store: Store) -> None:
    entries = [store.produce(f"{index:08x}", "model", fill(seed=index))[0] for index in range(3)]
    month_ago = time.time() - 31 * 86400
    for entry in entries[:2]:
        os.utime(entry.path / "manifest.json", (month_ago, month_ago))
    store.verify()  # no use
    assert store.get("00000001")  # a use
    assert store.gc().unused == ()
    would = store.gc(unused_days=30, dry_run=True)
    assert would.unused == ("00000000",)
    assert store.get("00000001")
    assert entries[0].path.exists()
    assert store.gc(unused_days=30) == would
    assert [entry.key for entry in store.entries()] == ["00000001", "00000002"]
    assert store.gc(unused_days=0).unused == ("00000001", "00000002")


def test_gc_of_a_store_that_is_not_there_removes_nothing(store: Store) -> None:
    assert store.gc(unused_days=0).freed_bytes == 0
    assert (store.verify().intact, list(store.entries())) == (0, [])


def overfill(folder: Path) -> Mapping[str, object]:
    for part in range(100):
        (folder / f"{part}.bin").write_bytes(os.urandom(10_000))
    return {}


def overfill_and_hide_it(folder: Path) -> Mapping[str, object]:
    with suppress(OSError):
        overfill(folder)
    raise RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0")  # torch.save


@pytest.mark.parametrize("write", [overfill, overfill_and_hide_it])
def test_a_full_disk_keeps_earlier_entries_and_nothing_half_written(
    tmp_path: Path, write: Callable[[Path], Mapping[str, object]]
) -> None:
    with tmpfs(tmp_path / "disk", "size=300k") as disk:
        store = Store(disk / "store")
        store.check_writable()
        entry, _ = store.produce("aaaaaaaa", "model", fill())
        said = rf"the disk is full: {disk}/store has 0\.0 MB free, model bbbbbbbb needs more"
        with pytest.raises(StoreFull, match=said):
            store.produce("bbbbbbbb", "model", write)
        assert store.get("aaaaaaaa") == entry
        assert store.get("bbbbbbbb") is None
        assert names(disk / "store" / "tmp") == []
        assert store.produce("bbbbbbbb", "model", fill(seed=1))[1] is False
        assert store.verify().intact == 2


def test_a_disk_that_fills_at_any_step_of_publishing_publishes_nothing(tmp_path: Path) -> None:
    outcomes = set()
    with tmpfs(tmp_path / "disk", "size=400k") as disk:
        store = Store(disk / "store")
        store.check_writable()
        for inodes in range(20, 60):
            os.system(f"mount -o remount,nr_inodes={inodes} {disk}")
            key = f"{inodes:08x}"
            try:
                store.produce(key, "model", fill())
                outcomes.add("kept")
            except StoreFull:
                outcomes.add("full")
                assert not (disk / "store" / "objects" / key[:2] / key).exists()
            assert names(disk / "store" / "tmp") == []
            assert store.verify().damaged == ()
    assert outcomes == {"kept", "full"}


def test_a_store_that_can_be_written_stays_empty(store: Store) -> None:
    store.check_writable()
    assert [path for path in store.root.rglob("*") if not path.is_dir()] == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreNotWritable, match=rf"store {root}: .*a writable folder is needed") as caught:
            Store(root).check_writable()
        assert "\n" not in str(caught.value)


def test_a_file_system_without_any_room_is_not_called_full() -> None:
    with pytest.raises(StoreNotWritable, match=r"/proc/store.*: No such file or directory; a writable"):
        Store(Path("/proc/store")).check_writable()


def test_a_read_only_disk_is_refused(tmp_path: Path) -> None:
    with (
        tmpfs(tmp_path / "disk", "size=300k,ro") as disk,
        pytest.raises(StoreNotWritable, match=r"Read-only file system; a writable folder is needed"),
    ):
        Store(disk / "store").check_writable()


def test_a_disk_that_became_read_only_is_refused(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=300k") as disk:
        store = Store(disk / "store")
        store.check_writable()
        assert os.system(f"mount -o remount,ro {disk}") == 0
        with pytest.raises(StoreNotWritable, match="Read-only file system"):
            store.check_writable()


def test_a_store_spread_over_two_disks_is_refused(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=300k") as disk:
        store = Store(tmp_path / "store")
        store.root.mkdir()
        (store.root / "objects").symlink_to(disk)
        with pytest.raises(StoreNotWritable, match="lie on 2 file systems; one is needed"):
            store.check_writable()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    store, results = Store(tmp_path / "store"), FORK.SimpleQueue()

    def check() -> None:
        os.setuid(65534)
        try:
            store.check_writable()
        except StoreNotWritable as error:
            results.put(str(error))
        else:
            results.put("writable")

    process = FORK.Process(target=check)
    process.start()
    process.join()
    assert "Permission denied; a writable folder is needed" in results.get()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_what_someone_else_made_can_be_read() -> None:
    with TemporaryDirectory() as place:  # into pytest's own folders only its user may look
        Path(place).chmod(0o755)
        store, results = Store(Path(place) / "store"), FORK.SimpleQueue()
        made, _ = store.produce(KEY, "model", fill())

        def read() -> None:
            os.setuid(65534)
            results.put(store.get(KEY))

        run_all([FORK.Process(target=read)])
        assert results.get() == made
