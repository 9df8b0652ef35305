"""A graph loaded by ONNX Runtime. Imports nothing heavy: measuring processes and bundles load little else."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING or __name__.startswith("pare."):
    from pare.feeding import feed
elif __package__:  # beside this file, in a bundle whose folder is imported from
    from .feeding import feed
else:
    from feeding import feed

PROVIDERS = {
    "cpu": [["CPUExecutionProvider", {}]],
    # or cards with TF32 would compute a float graph in it, which nobody asked for
    "cuda": [["CUDAExecutionProvider", {"use_tf32": "0"}]],
}

CACHE = "trt_engine_cache_path"


class Session:
    """One device, a fixed number of threads.

    options: "providers", pairs of a name and its own options, the one that is asked for first; "profile",
    what the names of the profiler's files begin with.
    """

    def __init__(
        self, file: str, device: str = "cpu", threads: int = 1, options: Mapping[str, Any] | None = None
    ) -> None:
        self.file, self.device, self.threads, self.options = file, device, threads, dict(options or {})
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.log_severity_level = 3
        # an idle session must not burn the core that another arm is being timed on
        settings.add_session_config_entry("session.force_spinning_stop", "1")
        if "profile" in self.options:
            settings.enable_profiling = True
            settings.profile_file_prefix = self.options["profile"]
        providers = [(name, told) for name, told in self.options.get("providers", PROVIDERS[device])]
        kept = next((Path(told[CACHE]) for _, told in providers if CACHE in told), None)
        self.provider = str(providers[0][0])
        if device == "cuda":
            preload(self.provider)
        begun = time.perf_counter()
        try:
            if kept is not None:
                kept.mkdir(parents=True, exist_ok=True)  # ONNX Runtime makes the last of these folders only
            before = engines(kept)
            # its fallback tells of an error on stdout and goes on with another provider, in a run too
            self.session = onnxruntime.InferenceSession(
                file, settings, providers=providers, enable_fallback=0
            )
        except Exception as e:  # ONNX Runtime's own have no class in common
            raise RuntimeError(f"{self.provider} did not load {file}: {' '.join(str(e).split())}") from e
        self.build_s = build_seconds(kept, before, time.perf_counter() - begun)
        if self.session.get_providers()[0] != self.provider:
            raise RuntimeError(
                f"{self.provider} did not load; ONNX Runtime offers {self.session.get_providers()}"
            )
        (first, *_) = self.session.get_inputs()
        self.shape = first.shape
        self.dtype = np.int32 if "int32" in first.type else np.int64
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Logits by output name."""
        answers: dict[str, np.ndarray] = feed(self._run, self.names, self.shape, self.dtype, ids, mask)
        return answers

    def close(self) -> None:
        """Frees what the graph holds, on the device as well."""
        del self.session

    def _run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        values: Sequence[np.ndarray] = self.session.run(self.names, inputs)
        return values


def engines(kept: Path | None) -> dict[str, int]:
    """Those that TensorRT keeps in a folder, by name, and when they were written."""
    return {} if kept is None else {file.name: file.stat().st_mtime_ns for file in kept.glob("*.engine")}


def build_seconds(kept: Path | None, before: Mapping[str, int], seconds: float) -> float:
    """What building took; of an engine that was found in its folder, what it took when that was.

    before: the engines that were there. seconds: what making the session took.
    """
    if kept is None:
        return seconds
    note = kept / "build_s"
    if engines(kept) != before:
        note.write_text(str(seconds), encoding="utf-8")
    return float(note.read_text(encoding="utf-8")) if note.is_file() else seconds


def preload(provider: str) -> None:
    """CUDA's and TensorRT's libraries where pip put them, which the loader does not find by itself."""
    with redirect_stdout(sys.stderr):  # what is not found is printed; stdout belongs to the caller
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        if provider == "TensorrtExecutionProvider":
            with suppress(ImportError):  # it may be the system's own
                import_module("tensorrt_libs")
