"""`pare store …` on a store of a few bytes, `pare data …` on a few rows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pare.cli import main
from pare.store import Store
from test_files import tmpfs

KEYS = [f"{number}" * 16 for number in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three entries."""
    found = Store(tmp_path / "store")
    found.check_writable()
    for number, key in enumerate(KEYS):

        def write(folder: Path, number: int = number) -> dict[str, object]:
            (folder / "data").write_bytes(bytes([number]) * 1000)
            return {"stage": f"stage{number}", "seed": number}

        found.produce(key, "checkpoint", write)
    return tmp_path / "store"


def data(store: Path, key: str) -> Path:
    return store / "objects" / key[:2] / key / "data"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)


def test_ls_lists_every_entry(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "--root", str(store), "ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(any(key in line and "checkpoint" in line for line in lines) for key in KEYS)
    assert any("stage=stage1 seed=1" in line for line in lines)
    assert lines[-1].startswith("3 entries")


def test_verify_finds_one_flipped_bit(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "--root", str(store), "verify"]) == 0
    assert "3 intact, 0 damaged" in capsys.readouterr().out
    flip(data(store, KEYS[1]))
    assert main(["store", "--root", str(store), "verify"]) == 1
    out = capsys.readouterr().out
    assert f"damaged: {KEYS[1]}" in out
    assert "2 intact, 1 damaged" in out
    assert main(["store", "--root", str(store), "verify"]) == 0


def test_gpus_are_numbered_as_nvidia_smi_lists_them(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    monkeypatch.delenv("CUDA_DEVICE_ORDER")  # and as it was once the test is done
    main(["store", "--root", str(store), "ls"])
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_dry_gc_removes_nothing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(data(store, KEYS[0]))
    main(["store", "--root", str(store), "verify"])
    old = store / "objects" / KEYS[2][:2] / KEYS[2]
    for manifest in old.glob("manifest*"):
        os.utime(manifest, (0, 0))
    capsys.readouterr()
    said = []
    for flag in (["--dry-run"], []):
        assert main(["store", "--root", str(store), "gc", "--unused-days", "30", *flag]) == 0
        said.append(capsys.readouterr().out)
        assert f"damaged: {KEYS[0]}" in said[-1]
        assert f"unused: {KEYS[2]}" in said[-1]
        assert old.exists() == bool(flag)
    assert said[0].replace("would free", "freed") == said[1]
    assert [entry.key for entry in Store(store).entries()] == [KEYS[1]]


@pytest.mark.parametrize("days", ["-1", "nan", "soon"])
def test_days_that_make_no_sense_remove_nothing(
    store: Path, days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["store", "--root", str(store), "gc", f"--unused-days={days}"])
    assert ended.value.code == 2
    assert f"--unused-days: {days} is not a number of days" in capsys.readouterr().err
    assert len(list(Store(store).entries())) == 3


@pytest.mark.parametrize("name", ["absent", "file", "folder"])
def test_no_store_is_said_and_none_is_made(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is no store is left alone: gc would empty its quarantine."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "quarantine" / "mine").mkdir(parents=True)
    for action in ("ls", "verify", "gc"):
        assert main(["store", "--root", str(tmp_path / name), action]) == 2
        assert capsys.readouterr().err == f"error: --root: no store at {tmp_path / name}\n"
    assert (tmp_path / "folder" / "quarantine" / "mine").exists()
    assert not (tmp_path / "absent").exists()


def test_the_installed_command_starts_without_torch(store: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from pare.cli import main; sys.exit(main())"
    finished = subprocess.run(
        [sys.executable, "-c", code, "store", "ls"],
        env={**os.environ, "PARE_STORE": str(store)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "3 entries" in finished.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_who_reads_only_the_beginning_of_a_list_ends_it_quietly(store: Path, unbuffered: str) -> None:
    """`pare store ls | head`"""
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run(
        [sys.executable, "-m", "pare.cli", "store", "--root", str(store), "ls"],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (finished.returncode, finished.stderr) == (1, "")


def test_what_a_terminal_cannot_show_is_shown_by_its_number(store: Path) -> None:
    place = store.rename(store.parent / "评论")
    finished = subprocess.run(
        [sys.executable, "-m", "pare.cli", "store", "--root", str(place), "ls"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("/\\u8bc4\\u8bba\n")


def test_the_store_is_found_as_runs_find_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below $HOME, where no shell has put it in; an empty variable is none."""
    monkeypatch.setenv("HOME", str(store.parent))
    monkeypatch.setenv("PARE_STORE", "~/store")
    assert main(["store", "ls"]) == 0
    monkeypatch.setenv("PARE_STORE", "")
    assert main(["store", "--root=~/store", "ls"]) == 0
    monkeypatch.chdir(store.rename(store.parent / "artifacts").parent)
    assert main(["store", "ls"]) == 0
    assert capsys.readouterr().out.count("3 entries") == 3


def test_get_copies_what_an_entry_holds(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "taken"
    assert main(["store", "--root", str(store), "get", KEYS[1][:6], str(place)]) == 0
    assert [path.name for path in place.iterdir()] == ["data"]
    assert (place / "data").read_bytes() == data(store, KEYS[1]).read_bytes()
    assert "stage=stage1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "says"),
    [("7777", "no entry"), ("", "3 entries"), ("FLIPPED", "is damaged"), ("0000", "is there already")],
)
def test_get_says_what_it_cannot_copy(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, says: str
) -> None:
    place = tmp_path / "taken"
    if key == "FLIPPED":
        flip(data(store, KEYS[1]))
        key = KEYS[1]
    if says == "is there already":
        place.mkdir()
    assert main(["store", "--root", str(store), "get", key, str(place)]) in (1, 2)
    assert says in capsys.readouterr().err


def test_a_read_only_store_is_verified_and_copied_from(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(data(store, KEYS[1]))
    (store / "locks" / KEYS[2]).unlink()
    with tmpfs(tmp_path / "disk", "size=1m") as disk:
        place, taken = shutil.copytree(store, disk / "store"), tmp_path / "taken"
        assert os.system(f"mount -o remount,ro {disk}") == 0
        command = ["store", "--root", str(place)]
        assert main([*command, "verify"]) == 1
        said = capsys.readouterr()
        assert f"damaged: {KEYS[1]}" in said.out
        assert "2 intact, 1 damaged" in said.out
        assert main([*command, "get", KEYS[1], str(taken)]) == 1
        assert not taken.exists()
        assert main([*command, "get", KEYS[2], str(taken)]) == 0
        assert (taken / "data").read_bytes() == data(store, KEYS[2]).read_bytes()
        assert main([*command, "gc", "--unused-days", "0", "--dry-run"]) == 0
        capsys.readouterr()
        assert main([*command, "gc", "--unused-days", "0"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {place}/objects/")
        assert line.endswith(": Read-only file system")


def test_get_where_nothing_can_be_written_is_one_line(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "taken", Path("/proc/taken")):
        assert main(["store", "--root", str(store), "get", KEYS[1], str(place)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: folder: {place.parent}: ")
        assert line.endswith("a writable folder is needed")


def test_get_to_a_full_disk_leaves_nothing_in_the_way_of_the_next(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tmpfs(tmp_path / "disk", "size=16k") as disk:
        (disk / "filler").write_bytes(bytes(16 * 1024))
        command = ["store", "--root", str(store), "get", KEYS[1], str(disk / "taken")]
        assert main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: the disk is full: {disk} has 0.0 MB free, taken needs more")
        assert [path.name for path in disk.iterdir()] == ["filler"]
        (disk / "filler").unlink()
        assert main(command) == 0
        assert (disk / "taken" / "data").read_bytes() == data(store, KEYS[1]).read_bytes()


@pytest.fixture
def rows(tmp_path: Path) -> list[str]:
    """How run.py would be told of three small files."""
    splits = {
        "train": ["play a song\tmusic"] * 2 + ["play it\tmusic", "go home\tmap", "play it\tmap"],
        "dev": ["play a song\tmusic", "call her\tphone"],
        "test": ["go there now please my dear and soon\tmap", "call her\tphone"],
    }
    for split, lines in splits.items():
        (tmp_path / f"{split}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    return ["task=mine", "task.max_length=8", *(f"task.{split}={tmp_path}/{split}.tsv" for split in splits)]


def test_data_says_what_is_in_it(rows: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *rows]) == 0
    out = capsys.readouterr().out
    table = {line.split()[0]: line.split()[1:] for line in reversed(out.splitlines()) if line.strip()}
    # rows, tokens at the median … of the longest text, longer than 8, seen in train
    assert table["train"] == ["5", "4", "5", "5", "5", "0", "2"]
    assert (table["dev"][0], table["dev"][-1]) == ("2", "1")
    assert (table["test"][0], table["test"][-2:]) == ("2", ["1", "0"])
    assert table["music"] == ["3", "1", "0"]
    assert table["phone"] == ["0", "1", "1"]
    assert "max_length=8 would cut at most one training text of a hundred" in out
    assert "test: 1 texts are in dev too" in out
    assert "train: 1 texts come with different labels" in out
    assert "dev: 1 labels that train lacks: phone" in out


def test_a_split_without_rows_is_shown_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each label: none of them can be cut from train."""
    file = tmp_path / "faq.tsv"
    file.write_text("text\tlabel\nwhere are you\tplace\nwhen do you open\ttime\n", encoding="utf-8")
    assert main(["data", "task=mine", f"task.train={file}"]) == 0
    out = capsys.readouterr().out
    table = {line.split()[0]: line.split()[1:] for line in reversed(out.splitlines()) if line.strip()}
    assert [table[split][0] for split in ("train", "dev", "test")] == ["2", "0", "0"]


def test_data_may_refer_to_other_keys(rows: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *rows, "seed=9", "task.max_length=${seed}"]) == 0
    assert "longer than 9" in capsys.readouterr().out


def test_a_task_that_is_no_yaml_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "broken.yaml").write_text("name: broken\n\tmax_length: 8\n", encoding="utf-8")
    assert main(["data", f"hydra.searchpath=[file://{tmp_path}]", "task=broken"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert f'"{tmp_path}/task/broken.yaml", line 2, column 1' in line


def test_labels_are_shown_as_they_are_written(
    rows: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are no styles."""
    for name, label in (("train", "[red]music"), ("dev", "[/call]")):
        with (tmp_path / f"{name}.tsv").open("a", encoding="utf-8") as file:
            file.write(f"sing\t{label}\n")
    assert main(["data", *rows]) == 0
    out = capsys.readouterr().out
    assert "[red]music" in out
    assert "dev: 2 labels that train lacks: [/call], phone" in out


def test_a_file_of_one_s_own_beside_a_hub_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.json").write_text("[]", encoding="utf-8")
    assert main(["data", "task=cluener", "task.source.folder=null", "task.source.train=mine/train.json"]) == 2
    assert "task.source.train=mine/train.json: no file is read, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["task=nope"], "Could not find 'task/nope'"),
        (["task=mine"], "task.train"),
        (["~task"], "task: missing"),
        (["task=mine", "task.train=/no/such.tsv"], "task.train: no such file: /no/such.tsv"),
        (
            ["task=banking77", "task.source.folder=null", "task.source.train=/me/mine.csv"],
            "task.source.train=/me/mine.csv: no file is read, PolyAI/banking77 of the hub is; hub=null",
        ),
        (
            ["task=banking77", "task.source.folder=null", "+task.source.unlabelled=texts.csv"],
            "task.source.unlabelled=texts.csv: no file is read, PolyAI/banking77 of the hub is; hub=null",
        ),
        (["task.max_length=3"], "task.max_length=3: at least 8 tokens are needed"),
        (["task=car", "model.path=/no/such"], "model.path: no such folder: /no/such"),
        (
            ["task=car", "model.architecture.vocabulary_file=/no/such.txt"],
            "model.architecture.vocabulary_file: no such file: /no/such.txt",
        ),
    ],
)
def test_data_that_cannot_be_read_is_one_line(
    wrong: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *wrong]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line
