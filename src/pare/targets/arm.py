"""The process in which one arm of a comparison runs: it loads one graph and obeys lines of JSON on stdin.

The first says what to load and where, see `Arm`. It begins with what loading took, the first call, and the
megabytes that came with the model and its longest call. {"calls": N, "work": NAME, "first": I, "warm": W}
makes W calls that nobody times, then runs the inputs I, I+1, … of that work and answers with the milliseconds
of each; {"evidence": true} with what ran. The work "end_to_end" begins with the text: tokens, the graph, and
the answer.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pare.bundled.predict import Predictor
from pare.runtimes.session import session_class
from pare.targets.inputs import read_inputs
from pare.targets.nvml import first_gpu
from pare.targets.processor import cores_first

END_TO_END = "end_to_end"
Work = list[Callable[[], object]]


def pinned_to(device: str, threads: int) -> list[int]:
    """The CPUs that an arm has to itself; none where it may run on all."""
    if device != "cpu" or not hasattr(os, "sched_setaffinity"):
        return []
    return cores_first(os.sched_getaffinity(0))[:threads]


def pin(device: str, threads: int) -> None:
    """This process to as many cores; before a library counts them."""
    if cpus := pinned_to(device, threads):
        os.sched_setaffinity(0, cpus)


def end_with_parent() -> None:
    """Killed by the kernel when whoever started it has ended: who stands still cannot see that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def pss_mb() -> float | None:
    """This process's proportional share of memory, where the kernel tells it, without the libraries' code.

    A fork has that in no page table, so that what an import had read would seem to come with the model.
    """
    kilobytes, counts = 0, False
    try:
        with open("/proc/self/smaps", encoding="utf-8") as lines:  # noqa: PTH123 (no pathlib: imports count)
            for line in lines:
                first, *rest = line.split()
                if not first.endswith(":"):  # a mapping: addresses, rights, offset, device, inode, file
                    counts = not any(".so" in word for word in rest[4:])
                elif counts and first == "Pss:":
                    kilobytes += int(rest[0])
    except OSError:
        return None
    return kilobytes / 1024


def gpu_memory() -> dict[str, float | None]:
    """What this process holds of the GPU, as the driver says, and the most that PyTorch's allocator gave."""
    found: dict[str, float | None] = {"gpu_memory_mb": None, "gpu_allocated_mb": None}
    if "torch" in sys.modules:
        found["gpu_allocated_mb"] = sys.modules["torch"].cuda.max_memory_allocated() / 2**20
    try:
        pynvml, handle = first_gpu()
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        found["gpu_memory_mb"] = next(p.usedGpuMemory / 2**20 for p in processes if p.pid == os.getpid())
    except Exception:  # no library, no driver, or a container that sees other process ids
        return found
    return found


def main() -> None:
    end_with_parent()
    given = json.loads(sys.stdin.readline())
    pin(given["device"], given["threads"])
    session_of = session_class(given["runtime"])  # the runtime itself is not what came with the model
    inputs = read_inputs(given["inputs"])
    before = pss_mb()
    began = time.perf_counter()
    session = session_of(given["model"], given["device"], given["threads"], given["options"])
    loaded = time.perf_counter()
    works: dict[str, Work] = {
        name: [lambda pair=pair: session.run(*pair) for pair in pairs]  # type: ignore[misc]
        for name, pairs in inputs.items()
    }
    works["latency"][0]()
    first = time.perf_counter()
    session.run(*max(inputs["latency"], key=lambda pair: pair[0].size))
    if given["options"].get("compile") == "graphs":  # capturing one for a new shape is no part of a call
        for pair in {pair[0].shape: pair for pairs in inputs.values() for pair in pairs}.values():
            session.run(*pair)
    now = pss_mb()  # before other arms start, whose sharing of libraries would change it
    say(
        {
            "load_ms": 1e3 * (loaded - began),
            "first_ms": 1e3 * (first - loaded),
            "memory_mb": None if now is None or before is None else now - before,
            **(gpu_memory() if given["device"] == "cuda" else {}),
        }
    )
    for line in sys.stdin:
        command = json.loads(line)
        if "evidence" in command:
            say(session.evidence(*inputs["latency"][0]))
            continue
        if command["work"] == END_TO_END and END_TO_END not in works:
            works[END_TO_END] = from_text(given, session)
        calls = works[command["work"]]
        for i in range(command["warm"]):
            calls[(command["first"] + i) % len(calls)]()
        say({"ms": timed(calls, command["first"], command["calls"])})


def timed(calls: Work, first: int, count: int) -> list[float]:
    """Milliseconds of each of so many calls, beginning with the first."""
    clock = time.perf_counter_ns
    times = []
    for i in range(first, first + count):
        call = calls[i % len(calls)]
        start = clock()
        call()
        times.append((clock() - start) / 1e6)
    return times


def from_text(given: dict[str, Any], session: Any) -> Work:
    """Calls that take texts, as a bundle's predict.py does."""
    batches = json.loads(Path(given["texts"]).read_text(encoding="utf-8"))
    texts = [[tuple(text) if isinstance(text, list) else text for text in batch] for batch in batches]
    predictor = Predictor(session, Path(given["tokenizer"]), given["about"])
    return [lambda batch=batch: predictor.predict(batch) for batch in texts]  # type: ignore[misc]


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
