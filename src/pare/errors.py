"""
What can go wrong, and the exit code each kind ends a run with.

* PareError                    1  a job failed
  + ConfigError                2  what was asked for cannot be run; nothing was computed
    - DataError                   a data file is missing, empty or malformed
    - ModelError                  a model cannot be reached or has the wrong shape
    - TargetError                 the hardware or its runtime is not there
    - StoreNotWritable            the store's folder refuses writes
  + StageFailed                1  a stage could not finish
    - NonFiniteLoss               the loss became NaN or infinite
  + GateFailed                 1  a stage lost more than its gate allows
    - Hopeless                    a trial of a search lost more than can be made up for
  + StoreFull                  1  the disk filled while an artifact was being written
  + SweepFailed                1  not every job of a sweep has a result
"""

from collections.abc import Iterable
from typing import Any


class PareError(Exception):
    """Something a user can understand; shown as one line, without a traceback."""

    exit_code = 1


class ConfigError(PareError):
    """What was asked for cannot be run. Holds every problem found, one line each."""

    exit_code = 2

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class DataError(ConfigError):
    """A data file is missing, empty or malformed."""


class ModelError(ConfigError):
    """A model cannot be reached, or does not have the shape a stage needs."""


class TargetError(ConfigError):
    """The hardware, or the runtime it needs, is not there."""


class StoreNotWritable(ConfigError):
    """The store's folder refuses writes."""


class StageFailed(PareError):
    """A stage could not finish."""


class NonFiniteLoss(StageFailed):
    """The loss became NaN or infinite."""


class GateFailed(PareError):
    """A stage lost more quality than its gate allows. stage: its name, where it is one."""

    def __init__(self, message: str, stage: str = "") -> None:
        self.stage = stage
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (str(self), self.stage)


class Hopeless(GateFailed):
    """A trial of a search lost more, so far, than what is left of it could make up for."""

    def __init__(self, message: str, stage: str, drop: float) -> None:
        self.drop = drop
        super().__init__(message, stage)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (str(self), self.stage, self.drop)


class SweepFailed(PareError):
    """Not every job of a sweep has a result; each was said to have failed when it did."""


class StoreFull(PareError):
    """The disk filled while an artifact was being written; nothing half written was kept."""
