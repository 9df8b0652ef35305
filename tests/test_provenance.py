"""What stands for a value, for code and for a machine, and what changes it."""

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
    chip,
    code_digest,
    cpu,
    digest,
    driver,
    environment,
    file_digest,
    gpu,
    gpu_ids,
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


def test_environment_lists_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(
        "#!/bin/sh\n"
        "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n"
        "echo '  MIG 3g.71gb     Device  0: (UUID: MIG-2)'\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment()["gpu"] == ["NVIDIA H200", "MIG 3g.71gb"]
    assert gpu_ids() == ["MIG-2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7,GPU-8")
    assert gpu_ids() == ["GPU-7", "GPU-8"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7,-1,GPU-8")
    assert gpu_ids() == ["GPU-7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpu_ids() == []


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ("Tesla T4", "GPU-aa")),
        ("1", ("NVIDIA A10", "GPU-bb")),
        ("GPU-b", ("NVIDIA A10", "GPU-bb")),
        ("MIG-c1, 0", ("NVIDIA H200 MIG 3g.71gb", "MIG-c1")),
        ("7", None),
        ("", None),
    ],
)
def test_the_gpu_is_the_one_that_cuda_takes(
    visible: str | None, found: tuple[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["GPU 0: Tesla T4 (UUID: GPU-aa)", "GPU 1: NVIDIA A10 (UUID: GPU-bb)"]
    if visible and visible.startswith("MIG"):
        lines += ["GPU 2: NVIDIA H200 (UUID: GPU-cc)", "  MIG 3g.71gb     Device  0: (UUID: MIG-c1)"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu() == found


def test_a_gpu_is_asked_for_once_however_many_jobs_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    listed = "echo 'GPU 0: Tesla T4 (UUID: GPU-aa)'"
    script = f"#!/bin/sh\necho $1 >> {asked}\ncase $1 in -L) {listed};; *) echo 580.65.06;; esac\n"
    (tmp_path / "nvidia-smi").write_text(script)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for _ in range(3):
        assert (gpu(), driver(), gpu_ids()) == (("Tesla T4", "GPU-aa"), "580.65.06", ["GPU-aa"])
    assert sorted(asked.read_text().split()) == ["--query-gpu=driver_version", "-L"]


def core(part: str, variant: str, more: str = "") -> str:
    """As /proc/cpuinfo has it on arm64."""
    return (
        f"processor\t: 0\n{more}BogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {variant}\nCPU part\t: {part}\n"
        "CPU revision\t: 3\n\n"
    )


JETSON = "model name\t: ARMv8 Processor rev 1 (v8l)\n"


@pytest.mark.parametrize(
    ("cpuinfo", "board", "name"),
    [
        (4 * core("0xd08", "0x0"), "Pi 4 Rev 1.4", "Pi 4 Rev 1.4 (implementer 0x41 part 0xd08 variant 0x0)"),
        (4 * core("0xd0b", "0x4"), "Pi 5 Rev 1.0", "Pi 5 Rev 1.0 (implementer 0x41 part 0xd0b variant 0x4)"),
        (64 * core("0xd0c", "0x3"), "", "ARM (implementer 0x41 part 0xd0c variant 0x3)"),  # Graviton2
        (64 * core("0xd40", "0x1"), "", "ARM (implementer 0x41 part 0xd40 variant 0x1)"),  # Graviton3
        (
            4 * core("0xd0b", "0x4") + 4 * core("0xd05", "0x2"),
            "",
            "ARM (implementer 0x41 part 0xd05 variant 0x2 + implementer 0x41 part 0xd0b variant 0x4)",
        ),
        (
            core("0xd42", "0x0", JETSON),
            "",
            "ARMv8 Processor rev 1 (v8l) (implementer 0x41 part 0xd42 variant 0x0)",
        ),
        ("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) \nstepping\t: 7\n", "", "Intel(R) Xeon(R)"),
        ("processor\t: 0\nisa\t: rv64imafdc\n", "VisionFive 2", "VisionFive 2"),
        ("", "", ""),
    ],
)
def test_two_chips_have_two_names(cpuinfo: str, board: str, name: str) -> None:
    """Scores and milliseconds in a store are kept by them."""
    assert chip(cpuinfo, board) == name


def test_a_mac_is_asked_for_the_name_of_its_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = '[ "$*" = "-n machdep.cpu.brand_string" ]'
    (tmp_path / "sysctl").write_text(f"#!/bin/sh\n{asked} && echo Apple M3\n")
    (tmp_path / "sysctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert cpu.__wrapped__() == "Apple M3"


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
