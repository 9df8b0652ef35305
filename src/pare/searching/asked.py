"""A trial of a search: what was asked, and what it came to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pare.aims import QUANTITIES, Quantities, Search
from pare.result import STATUS, Result
from pare.searching.space import Point
from pare.steps import lost
from pare.study.quantities import MEASURED

#: errors that say that a trial is not worth going on with
GIVEN_UP = ("GateFailed", "Hopeless")
#: those that say nothing of the trial: its machine was lost, or somebody ended it
NOT_ITS_FAULT = ("StoreFull", "MachineFailed", "Preempted", "Cancelled")
#: those that may not come again: the same command tries such a trial once more
PASSING = ("Timeout", "Killed", "OutOfMemory", "Exited")


@dataclass(frozen=True)
class Found:
    """What a trial came to. why: it was given up, or failed. test: its score there, told and never used.

    passing: it failed for a reason that may be gone by the next time.
    """

    state: Literal["complete", "pruned", "failed"]
    why: str = ""
    quantities: Quantities | None = None
    metric: str = ""
    test: float | None = None
    folder: str = ""
    passing: bool = False

    @property
    def known(self) -> Quantities:
        return self.quantities or {}


@dataclass(frozen=True)
class Asked:
    """One trial. rungs: what it came to on each that is behind it. found: None while it runs."""

    number: int
    point: Point
    rungs: Sequence[Quantities]
    found: Found | None


def outcome(settings: Search, result: Result | None, folder: Path) -> Found | None:
    """Of a trial's job; None where it did not end."""
    if result is not None:
        found = quantities_of(result)
        missing = settings.unknown(found)
        why = f"{', '.join(missing)} cannot be measured here" if missing else ""
        told = (result.primary, result.scores[result.primary], str(folder.absolute()))
        return Found("failed" if missing else "complete", why, found, *told)
    status = json.loads((folder / STATUS).read_text("utf-8")) if (folder / STATUS).is_file() else {}
    if status.get("state") != "failed" or status["error"]["kind"] in NOT_ITS_FAULT:
        return None
    error = status["error"]
    state: Literal["pruned", "failed"] = "pruned" if error["kind"] in GIVEN_UP else "failed"
    drop = {"drop": error["drop"]} if "drop" in error else None
    return Found(state, error["message"], drop, passing=error["kind"] in PASSING)


def quantities_of(result: Result) -> dict[str, float | None]:
    """Scores on dev, of the fine-tuned model and of the last stage that was kept; and what was measured."""
    first, *others = result.on_dev()
    quality = others[-1] if others else first
    return {
        "quality": quality,
        "drop": lost(first, quality),
        "speedup": result.measurement.speedup.median,
        "energy_j": result.measurement.energy_j,
        **{name: MEASURED[name].of(result) for name in QUANTITIES if name in MEASURED},
    }
