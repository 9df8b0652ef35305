"""Where arms are born: a process that has imported what they need and forks one in milliseconds.

    python -m pare.targets.nursery MODULE RUNTIME …

All arms of a measurement have the same libraries at the same places; what differs is what they load. Reads
one byte with three descriptors from the socket that is its stdin: forks a process that has them as stdin,
stdout and stderr and runs `main` of the module; answers with its id. Any other line is the id of one that
ended: answers with its exit status.
"""

import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from pare.errors import StageFailed
from pare.runtimes.session import Runtime, session_class

ARM = "pare.targets.arm"
FORK = b"f"


class Nursery:
    """From outside; ends with its `with`. module: what its children run."""

    def __init__(self, runtimes: Sequence[Runtime], module: str = ARM) -> None:
        self.door, theirs = socket.socketpair()
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "pare.targets.nursery", module, *dict.fromkeys(runtimes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        return int(self.popen.pid)

    def fork(self, descriptors: Sequence[int]) -> int:
        """The id of a child with these as stdin, stdout and stderr."""
        socket.send_fds(self.door, [FORK], list(descriptors))
        return int(self.answer())

    def status(self, pid: int) -> int:
        """Waits for the end of a child: its exit code, negative for a signal."""
        self.door.send(str(pid).encode("ascii"))
        return int(self.answer())

    def answer(self) -> bytes:
        found = self.door.recv(64)
        if not found:
            raise StageFailed(f"measuring: the runtime could not be imported (exit {self.popen.wait()})")
        return found

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self.door.close()
        self.popen.kill()
        self.popen.wait()


def main(module: ModuleType) -> None:
    with socket.socket(fileno=0) as door:
        while True:
            message, descriptors, _, _ = socket.recv_fds(door, 64, 3)
            if not message:
                return
            if message != FORK:
                _, status = os.waitpid(int(message), 0)
                door.send(str(os.waitstatus_to_exitcode(status)).encode("ascii"))
                continue
            pid = os.fork()
            if pid == 0:
                live(module, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            door.send(str(pid).encode("ascii"))


def live(module: ModuleType, descriptors: Sequence[int]) -> None:
    """As a process of its own; never returns."""
    code = 1
    try:
        for place, descriptor in enumerate(descriptors):
            os.dup2(descriptor, place)
            os.close(descriptor)
        module.main()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    arm = import_module(sys.argv[1])
    for runtime in sys.argv[2:]:
        session_class(runtime)  # type: ignore[arg-type]
    main(arm)
