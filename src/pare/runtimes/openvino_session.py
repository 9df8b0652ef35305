"""A graph loaded by OpenVINO. Imports nothing heavy: measuring processes and bundles load little else."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

if TYPE_CHECKING or __name__.startswith("pare."):
    from pare.feeding import feed
elif __package__:  # beside this file, in a bundle whose folder is imported from
    from .feeding import feed
else:
    from feeding import feed


class Session:
    """The CPU with a fixed number of threads, one text batch at a time. options: OpenVINO's own, by name."""

    def __init__(
        self, file: str, device: str = "cpu", threads: int = 1, options: Mapping[str, Any] | None = None
    ) -> None:
        self.file, self.device, self.threads = file, device, threads
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # or chips with BF16 would compute a float graph in it, which nobody asked for
            "INFERENCE_PRECISION_HINT": "f32",
            **(options or {}),
        }
        begun = time.perf_counter()
        self.compiled = openvino.Core().compile_model(file, device.upper(), settings)
        self.build_s = time.perf_counter() - begun
        self.request = self.compiled.create_infer_request()
        (first, *_) = self.compiled.inputs
        self.shape = [side.get_length() if side.is_static else None for side in first.partial_shape]
        self.dtype = np.int32 if first.element_type == openvino.Type.i32 else np.int64
        self.names = [output.any_name for output in self.compiled.outputs]

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Logits by output name."""
        answers: dict[str, np.ndarray] = feed(self._run, self.names, self.shape, self.dtype, ids, mask)
        return answers

    def close(self) -> None:
        """Frees what the graph holds."""
        del self.request, self.compiled

    def _run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        found = self.request.infer(dict(inputs))
        return [found[name] for name in self.names]
