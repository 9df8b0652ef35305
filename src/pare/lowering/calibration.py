"""What values flow into the linear maps of a graph, on real texts, without keeping them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from pare.errors import StageFailed
from pare.lowering.histogram import Histogram, Range, entropy_range, mse_range, percentile_range

Observer = Literal["min_max", "abs_max", "avg", "percentile", "entropy", "mse"]
Sampling = Literal["random", "first", "longest", "stratified"]


class Observed:
    """What one tensor held, text after text: two numbers for each text and, where needed, a histogram."""

    def __init__(self, observer: Observer, percentile: float, symmetric: bool) -> None:
        self.observer, self.percentile, self.symmetric = observer, percentile, symmetric
        self.ends: list[Range] = []
        self.histogram = Histogram() if observer in ("percentile", "entropy", "mse") else None

    def add(self, values: np.ndarray) -> None:
        low, high = float(values.min()), float(values.max())
        if self.symmetric or self.observer == "abs_max":
            high = max(-low, high)
            low = -high
        self.ends.append((low, high))
        if self.histogram is not None:
            self.histogram.add(values)

    def range(self) -> Range:
        """(lowest, highest) value that INT8 will tell apart; equally far from 0 if symmetric."""
        low, high = self._rule()
        top = max(-low, high)
        return (-top, top) if self.symmetric else (low, high)

    def _rule(self) -> Range:
        seen = self.histogram
        if seen is None:
            lows, highs = zip(*self.ends, strict=True)
            if self.observer == "avg":
                return float(np.mean(lows)), float(np.mean(highs))
            return min(lows), max(highs)
        if self.observer == "entropy":
            return entropy_range(seen, self.symmetric)
        if self.observer == "mse":
            return mse_range(seen, self.symmetric)
        return percentile_range(seen.magnitudes() if self.symmetric else seen, self.percentile)


def activation_ranges(
    model: ModelProto,
    tensors: Sequence[str],
    texts: Iterable[Sequence[int]],
    observer: Observer,
    threads: int,
    advance: Callable[[int, str], None],
    percentile: float = 99.99,
    symmetric: bool = False,
) -> dict[str, Range]:
    """(lowest, highest) of each tensor, as `observer` sees it.

    min_max: over all texts. abs_max: the same, symmetric. avg: the mean of each text's own. percentile: holds
    that share of the values. entropy, mse: cut where a histogram loses least. Texts go through one by one, so
    that padding never counts, and nothing of them is kept.
    """
    watched = {name: Observed(observer, percentile, symmetric) for name in tensors}
    with TemporaryDirectory() as folder:
        session = _session_with_outputs(model, tensors, Path(folder) / "observed.onnx", threads)
        for ids in texts:
            row = np.asarray([ids], dtype=np.int64)
            values = session.run(list(tensors), {"input_ids": row, "attention_mask": np.ones_like(row)})
            for name, value in zip(tensors, values, strict=True):
                if not np.isfinite(value).all():
                    raise StageFailed(f"calibration: {name} is not finite on a training text")
                watched[name].add(value)
            advance(1, "")
    return {name: observed.range() for name, observed in watched.items()}


def sample(lengths: Sequence[int], count: int, sampling: Sampling, seed: int) -> list[int]:
    """Which texts to calibrate on. stratified: from the shortest to the longest at even steps."""
    order = list(range(len(lengths)))
    if sampling == "random":
        Random(seed).shuffle(order)
    elif sampling == "longest":
        order.sort(key=lambda i: -lengths[i])
    elif sampling == "stratified":
        order.sort(key=lambda i: lengths[i])
        count = min(count, len(order))
        return [order[place] for place in np.linspace(0, len(order) - 1, count).round().astype(int)]
    return order[:count]


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
