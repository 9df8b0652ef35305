"""The process that one graph is timed in: obeys lines of JSON on stdin.

    python timed_graph.py MODEL INPUTS.npz THREADS

{"kind": K, "calls": N, "first": I} runs the inputs I, I+1, … of the kind, a few before them unmeasured, and
answers with the milliseconds of each call.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


class Graph:
    """Any graph of an encoder: token types, where it wants them, are 0; the first output is the logits."""

    def __init__(self, model: Path, threads: int, options: onnxruntime.SessionOptions | None = None) -> None:
        options = options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # an idle session must not burn the core that another is being timed on
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs = self.session.get_inputs()
        self.inputs = [(i.name, np.int32 if "int32" in i.type else np.int64) for i in inputs]
        self.output = self.session.get_outputs()[0].name

    def feed(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: known[name].astype(dtype) for name, dtype in self.inputs}

    def run(self, feed: dict[str, np.ndarray]) -> np.ndarray:
        (logits,) = self.session.run([self.output], feed)
        return np.asarray(logits)


def read_inputs(file: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """(ids, mask) by kind; arrays are named KIND_NUMBER_ids and KIND_NUMBER_mask."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    with np.load(file) as archive:
        for name in archive.files:
            kind, _, part = name.split("_")
            if part == "ids":
                found.setdefault(kind, []).append((archive[name], archive[name.replace("_ids", "_mask")]))
    return found


def main(model: Path, inputs: Path, threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])  # the first serve interrupts
    graph = Graph(model, threads)
    feeds = {kind: [graph.feed(*row) for row in rows] for kind, rows in read_inputs(inputs).items()}
    print("{}", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        rows = feeds[asked["kind"]]
        times = []
        warm_up = 1 + asked["calls"] // 5
        for i in range(-warm_up, asked["calls"]):
            given = rows[(asked["first"] + i) % len(rows)]
            start = time.perf_counter_ns()
            graph.run(given)
            times.append((time.perf_counter_ns() - start) / 1e6)
        print(json.dumps(times[warm_up:]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
