"""A graph loaded by ONNX Runtime. Imports nothing heavy: measuring processes and bundles load little else."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime

try:
    from feeding import feed  # type: ignore[import-not-found,unused-ignore]  # beside this file, in a bundle
except ImportError:
    from pare.feeding import feed


class Session:
    """One device, a fixed number of threads."""

    def __init__(self, file: str, device: str = "cpu", threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # an idle session must not burn the core that another arm is being timed on
        options.add_session_config_entry("session.force_spinning_stop", "1")
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
        self.session = onnxruntime.InferenceSession(file, options, providers=[provider])
        if self.session.get_providers()[0] != provider:
            raise RuntimeError(f"{provider} did not load; ONNX Runtime offers {self.session.get_providers()}")
        (first, *_) = self.session.get_inputs()
        self.shape = first.shape
        self.dtype = np.int32 if "int32" in first.type else np.int64
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Logits by output name."""
        answers: dict[str, np.ndarray] = feed(self._run, self.names, self.shape, self.dtype, ids, mask)
        return answers

    def _run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        values: Sequence[np.ndarray] = self.session.run(self.names, inputs)
        return values
