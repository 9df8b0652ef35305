"""How a machine is known: its chips and its GPUs by name."""

import os
from pathlib import Path

import pytest

from pare.machine import chip, cpu, driver, free_memory, gpu, gpu_ids, gpus


def test_gpus_and_their_pieces_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(
        "#!/bin/sh\n"
        "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n"
        "echo '  MIG 3g.71gb     Device  0: (UUID: MIG-2)'\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus() == ["NVIDIA H200", "MIG 3g.71gb"]
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


def test_free_memory_is_what_the_groups_that_a_process_is_in_leave(tmp_path: Path) -> None:
    """Of a job of SLURM's, say, which is killed for more whatever the machine has; a cache is given back."""

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert free_memory(str(tmp_path)) is None
    write("proc/meminfo", "MemTotal: 900 kB\nMemAvailable:    500 kB\n")
    assert free_memory(str(tmp_path)) == 512_000
    write("proc/self/cgroup", "0::/job/step\n")
    write("sys/fs/cgroup/job/step/memory.max", "max\n")
    write("sys/fs/cgroup/job/step/memory.current", "1000\n")
    write("sys/fs/cgroup/job/memory.max", "300000\n")
    write("sys/fs/cgroup/job/memory.current", "200000\n")
    write("sys/fs/cgroup/job/memory.stat", "anon 120000\ninactive_file 80000\n")
    assert free_memory(str(tmp_path)) == 180_000
