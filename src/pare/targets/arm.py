"""The process in which one arm of a comparison runs: it loads one graph and obeys lines of JSON on stdin.

    python -m pare.targets.arm RUNTIME MODEL INPUTS.npz DEVICE THREADS

{"calls": N, "kind": "latency" | "throughput", "first": I} runs the inputs I, I+1, … and answers with the
milliseconds of each call; {"memory": true} answers with the megabytes that came with the model.
"""

import json
import os
import sys
import time
from typing import Any


def pss_mb() -> float | None:
    """This process's proportional share of memory, where the kernel tells it."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as lines:  # noqa: PTH123 (no pathlib: imports count)
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return None


def main(runtime: Any, model: str, inputs_file: str, device: str, threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import numpy as np

    from pare.runtimes.session import session_class

    session_of = session_class(runtime)  # the runtime itself is not what came with the model

    with np.load(inputs_file) as archive:
        inputs: dict[str, list[Any]] = {"latency": [], "throughput": []}
        for kind, rows in inputs.items():
            while f"{kind}_{len(rows)}_ids" in archive:
                rows.append(tuple(archive[f"{kind}_{len(rows)}_{part}"] for part in ("ids", "mask")))
    before = pss_mb()
    session = session_of(model, device, threads)
    say({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        if "memory" in command:
            now = pss_mb()
            say({"memory_mb": None if now is None or before is None else now - before})
            continue
        rows = inputs[command["kind"]]
        times = []
        for i in range(command["calls"]):
            ids, mask = rows[(command["first"] + i) % len(rows)]
            start = time.perf_counter_ns()
            session.run(ids, mask)
            times.append((time.perf_counter_ns() - start) / 1e6)
        say({"ms": times})


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
