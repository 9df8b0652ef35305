"""The processes that are compared, from outside."""

import json
import math
import os
import signal
import statistics
import sys
from collections.abc import Mapping
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any, TypeVar

from pare.checkpoint import TOKENIZER, Checkpoint
from pare.errors import StageFailed
from pare.nursery import Nursery
from pare.targets.hardware import Hardware
from pare.targets.works import LATENCY, Works

#: how quickly weights come back into the caches after another arm ran, in milliseconds a megabyte; and how
#: long it takes at most until an arm is as quick as if it had been alone
REWARM_MS_A_MB, REWARM_MS = 0.25, 8
#: calls so long that this does not show in them
LONG_MS = 200
#: warm: two blocks in a row that are no quicker than the best before them, give or take
WARM_MS, STEADY, MOST_BLOCKS = 12, 0.03, 20


P = TypeVar("P", bound="Process")


class Process:
    """Answers a line of JSON with a line of JSON; ends with its `with`. given: the first line.

    It stands still while nothing is asked: threads of many a runtime go on looking for work for some
    milliseconds, on cores that the next process is timed on.
    """

    def __init__(self, nursery: Nursery, given: Mapping[str, Any]) -> None:
        self.nursery = nursery
        self.ended: int | None = None
        self.errors = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below)
        theirs, ours = os.pipe()
        answers, their_answers = os.pipe()
        self.pid = nursery.fork([theirs, their_answers, self.errors.fileno()])
        os.close(theirs)
        os.close(their_answers)
        self.to = open(ours, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (a descriptor)
        self.back = open(answers, encoding="utf-8")  # noqa: PTH123, SIM115
        self.tell(json.dumps(given))

    def tell(self, line: str) -> None:
        self.signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # why it ended comes with reading
            self.to.write(line + "\n")
            self.to.flush()

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.answer()

    def answer(self) -> Any:
        line = self.back.readline()
        if not line:
            raise StageFailed(f"measuring: the process ended with {self.status()}: {self.reason()}")
        if sys.platform == "linux":  # elsewhere it would outlive whoever is killed
            self.signal(signal.SIGSTOP)
        return json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # why it ended comes with reading
            os.kill(self.pid, number)

    def status(self) -> int:
        """Waits for its end; a process that nobody waited for looks like a stranger's."""
        if self.ended is None:
            self.ended = self.nursery.status(self.pid)
        return self.ended

    def reason(self) -> str:
        """The last it wrote to stderr."""
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else "no message"

    def __enter__(self: "P") -> "P":
        return self

    def __exit__(self, *_: object) -> None:
        if self.ended is None:
            self.signal(signal.SIGKILL)
            self.status()
        with suppress(BrokenPipeError):
            self.to.close()
        self.back.close()
        self.errors.close()


class Arm(Process):
    """One graph in a process of its own. `call_ms` is about what a call of each work takes."""

    def __init__(self, nursery: Nursery, checkpoint: Checkpoint, works: Works, hardware: Hardware) -> None:
        given = {
            "runtime": hardware.runtime,
            "model": str(checkpoint.model_file),
            "device": hardware.device,
            "threads": hardware.threads,
            "options": hardware.session_options(checkpoint),
            "inputs": str(works.inputs),
            "texts": str(works.texts),
            "tokenizer": str(checkpoint.path / TOKENIZER),
            "about": works.about,
        }
        super().__init__(nursery, given)
        self.rewarm_ms = min(REWARM_MS, REWARM_MS_A_MB * checkpoint.model_bytes() / 1e6)
        self.call_ms: dict[str, float] = {}

    def ready(self) -> Mapping[str, float]:
        """load_ms, first_ms and, where the kernel tells it, memory_mb; once it is."""
        found: dict[str, float | None] = self.answer()
        known = {fact: value for fact, value in found.items() if value is not None}
        self.call_ms[LATENCY] = known["first_ms"]
        return known

    def warm(self) -> bool:
        """Calls until caches and clocks have settled; whether they did."""
        best, level = math.inf, 0
        for _ in range(MOST_BLOCKS):
            calls = max(1, min(100, round(WARM_MS / self.call_ms[LATENCY])))
            now = self.call_ms[LATENCY] = statistics.median(self.block(LATENCY, calls, 0))
            level = 0 if now < best / (1 + STEADY) else level + 1
            best = min(best, now)
            if level == 2 or now > LONG_MS:
                return True
        return False

    def evidence(self) -> dict[str, Any]:
        """What ran, see `pare.runtimes.nodes.told`."""
        found: dict[str, Any] = self.ask('{"evidence": true}')
        return found

    def to_warm(self, work: str) -> int:
        """Calls that bring back what another arm drove out of the caches."""
        call_ms = self.call_ms.get(work, self.call_ms[LATENCY])
        return 0 if call_ms > LONG_MS else min(20, math.ceil(self.rewarm_ms / call_ms))

    def block(self, work: str, calls: int, first: int, warm: int = 0) -> list[float]:
        """Milliseconds of each of `calls` calls, after `warm` that do not count."""
        command = {"work": work, "calls": calls, "first": first, "warm": warm}
        times: list[float] = self.ask(json.dumps(command))["ms"]
        if times:
            self.call_ms.setdefault(work, statistics.median(times))
        return times
