"""A node taken to another machine: its process is started there, watched, and told to end with its errand.

Whoever distributes errands runs many on a machine, so nothing heavy is imported here.
"""

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from pare.files import look_again, write_json

NODES = "nodes"  # the folder, beside the plan
#: seconds between two looks at what else is wanted: some ask without interrupting a call of the system
LOOK = 0.5
#: whom SLURM takes the machine from, and who ends by himself while he is given grace, has failed and does not
#: run again: so whoever is told to end waits for the kill
KILLED_WITHIN_S = 600.0


class NodeFailed(Exception):
    """For schedulers, that they start nothing which comes after; what happened is in nodes/NODE.json."""


@dataclass
class Errand:
    """Called, it carries the node out.

    after: nodes to wait for, where the scheduler does not. folder, environment: as they are at home.
    """

    plan: str
    node: str
    timeout_s: float | None
    grace_s: float
    folder: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[str] = ()
    child: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    def __call__(self, *before: object) -> None:
        """before: what schedulers hand on from one task to the next."""
        with ended_by(signal.SIGTERM):
            try:
                self.arrive()
                error = self.carried_out()
            except SystemExit:
                if os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
                    time.sleep(KILLED_WITHIN_S)
                raise
        if error is not None:
            raise NodeFailed(f"{self.node}: {error['message']}")

    def checkpoint(self) -> Any:
        """How submitit asks before it has the job queued again: what trains writes where it is."""
        from submitit.helpers import DelayedSubmission

        self.end()
        return DelayedSubmission(replace(self))

    def arrive(self) -> None:
        if not Path(self.plan).is_file():
            raise NodeFailed(
                f"{self.plan} is not on {socket.gethostname()}: the folder of the sweep, and the store, "
                "must be on a file system that all machines share"
            )
        for node in self.after:
            while (told := told_by(self.plan, node)).get("error", "not yet") == "not yet":
                time.sleep(LOOK)
            if told["error"] is not None:
                raise NodeFailed(f"{self.node}: {node} failed")

    def carried_out(self) -> dict[str, Any] | None:
        """How it ended, said by its process, or for it."""
        ending_file(self.plan, self.node).unlink(missing_ok=True)  # of an earlier attempt
        began = time.time()
        ours, theirs = socket.socketpair()
        log = Path(self.plan).parent / NODES / f"{self.node}.log"
        with ours:
            with theirs, log.open("ab") as file:
                self.child = subprocess.Popen(
                    [sys.executable, "-m", "pare.sweeps.work"],
                    stdin=theirs.fileno(), stdout=file, stderr=file, cwd=self.folder,
                    env={**os.environ, **self.environment}, start_new_session=True,
                )  # fmt: skip
            ours.sendall(json.dumps([self.plan, self.node, None]).encode("utf-8") + b"\n")
            try:
                in_time = self.waits(ours, self.timeout_s)
            finally:
                status = self.end()
        told = told_by(self.plan, self.node)
        error = told.get("error") or death(status)
        if not in_time:
            error = timeout(self.timeout_s)
        if error != told.get("error"):
            ending = {"began": began, **told, "error": error, "seconds": time.time() - began}
            write_json(ending_file(self.plan, self.node), ending)
        return error

    def waits(self, line: socket.socket, seconds: float | None) -> bool:
        """For the child to end; False where it did not in time."""
        until = None if seconds is None else time.monotonic() + seconds
        while not select.select([line], [], [], LOOK)[0]:
            if until is not None and time.monotonic() >= until:
                return False
        return True

    def end(self) -> int:
        """Its status, once it has ended: asked to if it has not, and killed if it does not."""
        assert self.child is not None
        try:
            if self.child.poll() is None:
                self.signal(signal.SIGTERM)
            return self.child.wait(self.grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.signal(signal.SIGKILL)  # what it started and left behind, too
        return self.child.wait()

    def signal(self, number: int) -> None:
        assert self.child is not None
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)


@contextmanager
def ended_by(number: signal.Signals) -> Iterator[None]:
    """Inside, the signal ends what goes on as an exception does."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(number, end)
    try:
        yield
    finally:
        signal.signal(number, before)


def ending_file(plan: str | Path, node: str) -> Path:
    return Path(plan).parent / NODES / f"{node}.json"


def told_by(plan: str | Path, node: str) -> dict[str, Any]:
    """What a node's process wrote so far: when it began; then, with "error", how it ended and "warnings"."""
    file = ending_file(plan, node)
    look_again(file.parent)
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):  # stale: replaced by another machine just now
            raise
        return {}
    return told


def timeout(seconds: float | None) -> dict[str, str]:
    """Of a process that was told to end because it took longer."""
    return {"kind": "Timeout", "message": f"not done after {seconds:g} s"}


def death(status: int) -> dict[str, str] | None:
    """Of a process that could not say itself how it ended."""
    if status == 0:
        return None
    if status > 0:
        return {"kind": "Exited", "message": f"exit code {status}"}
    name = signal.Signals(-status).name
    hint = "; perhaps for want of memory" if name == "SIGKILL" else ""
    return {"kind": "Killed", "message": f"killed by {name}{hint}"}
