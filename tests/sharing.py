"""One of several processes that share a folder: python sharing.py ROOT WHAT, told when to go on stdin."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pare.files import locked
from pare.store import Store

KEYS = [f"{number:08x}" for number in range(12)]
ROUNDS = 40


def write(folder: Path) -> Mapping[str, object]:
    (folder / "weights.bin").write_bytes(os.urandom(100_000))
    return {}


def race(root: Path) -> object:
    """All keys, which everybody wants at once: each was looked for before, when it was not there."""
    store = Store(root / "store")
    absent = [store.get(key) is None for key in KEYS]
    wait()
    found = {key: store.produce(key, "checkpoint", write) for key in KEYS}
    return {
        "absent": absent,
        "found": {key: [entry.digest, cached] for key, (entry, cached) in found.items()},
    }


def hold(root: Path) -> object:
    """One key, for ever."""

    def never(folder: Path) -> Mapping[str, object]:
        (folder / "half.bin").write_bytes(b"half")
        wait()
        return {}

    return Store(root / "store").produce(KEYS[0], "checkpoint", never)[1]


def count(root: Path) -> object:
    """One more each time, under a lock."""
    counter = root / "counter"
    wait()
    for _ in range(ROUNDS):
        with locked(root / "lock"):
            counter.write_text(str(int(counter.read_text("utf-8")) + 1), "utf-8")
    return ROUNDS


def wait() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    print(
        json.dumps({"race": race, "hold": hold, "count": count}[sys.argv[2]](Path(sys.argv[1]))), flush=True
    )
