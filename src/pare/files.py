"""Files that are whole or absent, folders that survive a crash, and locks that die with their holder."""

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from pare.errors import ConfigError, DataError, PareError, StoreFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WITHOUT_LOCKS = ("fuse.sshfs", "fuse.s3fs", "fuse.rclone")  # that another machine sees
_NEARLY_FULL_BYTES = 64 * 1024
#: a file or folder that nobody wrote into for so long is of a process that was killed
STALE_S = 3600.0
#: who waits longer for another process is told so
TELL_AFTER_S = 5.0
_held: set[int] = set()


def atomic_write_text(path: Path, text: str) -> None:
    """Replace a file by `text` so that a reader, or a crash, sees all of the old or all of the new."""
    with disk_full_reported(path.parent, path.name):
        with replaced(path) as temporary, temporary.open("xb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        fsync_path(path.parent)


@contextmanager
def replaced(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """A name beside it to write to: the file is whole, or as it was. suffix: that a library goes by."""
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}{suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write strict, readable JSON atomically; NaN and Infinity raise ValueError, nothing is written then."""
    try:
        text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    atomic_write_text(path, text + "\n")


def fsync_path(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_writable(folder: Path, key: str) -> None:
    """Make a folder; ConfigError where that cannot be done, or no file be put there. key: what names it."""
    probe = folder / f".writable.{os.urandom(4).hex()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"{key}: {folder}: {error.strerror}; a writable folder is needed") from None


def text_of(file: Path, setting: str, mistake: type[ConfigError] = DataError) -> str:
    """A small file, whole. setting: the config key that led here, for messages."""
    try:
        if not file.is_file():
            raise mistake(f"{setting}: no such file: {file}")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise mistake(f"{setting}: {file} is not UTF-8 ({e.reason} at byte {e.start})") from None
    except OSError as e:
        raise mistake(f"{setting}: {file}: {e.strerror or e}") from None


def look_again(folder: Path) -> None:
    """Have what other machines did in a folder seen now: NFS asks its server when a folder is opened."""
    with suppress(FileNotFoundError):
        os.close(os.open(folder, os.O_RDONLY))


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    with suppress(FileNotFoundError):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return status.st_size
        with os.scandir(path) as children:
            for child in children:
                total += size_of(path / child.name)
    return total


def remove(path: Path) -> None:
    """Remove a file, or a folder and all in it; another process may be removing it too."""
    import shutil  # late, as is logging below: they would double the time this module takes to import

    while os.path.lexists(path):
        with suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


class Discard:
    """Removes folders, or with `dry_run` only adds up their sizes."""

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.freed_bytes = 0

    def __call__(self, path: Path) -> str:
        self.freed_bytes += size_of(path)
        if not self.dry_run:
            remove(path)
        return path.name


def remove_stale(folder: Path, pattern: str) -> None:
    """What of that pattern killed processes left."""
    for left in folder.glob(pattern):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE_S:
                remove(left)


def aside(folder: Path) -> Path:
    """Where a folder is filled before it is there, or put before it is removed."""
    return folder.with_name(f".{folder.name[:100]}.{os.urandom(4).hex()}.unfinished")


def remove_whole(folder: Path) -> None:
    """So that nobody finds half of it there, whenever this ends; another process may be removing it too."""
    with suppress(FileNotFoundError):
        remove(folder.rename(aside(folder)))


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """A folder to fill and to rename to `folder`; gone, with all that is in it, where it is not renamed."""
    remove_stale(folder.parent, f".{escape(folder.name[:100])}.*.unfinished")
    unfinished = aside(folder)
    try:
        with disk_full_reported(folder.parent, folder.name):
            unfinished.mkdir(parents=True)
            yield unfinished
    finally:
        remove(unfinished)


@contextmanager
def unless_read_only() -> Iterator[None]:
    """What a read-only file system refuses is left undone, and what comes after it inside."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


@contextmanager
def disk_full_reported(folder: Path, what: str) -> Iterator[None]:
    """Turn a failure for want of space into StoreFull; every other exception passes unchanged."""
    try:
        yield
    except PareError:
        raise
    except Exception as error:
        free = _free_bytes(folder)
        if not _for_want_of_space(error, free):
            raise
        raise StoreFull(
            f"the disk is full: {folder} has {free / 1e6:.1f} MB free, {what} needs more; "
            "nothing half written was kept"
        ) from error


def _free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def _for_want_of_space(error: BaseException, free: int) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if any(os.strerror(code) in str(cause) for code in _FULL):  # how safetensors says it
            return True
        cause = cause.__cause__ or cause.__context__
    # torch.save ends a failed write in a RuntimeError that names no reason, numpy in such an OSError
    silent = isinstance(error, (RuntimeError, OSError)) and getattr(error, "errno", None) is None
    return silent and free < _NEARLY_FULL_BYTES


def unseen_locks(folder: Path, mounts: str) -> str | None:
    """Why other machines would not see locks held here; None where nothing speaks against it.

    mounts: the text of /proc/self/mountinfo.
    """
    found: tuple[int, str | None] = (0, None)
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        place = Path(left.split()[4].replace("\\040", " "))
        if len(place.parts) >= found[0] and folder.is_relative_to(place):
            kind, _, options = right.split()[:3]
            alone = {"nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl"}
            said = next((o for o in options.split(",") if o in alone), "")
            unseen = f"{kind} mounted at {place}" + (f" with {said}" if said else "")
            found = len(place.parts), unseen if said or kind in _WITHOUT_LOCKS else None
    return found[1]


@contextmanager
def telling(line: str) -> Iterator[None]:
    """A warning, where what is inside takes longer than one would wait without wondering."""
    import logging
    from threading import Timer

    timer = Timer(TELL_AFTER_S, logging.getLogger(__name__).warning, (line,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """
    Hold the lock of a file: the kernel frees it the moment its holder ends, however it ends.

    Yields False, at once, where `wait` is False and another holds it. The file must stay: over NFS whoever
    waited for it could not be sure that it still has the name.
    """
    descriptor = _acquire(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait)
    try:
        yield descriptor is not None
    finally:
        _release(descriptor)


def _acquire(path: Path, mode: int, wait: bool) -> int | None:
    descriptor = _opened(path)
    _held.add(descriptor)
    try:
        if not _flock(descriptor, mode | fcntl.LOCK_NB):
            if not wait:
                _release(descriptor)
                return None
            _flock(descriptor, mode)
    except BaseException:
        _release(descriptor)
        raise
    return descriptor


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except PermissionError:  # another user's; what may be read may be locked, but over NFS
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)


def _flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode)
    except BlockingIOError:
        return False
    return True


def _release(descriptor: int | None) -> None:
    if descriptor is not None and descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def _forget_locks() -> None:
    # a forked data-loading worker that outlives its killed parent must not keep the lock
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_locks)
