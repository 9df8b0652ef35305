"""Graphs loaded for running, whichever runtime does it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from pare.checkpoint import SHIPPED, Format

Runtime = Literal["onnxruntime", "openvino", "torch"]

#: the packages of which one must be installed
PACKAGES: dict[Runtime, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "openvino": ("openvino",),
    "torch": ("torch",),
}


#: what runs the graphs of a format
RUNTIMES: dict[Format, Runtime] = {"onnx": "onnxruntime", "openvino": "openvino", "program": "torch"}

MODULES: dict[Runtime, str] = {"onnxruntime": "onnx", "openvino": "openvino", "torch": "torch"}


class Session(Protocol):
    """Token ids and mask in, logits by output name out. options: what `Hardware.session_options` gives."""

    def __init__(
        self, file: str, device: str = "cpu", threads: int = 1, options: Mapping[str, Any] | None = None
    ) -> None: ...

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]: ...

    def close(self) -> None:
        """Frees what it holds; nothing may be run after that."""

    def evidence(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """What really ran for such an input, as strict JSON, see `pare.runtimes.nodes.told`."""


def session_module(runtime: Runtime) -> str:
    """Which imports the runtime, and no other."""
    return f"pare.runtimes.{MODULES[runtime]}_evidence"


def session_class(runtime: Runtime) -> type[Session]:
    """By import statements: the keys of the store follow those to the code that they stand for."""
    if runtime == "openvino":
        from pare.runtimes import openvino_evidence

        return openvino_evidence.Session
    if runtime == "torch":
        from pare.runtimes import torch_evidence

        return torch_evidence.Session
    from pare.runtimes import onnx_evidence

    return onnx_evidence.Session


def session_class_for(model: str) -> type[Session]:
    """model: the name of the file that is opened first."""
    return session_class(next(RUNTIMES[format_] for format_ in RUNTIMES if SHIPPED[format_][0] == model))


def module_file(runtime: Runtime) -> Path:
    """The source of the runtime's session, which bundles take along."""
    return Path(__file__).parent / f"{MODULES[runtime]}_session.py"
