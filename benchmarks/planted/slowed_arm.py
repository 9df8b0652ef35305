"""An arm that takes a few percent longer for graphs in a folder named `slowed`: what trust.py has to find."""

import time
from pathlib import Path
from typing import Any

from pare.runtimes import onnx_evidence
from pare.targets.arm import main as main

PLANTED = 0.03


class Slowed(onnx_evidence.Session):
    def __init__(self, file: str, *others: Any) -> None:
        super().__init__(file, *others)
        self.share = PLANTED if Path(file).parent.name == "slowed" else 0.0

    def run(self, *inputs: Any) -> Any:
        start = time.perf_counter_ns()
        found = super().run(*inputs)
        now = time.perf_counter_ns()
        until = now + self.share * (now - start)
        while time.perf_counter_ns() < until:
            pass
        return found


onnx_evidence.Session = Slowed  # type: ignore[misc]
