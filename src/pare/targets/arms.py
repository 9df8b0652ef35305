"""The processes that are compared, from outside."""

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from pare.checkpoint import TOKENIZER, Checkpoint
from pare.errors import StageFailed
from pare.targets.hardware import Hardware
from pare.targets.works import LATENCY, Works

#: how long it takes until an arm is as quick as if no other had run between
REWARM_MS = 8
#: calls so long that this does not show in them
LONG_MS = 200
#: warm: three medians that lie as close together, or so many blocks
STEADY, MOST_BLOCKS = 0.03, 12


P = TypeVar("P", bound="Process")


class Process:
    """Answers a line of JSON with a line of JSON; ends with its `with`."""

    def __init__(self, *command: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> Any:
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(line + "\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            pass  # why it ended comes with reading
        return self.answer()

    def answer(self) -> Any:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            _, errors = self.popen.communicate()
            reason = errors.strip().splitlines()[-1] if errors.strip() else "no message"
            raise StageFailed(f"measuring: the process ended with {self.popen.returncode}: {reason}")
        return json.loads(line)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def __enter__(self: "P") -> "P":
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.communicate()


class Arm(Process):
    """One graph in a process of its own. `call_ms` is about what a call takes."""

    module = "pare.targets.arm"

    def __init__(self, checkpoint: Checkpoint, works: Works, hardware: Hardware) -> None:
        given = {
            "runtime": hardware.runtime,
            "model": str(checkpoint.model_file),
            "device": hardware.device,
            "threads": hardware.threads,
            "options": hardware.session_options(checkpoint),
            "inputs": str(works.inputs),
            "works": works.counts,
            "texts": str(works.texts),
            "tokenizer": str(checkpoint.path / TOKENIZER),
            "about": works.about,
        }
        super().__init__(self.module, json.dumps(given))
        self.call_ms = 0.0

    def ready(self) -> Mapping[str, float]:
        """load_ms, first_ms and, where the kernel tells it, memory_mb; once it is."""
        found: dict[str, float | None] = self.answer()
        known = {fact: value for fact, value in found.items() if value is not None}
        self.call_ms = known["first_ms"]
        return known

    def warm(self) -> bool:
        """Calls until caches and clocks have settled; whether they did."""
        medians: list[float] = []
        for _ in range(MOST_BLOCKS):
            calls = max(1, min(100, round(25 / self.call_ms)))
            self.call_ms = statistics.median(self.block(LATENCY, calls, 0))
            medians = [*medians, self.call_ms][-3:]
            if len(medians) == 3 and max(medians) / min(medians) < 1 + STEADY:
                return True
            if self.call_ms > LONG_MS:
                return True
        return False

    def evidence(self) -> dict[str, Any]:
        """What ran, see `pare.runtimes.nodes.told`."""
        found: dict[str, Any] = self.ask('{"evidence": true}')
        return found

    @property
    def to_warm(self) -> int:
        """Calls that bring back what another arm drove out of the caches."""
        return 0 if self.call_ms > LONG_MS else min(20, math.ceil(REWARM_MS / self.call_ms))

    def block(self, work: str, calls: int, first: int, warm: int = 0) -> list[float]:
        """Milliseconds of each of `calls` calls, after `warm` that do not count."""
        command = {"work": work, "calls": calls, "first": first, "warm": warm}
        times: list[float] = self.ask(json.dumps(command))["ms"]
        return times
