"""An ONNX graph loaded for running. Imports nothing heavy: measuring processes load this file alone."""

import numpy as np
import onnxruntime


class OnnxSession:
    """ONNX Runtime on one device with a fixed number of threads."""

    def __init__(self, file: str, device: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # an idle session must not burn the core that another arm is being timed on
        options.add_session_config_entry("session.force_spinning_stop", "1")
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
        self.session = onnxruntime.InferenceSession(file, options, providers=[provider])
        if self.session.get_providers()[0] != provider:
            raise RuntimeError(f"{provider} did not load; ONNX Runtime offers {self.session.get_providers()}")
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        values = self.session.run(self.names, {"input_ids": ids, "attention_mask": mask})
        return dict(zip(self.names, values, strict=True))
