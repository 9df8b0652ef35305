"""The store: what a stage made is kept under the key of all it was made from, and never made twice."""

import errno
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pare.artifact import MANIFEST, Damaged, Entry, check, load, seal
from pare.errors import ConfigError, StoreNotWritable
from pare.files import (
    Discard,
    disk_full_reported,
    fsync_path,
    locked,
    look_again,
    remove,
    telling,
    unless_read_only,
)
from pare.provenance import digest

__all__ = ["Entry", "Removed", "Store", "Verified", "usual_root"]

_KEY = re.compile(r"[0-9a-f]{8,64}")
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
_FOLDERS = ("objects", "tmp", "locks", "quarantine")
#: a training that was interrupted may be taken up again for so long
SCRATCH_DAYS = 7.0


def usual_root() -> Path:
    """The folder of jobs that are told of none, as conf/config.yaml has it."""
    return Path(os.environ.get("PARE_STORE") or "artifacts").expanduser()


@dataclass(frozen=True)
class Verified:
    """How many entries are as they were written, and the keys of those that were not."""

    intact: int
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Removed:
    """What `gc` removed, or would: names of folders in tmp/ and quarantine/, keys of unused entries."""

    temporary: tuple[str, ...]
    quarantined: tuple[str, ...]
    unused: tuple[str, ...]
    freed_bytes: int


class Store:
    """
    A folder of artifacts that any number of processes may share.

    Every change to a key is made under that key's exclusive lock; a reader verifies under a shared one,
    so that what it was given is not removed before its use was noted.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self._objects, self._tmp, self._locks, self._quarantine = (self.root / name for name in _FOLDERS)

    def get(self, key: str) -> Entry | None:
        """The entry, every byte verified; None where there is none, or it was damaged."""
        found = self._examine(key, use=True)
        return found if isinstance(found, Entry) else None

    def peek(self, key: str) -> Entry | None:
        """What an entry's manifest says, none of its bytes verified: enough to plan by."""
        try:
            return load(self._folder(key), key)
        except Damaged:
            return None

    def produce(
        self, key: str, kind: str, write: Callable[[Path], Mapping[str, object]], *, anew: bool = False
    ) -> tuple[Entry, bool]:
        """
        The entry, and whether it was there already; if not, `write` fills a folder and returns the meta.

        Of all processes that ask at once one writes and the others wait for it. If `write` raises,
        nothing is kept; if the disk fills, StoreFull is raised. `anew` writes whether or not it is there;
        the entry that was stays until the new one is whole.
        """
        if not anew and (entry := self.get(key)):
            return entry, True
        with self._lock(key):
            found = self._settle(key, use=True)
            if isinstance(found, Entry) and not anew:
                return found, True
            return self._publish(key, kind, write, anew), False

    def scratch(self, key: str) -> Path:
        """Where work on a key may note how far it is: gone once it is published, or days later with `gc`."""
        return self._tmp / f"{key}.scratch"

    @contextmanager
    def claimed(self, what: str) -> Iterator[bool]:
        """Nobody else has `what` inside; False where another process has it. It is free once that ended."""
        with self._lock(digest(what), wait=False) as ours:
            yield ours

    def check_writable(self) -> None:
        """Raise StoreNotWritable unless files can be created, locked and removed everywhere in the store."""
        try:
            with disk_full_reported(self.root, "the store"):
                devices = {self._try_writing(self.root / name) for name in _FOLDERS}
        except OSError as error:
            place = error.filename or self.root
            raise StoreNotWritable(
                f"store {self.root}: {place}: {error.strerror or error}; a writable folder is needed"
            ) from error
        if len(devices) > 1:
            raise StoreNotWritable(
                f"store {self.root}: {', '.join(_FOLDERS)} lie on {len(devices)} file systems; one is needed"
            )

    def entries(self) -> Iterator[Entry]:
        """Every entry with a readable manifest, in the order of keys, its files unverified."""
        for key in self._keys():
            try:
                yield load(self._folder(key), key)
            except Damaged:
                continue  # left to `verify`

    def verify(self) -> Verified:
        """Verify every entry; move the damaged ones to quarantine, unless the disk is read-only."""
        found = {key: self._examine(key, use=False) for key in self._keys()}
        return Verified(
            intact=sum(isinstance(result, Entry) for result in found.values()),
            damaged=tuple(key for key, result in found.items() if isinstance(result, Damaged)),
        )

    def gc(self, unused_days: float = math.inf, *, dry_run: bool = False) -> Removed:
        """
        Remove what killed writers left, the quarantine and, where asked, entries unused for so many days.

        Where an interrupted training stands is kept for SCRATCH_DAYS, or for fewer if so asked. Safe beside
        running writers: a key that another process holds is passed over.
        """
        oldest, noted = (time.time() - days * 86400 for days in (unused_days, min(unused_days, SCRATCH_DAYS)))
        discard = Discard(dry_run)
        temporary: list[str] = []
        unused: list[str] = []
        for key in self._known_keys():
            with self._lock(key, wait=False) as free:
                if not free:
                    continue
                temporary.extend(map(discard, self._leftovers(key, noted)))
                if self._last_use(key, oldest) < oldest:
                    unused.append(key)
                    self._drop(key, discard)
        quarantined = tuple(map(discard, _children(self._quarantine)))
        return Removed(tuple(temporary), quarantined, tuple(unused), discard.freed_bytes)

    def _folder(self, key: str) -> Path:
        return self._objects / key[:2] / key

    def _keys(self) -> list[str]:
        return [
            path.name for two in _children(self._objects) for path in _children(two) if _is_key(path.name)
        ]

    def _known_keys(self) -> list[str]:
        keys = {path.name.partition(".")[0] for path in _children(self._tmp)}
        return sorted({*filter(_is_key, keys), *self._keys()})

    @contextmanager
    def _lock(self, key: str, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
        file, held = self._locks / key, True  # where nobody can write
        with disk_full_reported(self.root, key), ExitStack() as stack:
            with unless_read_only():
                self._locks.mkdir(parents=True, exist_ok=True)
                held = stack.enter_context(locked(file, shared=shared, wait=False))
                if wait and not held:
                    with telling(f"waiting for another process at work on the same, which holds {file}"):
                        held = stack.enter_context(locked(file, shared=shared))
            yield held

    def _examine(self, key: str, *, use: bool) -> Entry | Damaged | None:
        if not _is_key(key):
            raise ConfigError(f"store key {key!r}: 8 to 64 of the characters 0-9a-f are allowed")
        if not os.path.lexists(self._folder(key)):
            return None
        try:
            with self._lock(key, shared=True):
                return self._check(key, use)
        except Damaged:
            pass  # or just replaced: only under the exclusive lock can one tell
        with self._lock(key):
            return self._settle(key, use)

    def _check(self, key: str, use: bool) -> Entry:
        entry = check(self._folder(key), key)
        if use:
            with unless_read_only(), suppress(PermissionError):  # another user's
                os.utime(entry.path / MANIFEST)
        return entry

    def _settle(self, key: str, use: bool) -> Entry | Damaged | None:
        """Under the exclusive lock: the verified entry, or nothing at its place."""
        folder = self._folder(key)
        for parent in (self.root, self._objects, folder.parent):  # each may have been made elsewhere
            look_again(parent)
        if not os.path.lexists(folder):
            return None
        try:
            return self._check(key, use)
        except Damaged as damage:
            place = "stays there, which is read-only"
            with unless_read_only():
                self._quarantine.mkdir(exist_ok=True)
                folder.rename(self._quarantine / f"{key}.{os.urandom(4).hex()}")
                place = f"moved to {self._quarantine}"
            _warn(f"artifact {key} was damaged ({damage}): {place}")
            return damage

    def _publish(
        self, key: str, kind: str, write: Callable[[Path], Mapping[str, object]], anew: bool
    ) -> Entry:
        folder = self._folder(key)
        temporary = self._tmp / f"{key}.{os.urandom(4).hex()}"
        try:
            with disk_full_reported(self.root, f"{kind} {key}"):
                temporary.mkdir(parents=True)
                seal(temporary, key, kind, write(temporary))
                folder.parent.mkdir(parents=True, exist_ok=True)
                if anew and os.path.lexists(folder):
                    self._drop(key, Discard(dry_run=False))
                try:
                    temporary.rename(folder)
                    entry = load(folder, key)
                except OSError as error:
                    if error.errno not in _TAKEN:
                        raise
                    entry = check(folder, key)  # another machine, where locks do not reach it, was sooner
                for parent in (folder.parent, self._objects, self.root):
                    fsync_path(parent)
        finally:
            remove(temporary)
        with suppress(FileNotFoundError):
            remove(self._aside(self.scratch(key), key))
        return entry

    def _leftovers(self, key: str, oldest: float) -> list[Path]:
        """What killed writers left of a key; its scratch only if nothing was noted there since `oldest`."""
        scratch = self.scratch(key)
        mine = [path for path in _children(self._tmp) if path.name.partition(".")[0] == key]
        return [path for path in mine if path != scratch or path.stat().st_mtime < oldest]

    def _drop(self, key: str, discard: Discard) -> None:
        folder = self._folder(key)
        discard(folder if discard.dry_run else self._aside(folder, key))

    def _aside(self, folder: Path, key: str) -> Path:
        """Out of sight before it is removed: who is killed leaves no half of it, nobody writes into it."""
        self._tmp.mkdir(exist_ok=True)
        return folder.rename(self._tmp / f"{key}.{os.urandom(4).hex()}")

    def _last_use(self, key: str, absent: float) -> float:
        for path in (self._folder(key) / MANIFEST, self._folder(key)):
            if path.exists():
                return path.stat().st_mtime
        return absent

    def _try_writing(self, folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.urandom(4).hex()}"
        try:
            with locked(probe):
                return probe.stat().st_dev
        finally:
            probe.unlink(missing_ok=True)


def _warn(line: str) -> None:
    import logging  # late: it is a third of the time this module takes to import

    logging.getLogger(__name__).warning(line)


def _is_key(name: str) -> bool:
    return _KEY.fullmatch(name) is not None


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
