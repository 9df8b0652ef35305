"""What is printed costs no work: not what an encoding lacks, nor that nobody is there to read it any more."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, BinaryIO

#: a character that an encoding lacks is shown by its number
LENIENT = "backslashreplace"


def show_any_character() -> None:
    """On standard output; stderr does so by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook's is none
        sys.stdout.reconfigure(errors=LENIENT)


def print_on_unread() -> None:
    """From now on what cannot be printed, as a pipe's reader or the terminal is gone, stops nothing."""
    for name in ("stdout", "stderr"):
        before = getattr(sys, name)
        if before is not getattr(sys, f"__{name}__") or not isinstance(before, io.TextIOWrapper):
            continue  # somebody else's, or done already
        before.flush()
        raw = Unread(before.fileno(), "w", closefd=False)
        buffer: BinaryIO = raw if before.write_through else io.BufferedWriter(raw)
        after = io.TextIOWrapper(
            buffer,
            before.encoding,
            LENIENT,
            line_buffering=before.line_buffering,
            write_through=before.write_through,
        )
        setattr(sys, name, after)


class Unread(io.FileIO):
    """Takes what it cannot write, too."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as e:
            forget(self.fileno())
            if self.fileno() == 1:
                told = f"standard output: {e.strerror}; the work goes on without it\n"
                with suppress(OSError):  # both may be gone
                    os.write(2, told.encode("ascii", LENIENT))
            return len(data)


def forget(descriptor: int) -> None:
    """From now on what is written there goes nowhere."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (a descriptor is needed)
        os.dup2(nothing.fileno(), descriptor)
