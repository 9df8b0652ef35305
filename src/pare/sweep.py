"""How the jobs of a sweep are carried out; changes no result."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """workers: stages at a time. timeout_s: for one stage. grace_s: from the request to end to the kill."""

    workers: int | None = None
    timeout_s: float | None = None
    grace_s: float = 30
    dry_run: bool = False
    fail_fast: bool = False

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

    def slots(self, threads: int) -> int:
        """How many stages of so many threads run at a time."""
        return self.workers or max(1, (os.cpu_count() or 1) // threads)
