"""This machine: its processors, its memory and its GPUs by name, and which of them a process may use."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from shutil import which
from socket import gethostname

_GPU_LINE = r"\s*(?:GPU \d+: (.+?)|(MIG \S+)\s+Device\s+\d+:) \(UUID: ([^)\s]+)"


@cache
def cpu() -> str | None:
    import platform

    if platform.system() == "Darwin":  # where all of Apple's are one to `platform`
        found = (output_of("sysctl", "-n", "machdep.cpu.brand_string") or "").strip()
    else:
        found = chip(_text_of("/proc/cpuinfo"), _text_of("/sys/firmware/devicetree/base/model"))
    return found or platform.processor() or platform.machine() or None


def chip(cpuinfo: str, board: str) -> str:
    """A CPU by its name. ARM's have none, or one that many share, but numbers for each kind of core."""

    def values(field: str) -> list[str]:
        found = re.findall(rf"^{field}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
        return [value.strip() for value in found]

    name = next(iter(values("model name")), "")
    fields = (values(f"CPU {field}") for field in ("implementer", "part", "variant"))
    kinds = sorted(set(zip(*fields, strict=False)))
    if not kinds:
        return name or board
    numbers = " + ".join(
        f"implementer {implementer} part {part} variant {variant}" for implementer, part, variant in kinds
    )
    return f"{board or name or 'ARM'} ({numbers})"


def _text_of(file: str) -> str:
    """What the system has to say there, if it does."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """NVIDIA's, by name; of one that is cut up, the pieces."""
    return [gpu or mig for gpu, mig, _ in _gpu_lines()]


def gpu_ids() -> list[str]:
    """What CUDA_VISIBLE_DEVICES takes for each of them; those that it has, where it is set."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return list(takewhile(lambda one: one and not one.startswith("-"), told.split(",")))  # as CUDA does
    found = [uuid for _, _, uuid in _gpu_lines()]
    pieces = [uuid for uuid in found if uuid.startswith("MIG")]
    return pieces or found  # a GPU that is cut up cannot be had whole


def number_gpus_as_told() -> None:
    """Before CUDA is initialised, here or in what is started from here.

    Its own order is the fastest first, that of nvidia-smi the one on the bus: where cards differ, another
    would be named, watched and locked than is used.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def gpu() -> tuple[str, str] | None:
    """Name and UUID of the one that CUDA takes where nobody names one; None where it finds none."""
    wanted = next((one.strip() for one in gpu_ids()), "none")
    whole, number = "", -1
    for name, piece, uuid in _gpu_lines():
        whole, number = name or whole, number + bool(name)
        if uuid.startswith(wanted) or (name and wanted == str(number)):
            return f"{whole} {piece}".strip(), uuid
    return None


def torch_finds_a_gpu() -> bool:
    import torch

    # it asks NVML then: CUDA's own answer would leave it unusable in whatever is forked from this process
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    return torch.cuda.is_available() and driver_knows(torch.version.cuda)


@cache  # keys of a plan ask for each of their networks
def driver_knows(cuda: str | None) -> bool:
    """Whether NVIDIA's is new enough for that version, as far as NVML says: it counts GPUs in any case."""
    try:
        import pynvml

        pynvml.nvmlInit()
        known = int(pynvml.nvmlSystemGetCudaDriverVersion_v2()) // 1000
    except Exception:  # no library, or none that can be asked
        return True
    return cuda is None or known >= int(cuda.partition(".")[0])


def driver() -> str | None:
    """NVIDIA's, which has a part in what a GPU computes and how fast."""
    told = _nvidia_smi(which("nvidia-smi"), "--query-gpu=driver_version", "--format=csv,noheader")
    return next(iter(told.split()), None)


def _gpu_lines() -> list[tuple[str, str, str]]:
    return re.findall(_GPU_LINE, _nvidia_smi(which("nvidia-smi"), "-L"))


@cache
def _nvidia_smi(command: str | None, *arguments: str) -> str:
    """What does not change while a process runs, asked once: a sweep's plan needs it for each of its jobs."""
    return "" if command is None else output_of(command, *arguments) or ""


def process_space() -> str:
    """Where a process's number is its own: this machine, or the container on it."""
    with suppress(OSError):
        return f"{gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return gethostname()


def memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


def free_memory(system: str = "") -> int | None:
    """Bytes that a process can still have; None where the system does not say. system: before its paths."""
    found = re.search(r"MemAvailable: *(\d+) kB", _text_of(f"{system}/proc/meminfo"))
    return min([1024 * int(found[1]), *left_in_groups(system)]) if found else None


def left_in_groups(system: str) -> Iterator[int]:
    """What containers and schedulers let their processes have, less what these have (cgroup v2)."""
    own = re.search(r"^0::(/.*)$", _text_of(f"{system}/proc/self/cgroup"), re.MULTILINE)
    group = PurePosixPath(own[1] if own else "/")
    for one in (group, *group.parents):
        place = f"{system}/sys/fs/cgroup{one}"
        most, used = (_text_of(f"{place}/memory.{name}") for name in ("max", "current"))
        given_back = re.search(r"^inactive_file (\d+)$", _text_of(f"{place}/memory.stat"), re.MULTILINE)
        if most.isdecimal() and used.isdecimal():
            yield int(most) - int(used) + (int(given_back[1]) if given_back else 0)


def output_of(*command: str) -> str | None:
    """What a command prints; None where it is not there, or fails."""
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(sys.getfilesystemencoding(), errors="replace")
