"""What else the machine does while something is timed: one measurement at a time, and who disturbs it."""

import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pare.errors import StageFailed
from pare.files import locked
from pare.machine import gpu

log = logging.getLogger(__name__)

LEASES = "PARE_LEASES"
PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
NOTICED = 0.05  # of a core: what less than that costs, nobody sees
TOP = 3


@contextmanager
def lease(device: str) -> Iterator[None]:
    """The only right to measure on this device, of all processes of this machine; waits until it is free."""
    place = Path(os.environ.get(LEASES, "/tmp/pare-leases"))  # whatever TMPDIR is: all must find the same
    used = gpu() if device == "cuda" else None
    file = place / f"{device if used is None else used[1].replace('/', '-')}.lock"
    with ExitStack() as stack:
        try:
            leave_for_all(file)
            free = stack.enter_context(locked(file, wait=False))
            if not free:
                log.warning("measuring: waits for another measurement on this machine, which holds %s", file)
                stack.enter_context(locked(file))
        except OSError as e:
            raise StageFailed(
                f"measuring: {file}, which one measurement at a time holds, cannot be had: {e.strerror}; "
                f"set {LEASES} to a folder that all who measure on this machine can use"
            ) from None
        yield


def leave_for_all(file: Path) -> None:
    """An empty file that all users can lock, whatever this one's umask, and only this one can remove."""
    with suppress(FileExistsError):
        file.parent.mkdir()
        file.parent.chmod(0o1777)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.fchmod(descriptor, 0o644)
        os.close(descriptor)


@dataclass(frozen=True)
class Conditions:
    """What was noticed. steal: share of the time that the host took from this machine's cores."""

    seconds: float
    steal: float | None
    #: {"pid", "name", "cores"}: those that took most, not ours; no pid: all that cannot be told any more;
    #: {"pid", "name", "gpu_mb"}: those that were seen on the GPU
    foreign: tuple[dict[str, Any], ...]
    gpu_unknown: bool  # whether nvidia-smi could not tell once who else was on it

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Spent:
    """Seconds of CPU of a process, and of those of its children that it has waited for."""

    name: str
    parent: int
    own: float = 0.0
    children: float = 0.0


class Watch:
    """Notes who used the cores from its making until `look`, and was on the GPU whenever it glanced there.

    `mine` are the processes that should.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.began = time.perf_counter()
        self.stolen, self.busy = stolen_seconds(), busy_seconds()
        self.spent = spent_by_all()
        self.mine = {os.getpid()}
        self.device, self.gpu = device, gpu() if device == "cuda" else None
        self.on_gpu: dict[int, dict[str, Any]] = {}
        self.gpu_unknown = False
        self.glance()

    def own(self, pid: int) -> None:
        self.mine.add(pid)

    def glance(self, beside_mine: bool = False) -> None:
        """At who holds memory of the GPU just now.

        beside_mine: some of mine do, too. A container may see them by other ids, so that whoever is not
        to be found here could be one of them.
        """
        if self.device != "cuda":
            return
        found, here = gpu_processes(self.gpu), spent_by_all()
        self.gpu_unknown |= found is None
        for one in found or ():
            spent = here.get(one["pid"])
            mine = one["pid"] in self.mine or (beside_mine if spent is None else spent.parent in self.mine)
            if not mine:
                self.on_gpu[one["pid"]] = one

    def look(self) -> Conditions:
        now = spent_by_all()
        seconds = time.perf_counter() - self.began
        strangers, told = [], 0.0
        for pid, spent in now.items():
            before = self.spent.get(pid, Spent(spent.name, spent.parent))
            took = spent.own - before.own
            told += took
            if pid in self.mine or spent.parent in self.mine:
                told += spent.children - before.children
            elif took >= NOTICED * seconds:
                strangers.append((took / seconds, pid, spent.name))
        foreign: list[dict[str, Any]] = [
            {"pid": pid, "name": command_of(pid, name), "cores": round(cores, 2)}
            for cores, pid, name in sorted(strangers, reverse=True)[:TOP]
        ]
        busy = busy_seconds()
        if busy is not None and self.busy is not None:
            rest = (busy - self.busy - told) / seconds
            if rest >= NOTICED:
                foreign.append(
                    {"pid": None, "name": "processes that ended or cannot be seen", "cores": round(rest, 2)}
                )
        self.glance()
        foreign += self.on_gpu.values()
        share, stolen = None, stolen_seconds()
        if stolen is not None and self.stolen is not None:
            share = (stolen - self.stolen) / seconds / (os.cpu_count() or 1)
        return Conditions(round(seconds, 2), share, tuple(foreign), self.gpu_unknown)


def stolen_seconds() -> float | None:
    """Of all cores so far, that the host gave to others."""
    ticks = all_ticks()
    return ticks[7] / TICK if len(ticks) > 7 else None


def busy_seconds() -> float | None:
    """Of all cores so far, that processes had: as users, nice ones too, and in the system."""
    ticks = all_ticks()
    return sum(ticks[:3]) / TICK if ticks else None


def all_ticks() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal, … of all cores; empty without a /proc."""
    try:
        return [int(count) for count in (PROC / "stat").read_text("ascii").splitlines()[0].split()[1:]]
    except (OSError, IndexError, ValueError):
        return []


def spent_by_all() -> dict[int, Spent]:
    """By the id of each process; empty where there is no /proc."""
    found = {}
    for file in PROC.glob("[0-9]*/stat"):
        try:
            start, _, rest = file.read_text("utf-8", errors="replace").rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        fields = rest.split()
        pid, _, name = start.partition(" (")
        user, system, waited_user, waited_system = (int(field) / TICK for field in fields[11:15])
        found[int(pid)] = Spent(name, int(fields[1]), user + system, waited_user + waited_system)
    return found


def command_of(pid: int, name: str) -> str:
    """The program and its script, for many are called python; what else was typed may be secret."""
    try:
        told = (PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", errors="replace").split("\0")
    except OSError:
        return name
    words = [Path(word).name for word in told[:2] if word and not word.startswith("-")]
    return " ".join(words) or name


def gpu_processes(used: tuple[str, str] | None) -> list[dict[str, Any]] | None:
    """Processes that hold memory of the GPU; of one that is cut up, of all its pieces. None: nobody knows."""
    query = [
        "nvidia-smi",
        "--query-compute-apps=pid,gpu_uuid,used_memory,process_name",
        "--format=csv,noheader,nounits",
    ]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = [[part.strip() for part in line.split(",", 3)] for line in lines.splitlines()]
        return [
            {"pid": int(pid), "name": name, "gpu_mb": megabytes}
            for pid, uuid, megabytes, name in rows
            if used is None or not used[1].startswith("GPU") or uuid == used[1]
        ]
    except (OSError, subprocess.SubprocessError, ValueError):  # it may write [Insufficient Permissions]
        return None
