"""What a tracker is to its users. `result.json` is the truth; a tracker mirrors it and changes nothing."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pare.tracking.record import JobRecord, StudyRecord

#: to be called before the first wait for anybody: imports, checksums and files of one's own are no such wait
Ready = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Tracker(ABC):
    """Where results are mirrored to, after all measuring.

    limit_s: how long a job waits where the tracker is elsewhere, for its library, for its server to answer
    and for all to arrive; a slow library leaves a third of it. `pare track resync` brings the rest later.
    upload: whether models are copied to the tracker; otherwise it is told where they lie, and checksums.
    """

    limit_s: float = 4.5
    upload: bool = False

    def __post_init__(self) -> None:
        if not self.limit_s > 0:
            raise ValueError(f"limit_s={self.limit_s}: more than 0 seconds are needed")

    @abstractmethod
    def check(self) -> None:
        """Raises ConfigError if the tracker is not installed."""

    def address(self) -> str:
        """Of the server that has to answer; empty where there is none."""
        return ""

    def remark(self) -> str:
        """What a user may not expect of where it goes; empty: nothing."""
        return ""

    def outcome(self) -> str:
        """What has become of all that it was told without trouble."""
        return "mirrored"

    @abstractmethod
    def mirror_job(self, job: JobRecord, ready: Ready) -> None:
        """All of it as one run; the run of the same job, mirrored before, is brought up to date."""

    @abstractmethod
    def mirror_study(self, study: StudyRecord, ready: Ready) -> None:
        """A sweep as one run: a table of all jobs, and figures of those that have a result."""


def one_line(error: BaseException) -> str:
    """What kind of error it is, and what it says first."""
    said = str(error).strip() or "no reason given"
    return f"{type(error).__name__}: {said.splitlines()[0]}"


def make_room(folder: Path, size: int) -> None:
    """Raises OSError where so many bytes cannot be written: not all trackers notice that themselves."""
    probe = folder / f".room.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with probe.open("wb") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)
