"""Trackers at arm's length: a process that can be given up talks to them.

    python -m pare.tracking.mirroring

It reads one line of JSON from stdin: the tracker's config and a folder with a job or a sweep in it. It writes
`waiting` before it waits for the server, `preparing` once it goes on without, and at last `done`, or what
went wrong. It ends when the other side of its stdin does. wandb's own service ends within a second or two of
the process that it serves.
"""

import json
import logging
import os
import re
import select
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException, InvalidURL
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, build_opener, getproxies

from pare.build import build
from pare.errors import ConfigError
from pare.nursery import end_with
from pare.tracking.record import is_study, read_job, read_study
from pare.tracking.tracker import Tracker, one_line

log = logging.getLogger(__name__)

#: at least, for imports, checksums and files of this machine, none of which wait for anybody
PREPARE_S = 60.0
PREPARING, WAITING, DONE = "preparing", "waiting", "done"


def mirror(tracker: Mapping[str, Any] | None, folder: Path) -> None:
    """What is in the folder, told to the tracker; whatever becomes of that, it costs one line of warning.

    tracker: its config; None: there is none.
    """
    if tracker is None:
        return
    found = built(tracker)
    if not is_study(folder) and (remark := found.remark()):  # of a sweep its jobs have said it
        log.warning("tracker: %s", without_user(remark))
    if trouble := trouble_with(tracker, found.limit_s, folder):
        again = f"the results are in {folder}, and `pare track resync {folder}` tries again"
        log.warning("tracker: %s; %s", trouble, again)


def trouble_with(
    tracker: Mapping[str, Any], limit_s: float, folder: Path, prepare_s: float = PREPARE_S
) -> str | None:
    """Why the tracker does not have it; None where it does. prepare_s: for its own work, at least."""
    try:
        with TemporaryDirectory(prefix="pare-", ignore_cleanup_errors=True) as scratch:
            trouble = told_apart(tracker, limit_s, max(prepare_s, limit_s), folder, scratch)
    except OSError as e:  # no process or folder to be had
        trouble = str(e)
    return None if trouble is None else without_user(trouble)[:200]


def without_user(text: str) -> str:
    """Addresses without the name and the token that may be in them."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def built(config: Mapping[str, Any]) -> Tracker:
    problems: list[str] = []
    found: Tracker = build(dict(config), "tracker", problems, Tracker)
    if problems:
        raise ConfigError(problems)
    return found


def told_apart(
    tracker: Mapping[str, Any], limit_s: float, prepare_s: float, folder: Path, scratch: str
) -> str | None:
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
            return heard(process.stdout.fileno(), built(tracker).address(), limit_s, prepare_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def heard(pipe: int, address: str, limit_s: float, prepare_s: float) -> str | None:
    """What became of it, as the process tells or as its silence does.

    All its waiting, for an answer and for what it tells to arrive, has one limit; all its preparing another.
    What is prepared for a server keeps the job as well: it counts as waiting, but leaves a third of that.
    """
    text, doing, left = "", PREPARING, {PREPARING: prepare_s, WAITING: limit_s}
    since = time.monotonic()
    while select.select([pipe], [], [], max(0.0, left[doing]))[0]:
        found = os.read(pipe, 65536)
        since, before = time.monotonic(), since
        left[doing] -= since - before
        if doing == PREPARING:
            left[WAITING] = min(left[WAITING], max(limit_s / 3, left[WAITING] - since + before))
        *lines, text = (text + found.decode("utf-8", "replace")).split("\n")
        for line in lines:
            if line not in left:
                return None if line == DONE else line
            doing = line
        if not found:
            return "its process ended before it was done"
    if doing == PREPARING:
        return f"not done after {prepare_s:g} s of its own work; a longer tracker.limit_s leaves it as long"
    return f"{address or 'its server'}: given up after {limit_s:g} s (tracker.limit_s)"


def main() -> int:
    """The process: only its own words go to its stdout."""
    words = os.dup(1)
    os.dup2(2, 1)

    def say(word: str) -> None:
        os.write(words, f"{word}\n".encode())

    told = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with, args=(0,), daemon=True).start()
    try:
        trouble = tell(built(told["tracker"]), Path(told["folder"]), say)
    except Exception as e:
        trouble = one_line(e)
    say(trouble or DONE)
    return 1 if trouble else 0


def tell(tracker: Tracker, folder: Path, say: Callable[[str], None]) -> str | None:
    """Why its server does not even answer, if it does not."""
    if address := tracker.address():
        say(WAITING)
        if trouble := silence(address):
            return trouble
        say(PREPARING)
    if is_study(folder):
        tracker.mirror_study(read_study(folder), lambda: say(WAITING))
    else:
        tracker.mirror_job(read_job(folder), lambda: say(WAITING))
    return None


class Stay(HTTPRedirectHandler):
    """Where a server sends browsers to is another server's."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def silence(address: str) -> str | None:
    """Whether a server does not answer at all: known here before a library is loaded, which takes seconds.

    Which certificates to trust the library knows, and who asks; here nothing is sent but the question. What
    urllib cannot do it is left to do as well: proxies other than of HTTP, and odd addresses.
    """
    scheme, proxies = address.partition("://")[0], getproxies()
    if scheme not in ("http", "https") or "all" in proxies or proxies.get(scheme, "").startswith("socks"):
        return None
    address = without_user(address)
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with suppress(HTTPError):  # an answer like any other
            build_opener(HTTPSHandler(context=unverified), Stay).open(address).close()
    except (InvalidURL, ValueError):
        return None
    except (OSError, HTTPException) as e:
        reason = getattr(e, "reason", None) or e
        return None if isinstance(reason, ssl.SSLError) else f"{address}: {reason}"
    return None


if __name__ == "__main__":
    # without `exit`'s ceremony: nothing is left to be done, and a library's thread may hang
    os._exit(main())
