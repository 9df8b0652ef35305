"""What stands for a value and for code, and what changes it."""

import enum
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pare.provenance import (
    canonical_json,
    code_digest,
    digest,
    environment,
    file_digest,
    versions,
)


class Precision(enum.Enum):
    INT8 = "int8"


@dataclass(frozen=True)
class Gate:
    metric: str
    limit: float
    data: Path
    precision: Precision = Precision.INT8


@dataclass(frozen=True)
class Goal:
    metric: str
    limit: float
    data: Path
    precision: Precision = Precision.INT8


def test_canonical_json_is_sorted_tight_and_ascii() -> None:
    value = {"b": (1, 2.5, None, True), "a": {"y": Path("x/y"), "x": "压"}}
    assert canonical_json(value) == '{"a":{"x":"\\u538b","y":"x/y"},"b":[1,2.5,null,true]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(1) != digest(1.0) != digest("1")


def test_dataclasses_carry_their_class() -> None:
    gate = json.loads(canonical_json(Gate("f1", 0.01, Path("d"))))
    assert gate["class"].endswith("test_provenance.Gate")
    assert gate["data"] == "d"
    assert gate["precision"]["name"] == "INT8"
    assert digest(Gate("f1", 0.01, Path("d"))) != digest(Goal("f1", 0.01, Path("d")))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_canonical_json_refuses_what_json_cannot_say(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", {1: "a"}, Gate])
def test_canonical_json_refuses_what_has_no_single_text(value: object) -> None:
    with pytest.raises(TypeError, match="allowed"):
        canonical_json(value)


def test_file_digest_reads_files_larger_than_its_buffer(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(3_000_001))
    expected = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True)
    assert file_digest(path) == expected.stdout.split()[0]


SOURCES = {
    "fake/__init__.py": "VERSION = 1\n",
    "fake/stage.py": (
        "from typing import TYPE_CHECKING\n"
        "import os, torch, fake.wide.leaf\n"
        "from fake.deep import inner, CONSTANT\n"
        "from . import sibling\n"
        "if TYPE_CHECKING:\n    from fake import typed\n"
        "def run():\n    import fake.late as late\n"
        "class A:\n    def f(self):\n        from .missing import x\n"
    ),
    "fake/wide/__init__.py": "",
    "fake/wide/leaf.py": "",
    "fake/deep/__init__.py": "CONSTANT = 1\n",
    "fake/deep/inner.py": "from ..far import thing\n",
    "fake/far.py": "import fake.stage\nthing = 1\n",
    "fake/sibling.py": "",
    "fake/late.py": "",
    "fake/typed.py": "",
    "fake/unrelated.py": "import fake.stage\n",
    "fake/deep/unrelated.py": "",
}


def lay_out(root: Path, changed: str | None = None) -> Path:
    for name, source in SOURCES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + ("# changed\n" if name == changed else ""))
    return root


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_code_digest_changes_with_what_is_imported_and_only_with_that(tmp_path: Path, name: str) -> None:
    before = code_digest("fake.stage", lay_out(tmp_path / "before"))
    after = code_digest("fake.stage", lay_out(tmp_path / "elsewhere" / "after", changed=name))
    reached = name not in ("fake/typed.py", "fake/unrelated.py", "fake/deep/unrelated.py")
    assert (before != after) == reached


def test_code_digest_does_not_depend_on_what_was_asked_first(tmp_path: Path) -> None:
    first, second = lay_out(tmp_path / "first"), lay_out(tmp_path / "second")
    names = ["fake.stage", "fake.far", "fake.deep.inner", "fake"]
    forward = {name: code_digest(name, first) for name in names}
    backward = {name: code_digest(name, second) for name in reversed(names)}
    assert forward == backward
    # the three import one another in a ring: they are the same code
    assert len(set(forward.values())) == 2


def test_code_digest_of_the_real_package_does_not_depend_on_its_place(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "src" / "pare"
    shutil.copytree(source, tmp_path / "pare", ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest("pare.store") == code_digest("pare.store", tmp_path)
    assert code_digest("pare.store") != code_digest("pare.artifact")


def test_code_is_what_it_was_when_the_process_first_asked(tmp_path: Path) -> None:
    """A file edited while a job runs is not the code that runs; and reading all again would take a while."""
    root = lay_out(tmp_path)
    before = code_digest("fake.stage", root)
    for file in (root / "fake").rglob("*.py"):
        file.write_text("changed = True\n", encoding="utf-8")
    assert code_digest("fake.stage", root) == before


def test_code_digest_names_a_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"fake\.nothing: no source file under"):
        code_digest("fake.nothing", lay_out(tmp_path))


def test_versions_of_what_is_and_is_not_installed() -> None:
    found = versions(["pytest", "no-such-package-as-this"])
    assert found["pytest"] == pytest.__version__
    assert found["no-such-package-as-this"] is None


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_environment_says_where_git_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git"] is None
    git("init")
    assert environment()["git"] is None  # no commit yet
    Path("a").write_text("a")
    git("add", "a")
    git("commit", "-m", "a")
    clean = environment()["git"]
    assert isinstance(clean, dict)
    assert (len(clean["commit"]), clean["dirty"]) == (40, False)
    Path("a").write_text("b")
    assert environment()["git"] == {**clean, "dirty": True}


def test_environment_without_any_command_is_strict_json() -> None:
    program = "from pare.provenance import *; print(canonical_json(environment()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["gpu"] == []
    assert found["git"] is None
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert found["cpu"]
