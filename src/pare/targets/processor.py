"""This CPU: its cores, and the instructions without which a precision is computed the long way round."""

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
#: one of these makes a precision fast, by the names that Linux has for x86 and for ARM
INSTRUCTIONS = {
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "fp16": ("avx512_fp16", "amx_fp16", "asimdhp"),
}


def cores_first(allowed: Collection[int], root: Path = CPUS) -> list[int]:
    """These CPUs, a thread of each core before the second of any: two threads of one core share its units."""

    def siblings(cpu: int) -> set[int]:
        try:
            text = (root / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii")
        except OSError:
            return {cpu}
        ranges = (part.partition("-") for part in text.split(","))
        return {n for first, _, last in ranges for n in range(int(first), int(last or first) + 1)}

    rank = {cpu: sorted(siblings(cpu) & {*allowed}).index(cpu) for cpu in allowed}
    return sorted(allowed, key=lambda cpu: (rank[cpu], cpu))


@cache
def features() -> frozenset[str]:
    """Of this CPU, as Linux names them; empty where that cannot be told."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return features_in(text)


def features_in(cpuinfo: str) -> frozenset[str]:
    """What all cores have."""
    lines = re.findall(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else frozenset()


def lacks(precision: str | None, found: Collection[str]) -> str | None:
    """Why a CPU with these features is slow at a precision; None where it is not, or cannot be told."""
    wanted = INSTRUCTIONS.get(precision or "", ())
    if not wanted or not found or set(wanted) & set(found):
        return None
    assert precision is not None
    return f"this CPU has no instructions for {precision.upper()} ({', '.join(wanted)})"
