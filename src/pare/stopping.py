"""Signals that ask a process to end: it does at once or, while it is patient, where it can go on later."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: a scheduler's warning that it will take the machine away is taken as a request to end
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)

#: a scheduler tells every process of a job, and who started one hands it on: within so long it is one request
ONE_REQUEST_S = 2.0

_patient = False
_asked: int | None = None
_asked_at = 0.0


def listen() -> None:
    """From now on; of the main thread only."""
    for number in ASKING:
        signal.signal(number, _heard)


def _heard(number: int, frame: FrameType | None) -> None:
    global _asked, _asked_at
    if not _patient:
        _end(number)
    if _asked is None:
        _asked, _asked_at = number, time.monotonic()
    elif time.monotonic() - _asked_at > ONE_REQUEST_S:  # who asks twice does not want to wait
        _end(number)


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


@contextmanager
def hurried() -> Iterator[None]:
    """Inside, in what is patient otherwise, a request to end does not wait; nor does one that came before."""
    global _patient
    before, _patient = _patient, False
    try:
        if _asked is not None:
            _end(_asked)
        yield
    finally:
        _patient = before
