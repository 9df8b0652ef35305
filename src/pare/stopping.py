"""Signals that ask a process to end: it does at once or, while it is patient, where it can go on later."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: a scheduler's warning that it will take the machine away is taken as a request to end
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)

_patient = False
_asked: int | None = None


def listen() -> None:
    """From now on; of the main thread only."""
    for number in ASKING:
        signal.signal(number, _heard)


def _heard(number: int, frame: FrameType | None) -> None:
    global _asked
    if not _patient or _asked is not None:  # who asks twice does not want to wait
        _end(number)
    _asked = number


def _end(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + signal.SIGTERM)


def asked() -> bool:
    """Whether a patient process should come to an end."""
    return _asked is not None


@contextmanager
def patient() -> Iterator[None]:
    """Inside, a request to end waits: for `asked`, and for the end of the block at the latest."""
    global _patient, _asked
    _patient = True
    try:
        yield
    finally:
        _patient, number, _asked = False, _asked, None
        if number is not None:
            _end(number)
