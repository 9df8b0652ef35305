"""What a folder says of the job that fills it: config.yaml, and status.json however the job ends."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pare.bundle import remove_bundle
from pare.files import atomic_write_text, write_json
from pare.machine import process_space
from pare.report import yaml_of
from pare.result import BUNDLE, CONFIG, RESULT, STATUS
from pare.rows import ROWS

Note = Callable[[list[str]], None]


def begin(folder: Path, key: str, config: Mapping[str, Any]) -> None:
    """A bundle of the same key stays until there is another: it is what this config makes."""
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in (STATUS, RESULT, ROWS):  # of a run in the same folder
        (folder / earlier).unlink(missing_ok=True)
    remove_bundle(folder / BUNDLE, unless=key)
    atomic_write_text(folder / CONFIG, yaml_of(config))


def tell_failure(
    folder: Path,
    name: str,
    key: str,
    config: Mapping[str, Any],
    overrides: Sequence[str],
    stage: str,
    error: Mapping[str, Any],
) -> None:
    """Of a job that could not say so itself."""
    begin(folder, key, config)
    about = {"job": name, "key": key, "overrides": list(overrides)}
    status = {"state": "failed", **about, "stage": stage, "error": error}
    write_json(folder / STATUS, status)


@contextmanager
def told(
    folder: Path, name: str, key: str, config: Mapping[str, Any], overrides: Sequence[str]
) -> Iterator[Note]:
    """Yields what takes the stages that are done."""
    begin(folder, key, config)
    status: dict[str, Any] = {
        "state": "running",
        "job": name,
        "key": key,
        "overrides": list(overrides),
        "started": time.time(),
        "host": process_space(),
        "pid": os.getpid(),
    }
    write_json(folder / STATUS, status)
    try:
        yield lambda stages: write_json(folder / STATUS, status | {"stages": stages})
    except BaseException as e:
        interrupted = isinstance(e, (KeyboardInterrupt, SystemExit))
        status |= {
            "state": "interrupted" if interrupted else "failed",
            "error": {"kind": type(e).__name__, "message": str(e)},
            "ended": time.time(),
        }
        write_json(folder / STATUS, status)
        raise
    write_json(folder / STATUS, status | {"state": "done", "ended": time.time()})
