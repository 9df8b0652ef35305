"""What values flow into the linear maps of a graph, on real texts, without keeping them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

Observer = Literal["min_max", "avg"]


def activation_ranges(
    model: ModelProto,
    tensors: Sequence[str],
    texts: Iterable[Sequence[int]],
    observer: Observer,
    threads: int,
    advance: Callable[[int, str], None],
) -> dict[str, tuple[float, float]]:
    """(lowest, highest) of each tensor. min_max: over all texts; avg: the mean of each text's own.

    Texts go through one by one, so that padding never counts.
    """
    lows: dict[str, list[float]] = {name: [] for name in tensors}
    highs: dict[str, list[float]] = {name: [] for name in tensors}
    with TemporaryDirectory() as folder:
        session = _session_with_outputs(model, tensors, Path(folder) / "observed.onnx", threads)
        for ids in texts:
            row = np.asarray([ids], dtype=np.int64)
            values = session.run(list(tensors), {"input_ids": row, "attention_mask": np.ones_like(row)})
            for name, value in zip(tensors, values, strict=True):
                lows[name].append(float(value.min()))
                highs[name].append(float(value.max()))
            advance(1, "")
    if observer == "avg":
        return {name: (float(np.mean(lows[name])), float(np.mean(highs[name]))) for name in tensors}
    return {name: (min(lows[name]), max(highs[name])) for name in tensors}


def _session_with_outputs(
    model: ModelProto, tensors: Sequence[str], file: Path, threads: int
) -> onnxruntime.InferenceSession:
    observed = ModelProto()
    observed.CopyFrom(model)
    outputs = {output.name for output in model.graph.output}
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in tensors
        if name not in outputs
    )
    onnx.save(observed, str(file))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
