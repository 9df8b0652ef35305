"""`pare store …` on a store of a few bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pare.cli import main
from pare.store import Store

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
    assert f"damaged, moved to quarantine: {KEYS[1]}" in out
    assert "2 intact, 1 damaged" in out
    assert main(["store", "--root", str(store), "verify"]) == 0


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
def test_days_that_make_no_sense_remove_nothing(store: Path, days: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["store", "--root", str(store), "gc", f"--unused-days={days}"])
    assert ended.value.code == 2
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
