"""One artifact: a folder of files with a manifest that says what they are and what they hold."""

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pare.errors import StageFailed
from pare.files import fsync_path, write_json
from pare.provenance import digest, file_digest

MANIFEST = "manifest.json"
SCHEMA = "pare/artifact@1"
_UNREADABLE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO)


@dataclass(frozen=True)
class Entry:
    """An artifact in the store; `digest` stands for its content alone, whatever its key, meta or age."""

    key: str
    path: Path
    digest: str
    kind: str
    meta: Mapping[str, object]
    size_bytes: int
    created: float


class Damaged(Exception):
    """A folder that is not, or no longer, the artifact its manifest promises; one line says why."""


@dataclass(frozen=True)
class _File:
    sha256: str
    bytes: int


def seal(folder: Path, key: str, kind: str, meta: Mapping[str, object]) -> None:
    """Turn a filled folder into an artifact: all of it on the disk, the manifest last."""
    files = _written(folder, f"{kind} {key}")
    try:
        plain_meta = json.loads(json.dumps(dict(meta), allow_nan=False))  # as it will be read back
    except (TypeError, ValueError) as error:
        raise StageFailed(f"{kind} {key}: what it says of itself is not strict JSON: {error}") from error
    for parent, _, _ in os.walk(folder, topdown=False):
        fsync_path(Path(parent))
    manifest = {
        "schema": SCHEMA,
        "key": key,
        "kind": kind,
        "digest": digest(files),
        "files": files,
        "meta": plain_meta,
        "created": time.time(),
    }
    write_json(folder / MANIFEST, {**manifest, "seal": digest(manifest)})


def load(folder: Path, key: str) -> Entry:
    """What the manifest says, the files themselves unread."""
    return _read(folder, key)[0]


def check(folder: Path, key: str) -> Entry:
    """What the manifest says, once every file is found to be there, as written, and nothing else is."""
    entry, files = _read(folder, key)
    try:
        present = set(_file_names(folder)) - {MANIFEST}
        if missing := sorted(files.keys() - present):
            raise Damaged(f"{missing[0]} is missing")
        if extra := sorted(present - files.keys()):
            raise Damaged(f"{extra[0]} is not one of its files")
        for name, file in files.items():
            if (size := (folder / name).stat().st_size) != file.bytes:
                raise Damaged(f"{name} has {size} bytes instead of {file.bytes}")
        for name, file in files.items():
            if file_digest(folder / name) != file.sha256:
                raise Damaged(f"{name} does not hold what was written")
    except ValueError as error:
        raise Damaged(str(error)) from error
    except OSError as error:
        raise _damage_or(error) from error
    return entry


def _written(folder: Path, what: str) -> dict[str, dict[str, object]]:
    files: dict[str, dict[str, object]] = {}
    try:
        for name in sorted(_file_names(folder)):
            name.encode("utf-8")
            files[name] = {"sha256": file_digest(folder / name), "bytes": (folder / name).stat().st_size}
            fsync_path(folder / name)
    except ValueError as error:
        raise StageFailed(f"{what}: {error}; only regular files with UTF-8 names can be stored") from error
    if MANIFEST in files:
        raise StageFailed(f"{what}: it wrote a file named {MANIFEST}, which the store writes itself")
    return files


def _read(folder: Path, key: str) -> tuple[Entry, dict[str, _File]]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        unsealed = {name: value for name, value in manifest.items() if name != "seal"}
        if manifest["seal"] != digest(unsealed):
            raise Damaged(f"{MANIFEST} does not hold what was written")
        if (manifest["schema"], manifest["key"]) != (SCHEMA, key):
            raise Damaged(f"{MANIFEST} is that of {manifest['key']} in the schema {manifest['schema']}")
        files = {name: _File(file["sha256"], file["bytes"]) for name, file in manifest["files"].items()}
        size = sum(file.bytes for file in files.values())
        kind, meta, created = manifest["kind"], manifest["meta"], manifest["created"]
        return Entry(key, folder, manifest["digest"], kind, meta, size, created), files
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{MANIFEST} is not one: {error}") from error
    except OSError as error:
        raise _damage_or(error) from error


def _file_names(folder: Path, below: str = "") -> Iterator[str]:
    with os.scandir(folder / below) as children:
        for child in children:
            name = below + child.name
            if child.is_dir(follow_symlinks=False):
                yield from _file_names(folder, name + "/")
            elif child.is_file(follow_symlinks=False):
                yield name
            else:
                raise ValueError(f"{name} is a {'symbolic link' if child.is_symlink() else 'special file'}")


def _damage_or(error: OSError) -> Exception:
    # too many open files, say, is no damage: a healthy artifact must not be thrown out for it
    if error.errno not in _UNREADABLE:
        return error
    return Damaged(f"{Path(error.filename or MANIFEST).name}: {error.strerror}")
