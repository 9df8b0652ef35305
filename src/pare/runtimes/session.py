"""Graphs loaded for running, whichever runtime does it."""

from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from pare.checkpoint import Format

Runtime = Literal["onnxruntime", "openvino"]

#: the packages of which one must be installed
PACKAGES: dict[Runtime, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "openvino": ("openvino",),
}


#: what runs the graphs of a format
RUNTIMES: dict[Format, Runtime] = {"onnx": "onnxruntime", "openvino": "openvino"}


class Session(Protocol):
    """Token ids and mask in, logits by output name out."""

    def __init__(self, file: str, device: str = "cpu", threads: int = 1) -> None: ...

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]: ...


def session_class(runtime: Runtime) -> type[Session]:
    """Imports the runtime, and no other."""
    if runtime == "openvino":
        from pare.runtimes import openvino_session

        return openvino_session.Session
    from pare.runtimes import onnx_session

    return onnx_session.Session


def module_file(runtime: Runtime) -> Path:
    """The source of the runtime's session, which bundles take along."""
    return Path(__file__).parent / f"{'openvino' if runtime == 'openvino' else 'onnx'}_session.py"
