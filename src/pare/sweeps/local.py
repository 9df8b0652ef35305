"""Nodes as processes of this machine: so many at a time, and one alone where something is timed."""

import heapq
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pare.machine import cores
from pare.nursery import Nursery
from pare.sweep import EngineSettings, Orders, Slots, Sweep
from pare.sweeps import work
from pare.sweeps.engine import Ending, Working, ending_of
from pare.sweeps.errand import NODES, death, timeout
from pare.sweeps.plan import Node


@dataclass(frozen=True)
class Local(EngineSettings):
    """On this machine, as many as `sweep.workers` says."""

    elsewhere = False

    def check(self, store: Path) -> None:
        """Nothing can be amiss."""

    def slots(self, sweep: Sweep, threads: int, gpus: Sequence[str]) -> Slots:
        """For stages of so many threads, which have one of the GPUs each where there are any."""
        count = sweep.workers or max(1, cores() // threads)
        return Slots(min(count, len(gpus)) if gpus else count, gpus)

    @contextmanager
    def engine(self, orders: Orders) -> Iterator["Processes"]:
        work.read_plan(str(orders.plan))
        with Nursery.forked(work) as nursery:  # what was read so far need not be read again
            yield Processes(nursery, orders)


@dataclass
class Running:
    """A process at work. line: its life hangs on it, and it ends with the process."""

    node: Node
    pid: int
    line: socket.socket
    gpu: str | None
    since: float = field(default_factory=time.time)
    kill_at: float | None = None
    timed_out: bool = False


class Processes:
    """Shared prefixes first: of what is ready, the node that most jobs wait for."""

    def __init__(self, nursery: Nursery, orders: Orders) -> None:
        self.nursery, self.plan, self.slots = nursery, orders.plan, orders.slots
        self.settings, self.wanted = orders.sweep, orders.wanted
        #: for results that are in the store and only have to be written down
        self.hands = orders.sweep.workers or max(cores(), orders.slots.count)
        self.free = list(orders.slots.gpus)
        self.waiting: dict[str, set[str]] = {}
        self.nodes: dict[str, Node] = {}
        self.ready: list[tuple[bool, int, int, str]] = []
        self.at_work: dict[str, Running] = {}
        self.done: set[str] = set()

    def submit(self, node: Node, after: Sequence[str]) -> None:
        self.nodes[node.id] = node
        missing = set(after) - self.done
        self.waiting[node.id] = missing
        if not missing:
            self._is_ready(node)

    def running(self) -> dict[str, Working]:
        return {name: Working(one.since) for name, one in self.at_work.items()}

    def ended(self, wait_s: float) -> list[Ending]:
        self._start()
        until = time.time() + wait_s
        while self.at_work:
            self._stop_late()
            lines = {one.line: one for one in self.at_work.values()}
            soon = min([until, *(t for one in lines.values() if (t := self._deadline(one)) is not None)])
            gone, _, _ = select.select(list(lines), [], [], max(0.0, soon - time.time()))
            if gone or time.time() >= until:
                return [self._end(lines[line]) for line in gone]
        return []

    def start_no_more(self) -> set[str]:
        never = {name for name, missing in self.waiting.items() if missing}
        never.update(name for *_, name in self.ready)
        self.ready, self.waiting = [], {}
        return never

    def stop(self) -> None:
        self.start_no_more()
        for one in self.at_work.values():
            self._ask(one)
        while self.at_work:
            self.ended(self.settings.grace_s)

    def _is_ready(self, node: Node) -> None:
        """What computes goes first: what is timed has to wait until all else is still."""
        heapq.heappush(self.ready, (node.alone, -self.wanted[node.id], len(self.nodes), node.id))

    def _start(self) -> None:
        while self.ready:
            node = self.nodes[self.ready[0][-1]]
            if self.at_work and (node.alone or any(one.node.alone for one in self.at_work.values())):
                return
            if len(self.at_work) >= (self.hands if node.kind == "result" else self.slots.count):
                return
            heapq.heappop(self.ready)
            self.at_work[node.id] = self._fork(node)

    def _fork(self, node: Node) -> Running:
        gpu = self.free.pop(0) if self.free and not node.alone else None  # who measures chooses its own
        ours, theirs = socket.socketpair()
        log = self.plan.parent / NODES / f"{node.id}.log"
        with theirs, log.open("ab") as file:
            pid = self.nursery.fork([theirs.fileno(), file.fileno(), file.fileno()])
        ours.sendall(json.dumps([str(self.plan), node.id, gpu]).encode("utf-8") + b"\n")
        return Running(node, pid, ours, gpu)

    def _deadline(self, one: Running) -> float | None:
        if one.kill_at is not None:
            return one.kill_at
        return None if self.settings.timeout_s is None else one.since + self.settings.timeout_s

    def _stop_late(self) -> None:
        for one in self.at_work.values():
            late = (deadline := self._deadline(one)) is not None and time.time() >= deadline
            if late and one.kill_at is None:
                one.timed_out = True
                self._ask(one)
            elif late:
                self._signal(one, signal.SIGKILL)
                one.kill_at = time.time() + 1

    def _ask(self, one: Running) -> None:
        self._signal(one, signal.SIGTERM)
        one.kill_at = time.time() + self.settings.grace_s

    def _signal(self, one: Running, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, number)

    def _end(self, one: Running) -> Ending:
        del self.at_work[one.node.id]
        if one.gpu is not None:
            self.free.append(one.gpu)
        one.line.close()
        status = self.nursery.status(one.pid)
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)  # what it started and left behind
        ending = ending_of(self.plan, one.node.id, death(status))
        if one.timed_out:
            ending = Ending(one.node.id, timeout(self.settings.timeout_s))
        if ending.error is None:
            self.done.add(one.node.id)
            for name, missing in self.waiting.items():
                if missing == {one.node.id}:
                    self._is_ready(self.nodes[name])
                missing.discard(one.node.id)
        return ending
