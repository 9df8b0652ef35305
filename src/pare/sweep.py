"""How the jobs of a sweep are carried out; changes no result."""

from collections.abc import Sequence
from dataclasses import dataclass

from pare.aims import Search
from pare.provenance import cores


@dataclass(frozen=True)
class Slots:
    """How many stages run at a time, and the ids of the GPUs that they share out."""

    count: int
    gpus: Sequence[str] = ()


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

    def slots(self, threads: int, gpus: Sequence[str]) -> Slots:
        """For stages of so many threads, which have one of the GPUs each where there are any."""
        count = self.workers or max(1, cores() // threads)
        return Slots(min(count, len(gpus)) if gpus else count, gpus)
