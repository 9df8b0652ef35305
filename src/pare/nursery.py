"""A process that has imported what others will need, and forks them in milliseconds.

    python -m pare.nursery MODULE PRELOADED …

Reads one byte with three descriptors from the socket that is its stdin: forks a process that has them as
stdin, stdout and stderr and runs `main()` of the module; answers with its id. Any other message is the id of
one that ended: answers with its exit status. Where a module cannot be imported, the only answer is why. Ends
when the other side of the socket does.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from pare.errors import StageFailed

FORK, FAILED = b"f", b"!"
#: this Python, which looks for no modules in the current folder: a bundle's have names that others have too
PYTHON = (sys.executable, *(("-P",) if sys.version_info >= (3, 11) else ()))


class Nursery:
    """From outside; ends with its `with`."""

    def __init__(self, module: str, door: socket.socket, pid: int) -> None:
        self.module, self.door, self.pid = module, door, pid

    @classmethod
    def fresh(cls, module: str, preloaded: Sequence[str] = ()) -> "Nursery":
        """A new process. module: whose `main()` the children run; preloaded: modules."""
        door, theirs = socket.socketpair()
        with theirs:
            # reaped in `__exit__`, as is one that was forked
            popen = subprocess.Popen(
                [*PYTHON, "-m", "pare.nursery", module, *preloaded],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )
            popen.returncode = 0
        return cls(module, door, popen.pid)

    @classmethod
    def forked(cls, module: ModuleType) -> "Nursery":
        """A copy of this process, with all that it has read: before it has threads."""
        door, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or each child would write it again
        pid = os.fork()
        if pid == 0:
            door.close()
            try:
                serve(module, theirs)
            finally:
                os._exit(0)  # whatever happened: it must not go on as the process it was forked from
        theirs.close()
        return cls(module.__name__, door, pid)

    def fork(self, descriptors: Sequence[int]) -> int:
        """The id of a child with these as stdin, stdout and stderr."""
        with suppress(ConnectionError):  # why comes with the answer
            socket.send_fds(self.door, [FORK], list(descriptors))
        return int(self.answer())

    def status(self, pid: int) -> int:
        """Waits for the end of a child: its exit code, negative for a signal."""
        with suppress(ConnectionError):
            self.door.send(str(pid).encode("ascii"))
        return int(self.answer())

    def answer(self) -> bytes:
        found = b""
        with suppress(ConnectionError):
            found = self.door.recv(1024)
        if not found:
            raise StageFailed(f"{self.module}: the process that starts others has ended")
        if found.startswith(FAILED):
            raise StageFailed(f"{self.module} cannot start: {found[1:].decode('utf-8', errors='replace')}")
        return found

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self.door.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def serve(module: ModuleType, door: socket.socket) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):  # it ends with the other side of the door
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # a child that looks for garbage would touch, and so copy, all that it shares with us
    with door, suppress(ConnectionError):
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
                door.close()
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


def end_with(line: int) -> None:
    """Once the other side of it is gone, this process ends and with it all that it started; for a thread."""
    while os.read(line, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main(names: Sequence[str]) -> None:
    door = socket.socket(fileno=0)
    try:
        module, *_ = [import_module(name) for name in names]
    except Exception as e:  # a runtime whose libraries do not fit this machine, say
        door.recv(64)  # or the answer could get lost with a question that nobody read
        door.send(FAILED + f"{type(e).__name__}: {e}".splitlines()[0].encode()[:1000])
        return
    serve(module, door)


if __name__ == "__main__":
    main(sys.argv[1:])
