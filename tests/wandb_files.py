"""Reads wandb's offline runs: a LevelDB log of protocol buffers, which wandb itself reads in Go only."""

import json
from pathlib import Path
from struct import unpack_from
from typing import Any

HEADER, BLOCK = 7, 32 * 1024
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(folder: Path) -> list[Any]:
    """Every record of the one offline run below `folder`."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.rglob("*.wandb")
    found = []
    for payload in payloads(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(payload)
        found.append(record)
    return found


def payloads(content: bytes) -> list[bytes]:
    """The logical records of the log, joined from their fragments."""
    assert content[:4] == b":W&B"
    found, parts, at = [], b"", HEADER
    while at + HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = unpack_from("<IHB", content, at)
        if kind == 0:
            break
        parts += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            found.append(parts)
            parts = b""
    return found


def named(items: Any) -> dict[str, str]:
    """JSON values by name, from the items of a summary, a history or a config."""
    return {item.key or "/".join(item.nested_key): item.value_json for item in items}


def run_of(found: list[Any]) -> Any:
    """The one run that the records are of."""
    (run,) = (r.run for r in found if r.WhichOneof("record_type") == "run")
    return run


def config_of(found: list[Any]) -> dict[str, Any]:
    return {k: json.loads(v) for k, v in named(run_of(found).config.update).items()}


def summary_of(found: list[Any]) -> dict[str, Any]:
    return {k: json.loads(v) for r in found for k, v in named(r.summary.update).items()}


def history_of(found: list[Any]) -> list[dict[str, Any]]:
    points = [named(r.history.item) for r in found if r.WhichOneof("record_type") == "history"]
    return [{k: json.loads(v) for k, v in point.items()} for point in points]


def artifacts(found: list[Any]) -> list[Any]:
    return [r.artifact for r in found if r.WhichOneof("record_type") == "artifact"]
