"""What a folder says of its job while another one begins in it, fails or is killed."""

import json
import multiprocessing
import random
import signal
from pathlib import Path

import pytest
import yaml

from commands import status_of
from pare.status import told

FORK = multiprocessing.get_context("fork")


def bundle_of(folder: Path, key: str, files: int = 1) -> list[Path]:
    """A bundle that a job with that key left there."""
    made = [folder / "bundle" / name for name in ("bundle.json", *(f"{n}.bin" for n in range(files)))]
    made[0].parent.mkdir()
    made[0].write_text(json.dumps({"schema": "pare/bundle@1", "key": key}), encoding="utf-8")
    for file in made[1:]:
        file.write_bytes(b"weights")
    return made


@pytest.mark.parametrize(("key", "stays"), [("another", False), ("mine", True)])
@pytest.mark.parametrize(
    ("end", "state"), [(ZeroDivisionError, "failed"), (KeyboardInterrupt, "interrupted")]
)
def test_a_job_that_came_to_nothing_has_no_bundle_of_another_configuration(
    tmp_path: Path, key: str, stays: bool, end: type[BaseException], state: str
) -> None:
    """One that is repeated unchanged keeps what it had."""
    files = bundle_of(tmp_path, key)
    with pytest.raises(end), told(tmp_path, "job", "mine", {"seed": 1}, ()):
        raise end
    assert status_of(tmp_path)["state"] == state
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")) == {"seed": 1}
    assert [file.exists() for file in files] == [stays] * len(files)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(["bundle"] if stays else []), "config.yaml", "status.json",
    ]  # fmt: skip


def test_a_folder_of_that_name_that_is_no_bundle_is_left(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("[]", encoding="utf-8")
    with told(tmp_path, "job", "mine", {}, ()):
        pass
    assert (tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8") == "[]"


def test_whoever_is_killed_as_he_begins_leaves_a_whole_bundle_or_none(tmp_path: Path) -> None:
    def begin(folder: Path) -> None:
        with told(folder, "job", "mine", {}, ()):
            signal.pause()

    chance, found = random.Random(0), set()
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "status.json").write_text('{"state": "done"}', encoding="utf-8")
        files = bundle_of(folder, "another", files=100)
        job = FORK.Process(target=begin, args=(folder,))
        job.start()
        job.join(timeout=chance.uniform(0, 0.01))
        job.kill()
        job.join()
        there = {file.exists() for file in files}
        assert len(there) == 1
        if (folder / "status.json").exists() and status_of(folder)["state"] == "done":
            assert there == {True}
        found |= there
    assert found == {True, False}
