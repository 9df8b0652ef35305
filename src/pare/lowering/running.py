"""A graph run on the spot, on the CPU, to see what it answers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto


def run_of(
    model: ModelProto, folder: str, threads: int
) -> Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """(ids, mask) to logits by output name."""
    file = Path(folder) / "running.onnx"
    onnx.save(model, str(file))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        values = session.run(names, {"input_ids": ids, "attention_mask": mask})
        return dict(zip(names, values, strict=True))

    return run
