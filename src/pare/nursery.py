"""A process that has imported what others will need, and forks them in milliseconds.

    python -m pare.nursery MODULE PRELOADED …

Reads one byte with three descriptors from the socket that is its stdin: forks a process that has them as
stdin, stdout and stderr and runs `main()` of the module; answers with its id. Any other message is the id of
one that ended: answers with its exit status. Ends when the other side of the socket does.
"""

import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from pare.errors import StageFailed

FORK = b"f"


class Nursery:
    """From outside; ends with its `with`. module: whose `main()` the children run; preloaded: modules."""

    def __init__(self, module: str, preloaded: Sequence[str] = ()) -> None:
        self.module = module
        self.door, theirs = socket.socketpair()
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "pare.nursery", module, *preloaded],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        return int(self.popen.pid)

    def fork(self, descriptors: Sequence[int]) -> int:
        """The id of a child with these as stdin, stdout and stderr."""
        with suppress(BrokenPipeError):  # why comes with the answer
            socket.send_fds(self.door, [FORK], list(descriptors))
        return int(self.answer())

    def status(self, pid: int) -> int:
        """Waits for the end of a child: its exit code, negative for a signal."""
        self.door.send(str(pid).encode("ascii"))
        return int(self.answer())

    def answer(self) -> bytes:
        found = self.door.recv(64)
        if not found:
            raise StageFailed(f"{self.module}: could not be imported (exit {self.popen.wait()})")
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
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    mother, *others = map(import_module, sys.argv[1:])
    main(mother)
