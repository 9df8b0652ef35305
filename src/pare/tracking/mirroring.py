"""Trackers at arm's length: a process that can be given up talks to them.

    python -m pare.tracking.mirroring

It reads one line of JSON from stdin: the tracker's config and a folder with a job or a sweep in it. It writes
`ready` once what needs no tracker is prepared, and `done`, or what went wrong. It ends when the other side of
its stdin does. wandb's own service ends within a second or two of the process that it serves.
"""

import json
import logging
import os
import select
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from pare.build import build
from pare.errors import ConfigError
from pare.nursery import end_with
from pare.tracking.record import is_study, read_job, read_study
from pare.tracking.tracker import Tracker

log = logging.getLogger(__name__)

#: for imports, checksums and files of this machine, none of which wait for anybody
PREPARE_S = 60.0
READY, DONE = "ready", "done"


def mirror(tracker: Mapping[str, Any] | None, folder: Path) -> None:
    """What is in the folder, told to the tracker; whatever becomes of that, it costs one line of warning.

    tracker: its config; None: there is none.
    """
    if tracker is None:
        return
    found = built(tracker)
    if not is_study(folder) and (remark := found.remark()):  # of a sweep its jobs have said it
        log.warning("tracker: %s", remark)
    if trouble := trouble_with(tracker, found.limit_s, folder):
        again = f"the results are in {folder}, and `pare track resync {folder}` tries again"
        log.warning("tracker: %s; %s", trouble, again)


def trouble_with(tracker: Mapping[str, Any], limit_s: float, folder: Path) -> str | None:
    """Why the tracker does not have it; None where it does."""
    if trouble := silence(built(tracker).address(), limit_s):
        return trouble
    try:
        with TemporaryDirectory(prefix="pare-", ignore_cleanup_errors=True) as scratch:
            return told_apart(tracker, limit_s, folder, scratch)
    except OSError as e:  # no process or folder to be had
        return str(e)


def silence(address: str, limit_s: float) -> str | None:
    """Whether a server does not answer at all: known here before a library is loaded, which takes seconds.

    Which certificates to trust the library knows; here nothing is sent but the question.
    """
    if not address.startswith(("http://", "https://")):
        return None
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with suppress(HTTPError):  # an answer like any other
            urlopen(address, timeout=limit_s, context=unverified).close()
    except (OSError, HTTPException, ValueError) as e:
        reason = getattr(e, "reason", None) or e
        if isinstance(reason, TimeoutError):
            return f"{address} did not answer, {given_up(limit_s)}"
        return None if isinstance(reason, ssl.SSLError) else f"{address}: {reason}"
    return None


def given_up(limit_s: float) -> str:
    return f"given up after {limit_s:g} s (tracker.limit_s)"


def built(config: Mapping[str, Any]) -> Tracker:
    problems: list[str] = []
    found: Tracker = build(dict(config), "tracker", problems, Tracker)
    if problems:
        raise ConfigError(problems)
    return found


def told_apart(tracker: Mapping[str, Any], limit_s: float, folder: Path, scratch: str) -> str | None:
    """scratch: for what libraries leave behind where they are killed."""
    # WANDB_ERROR_REPORTING: offline means that nothing goes out
    environment = os.environ | {"TMPDIR": scratch, "WANDB_ERROR_REPORTING": "false"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pare.tracking.mirroring"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that all of it can be killed
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            told = {"tracker": dict(tracker), "folder": str(folder.absolute())}
            with suppress(BrokenPipeError):  # why is on the other pipe
                process.stdin.write(json.dumps(told).encode() + b"\n")
                process.stdin.flush()
            return heard(process.stdout.fileno(), limit_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def heard(pipe: int, limit_s: float) -> str | None:
    """What became of it, as the process tells or as its silence does."""
    text, until, ready = b"", time.monotonic() + PREPARE_S, False
    while select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
        found = os.read(pipe, 65536)
        text += found
        *lines, _ = text.decode("utf-8", "replace").split("\n")
        if READY in lines and not ready:
            until, ready = time.monotonic() + limit_s, True
        if lines and lines[-1] != READY:
            return None if lines[-1] == DONE else lines[-1]
        if not found:
            return "its process ended before it was done"
    if not ready:
        return f"not ready after {PREPARE_S:.0f} s"
    return given_up(limit_s)


def main() -> int:
    """The process: only its own words go to its stdout."""
    words = os.dup(1)
    os.dup2(2, 1)

    def say(word: str) -> None:
        os.write(words, f"{word}\n".encode())

    told = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with, args=(0,), daemon=True).start()
    try:
        tell(built(told["tracker"]), Path(told["folder"]), lambda: say(READY))
    except Exception as e:
        first = (str(e).strip() or "no reason given").splitlines()[0]
        say(f"{type(e).__name__}: {first[:200]}")
        return 1
    say(DONE)
    return 0


def tell(tracker: Tracker, folder: Path, ready: Any) -> None:
    if is_study(folder):
        tracker.mirror_study(read_study(folder), ready)
    else:
        tracker.mirror_job(read_job(folder), ready)


if __name__ == "__main__":
    # without `exit`'s ceremony: nothing is left to be done, and a library's thread may hang
    os._exit(main())
