"""Where the result must run: device, runtime, threads, batch and length."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from pare.checkpoint import Format
from pare.errors import TargetError
from pare.provenance import environment, versions
from pare.runtimes.session import PACKAGES, RUNTIMES, Runtime

INSTALLED_BY: dict[Runtime, str] = {
    "onnxruntime": "pip install onnxruntime-gpu",
    "openvino": "pip install 'pare[openvino]'",
}


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A target. Latency is measured at `batch` and `length` (None: the texts' own lengths)."""

    name: str
    device: Literal["cpu", "cuda"] = "cpu"
    runtime: Runtime = "onnxruntime"
    threads: int = 1
    batch: int = 1
    length: int | None = None
    throughput_batches: tuple[int, ...] = (1, 16, 32)

    def __post_init__(self) -> None:
        for field in ("threads", "batch"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: must be at least 1")
        if not self.throughput_batches or min(self.throughput_batches) < 1:
            raise ValueError(
                f"throughput_batches={list(self.throughput_batches)}: one at least, each at least 1"
            )
        if self.length is not None and self.length < 4:
            raise ValueError(f"length={self.length}: must be at least 4")
        if self.runtime == "openvino" and self.device != "cpu":
            raise ValueError(f"device={self.device}: runtime=openvino runs on the cpu here")

    @property
    def runs(self) -> Format:
        """The checkpoint format that the runtime takes."""
        return next(format_ for format_, runtime in RUNTIMES.items() if runtime == self.runtime)

    def check(self) -> None:
        """Raises TargetError if this machine is not such a target. Nothing falls back silently."""
        if find_spec(self.runtime) is None:
            raise TargetError(
                f"hardware.runtime: {self.runtime} is not installed ({INSTALLED_BY[self.runtime]})"
            )
        here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self.device == "cpu" and self.threads > here:
            raise TargetError(f"hardware.threads: {self.threads} asked for, this machine has {here} cores")
        if self.device == "cuda" and not environment()["gpu"]:
            raise TargetError(
                f"hardware: {self.name} needs an NVIDIA GPU and none is found here (nvidia-smi lists none); "
                "choose hardware=cpu or run on a machine with one"
            )

    def fingerprint(self) -> dict[str, Any]:
        """What makes measurements comparable: the same fingerprint, the same hardware and runtime."""
        here = environment()
        return {
            "cpu": here["cpu"],
            "cores": here["cores"],
            "gpu": here["gpu"] if self.device == "cuda" else [],
            "runtime": {k: v for k, v in versions(PACKAGES[self.runtime]).items() if v},
        }
