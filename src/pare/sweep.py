"""How the jobs of a sweep are carried out, and where; changes no result."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pare.aims import Search
from pare.errors import ConfigError
from pare.files import unseen_locks


@dataclass(frozen=True)
class Slots:
    """How many stages run at a time, and the ids of the GPUs that they share out.

    scheduler: who decides that instead, if it is not for us to say.
    """

    count: int
    gpus: Sequence[str] = ()
    scheduler: str = ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """workers: stages at a time. timeout_s: for one stage. grace_s: from the request to end to the kill.

    search: which jobs there are is found out on the way; None: all that the command line names.
    """

    workers: int | None = None
    timeout_s: float | None = None
    grace_s: float = 30
    dry_run: bool = False
    fail_fast: bool = False
    search: Search | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(
                f"workers={self.workers}: at least 1, or null for as many as there are cores for"
            )
        if (self.timeout_s is not None and not self.timeout_s > 0) or not self.grace_s >= 0:
            raise ValueError(
                f"timeout_s={self.timeout_s}, grace_s={self.grace_s}: timeout_s must be above 0 or null, "
                "grace_s at least 0"
            )


@dataclass(frozen=True)
class Orders:
    """What an engine is told. cores: for a stage. wanted: how many jobs each node is for."""

    plan: Path
    sweep: Sweep
    slots: Slots
    cores: int
    wanted: Mapping[str, int]


class EngineSettings(ABC):
    """Where stages run: a choice of the config group `engine`, in a module of `pare.sweeps`.

    elsewhere: on other machines, of which this one cannot tell what they have.
    """

    elsewhere: ClassVar[bool]

    @abstractmethod
    def check(self, store: Path) -> None:
        """Raises ConfigError where it cannot be had here, or not with this store."""

    @abstractmethod
    def slots(self, sweep: Sweep, threads: int, gpus: Sequence[str]) -> Slots:
        """Raises ConfigError where the sweep asks for what is not for us to say."""

    @abstractmethod
    def engine(self, orders: Orders) -> AbstractContextManager[Any]:
        """A `pare.sweeps.engine.Engine`, at work inside its `with`."""


def check_shared(store: Path) -> None:
    """Raises ConfigError where machines that share the store would not see each other's locks."""
    mounts = Path("/proc/self/mountinfo")
    if mounts.is_file() and (unseen := unseen_locks(store.resolve(), mounts.read_text("utf-8"))):
        raise ConfigError(f"store.root: {store} is on {unseen}: other machines do not see locks held here")
