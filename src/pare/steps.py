"""How a strategy went: its steps, what their gates said, and the trials of a search. No PyTorch is needed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pare.checkpoint import Checkpoint

Scores = Mapping[str, float]


def lost(before: float, after: float) -> float:
    """How much a score fell, as people reckon: in binary 0.985 - 0.98 is more than 0.005."""
    return round(before - after, 9)


@dataclass(frozen=True)
class Verdict:
    """What a gate said: which metric fell by how much, what was allowed, and what was done about it."""

    metric: str
    drop: float
    max_drop: float
    passed: bool
    action: str  # passed | stop | skip | keep | escalate


@dataclass(frozen=True)
class Step:
    """One stage as it went."""

    name: str
    kind: str
    key: str
    cached: bool
    seconds: float
    computed_s: float  # what it took when it was computed, whoever computed it
    checkpoint: Checkpoint
    scores: Scores  # on dev
    previous: Scores | None
    baseline: Scores | None
    verdict: Verdict | None = None
    used: bool = True  # False where a gate went on without it


@dataclass(frozen=True)
class Trial:
    """One candidate as it went. drop is on dev; what was not measured is None."""

    name: str
    why: str  # empty where it passed
    drop: float | None = None
    speedup: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    memory_mb: float | None = None
    taken: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def stage_record(step: Step) -> dict[str, Any]:
    """One step as `result.json` has it."""
    delta = {
        against: {metric: step.scores[metric] - before[metric] for metric in step.scores}
        for against, before in (("previous", step.previous), ("baseline", step.baseline))
        if before is not None
    }
    return {
        "name": step.name,
        "kind": step.kind,
        "key": step.key,
        "cached": step.cached,
        "seconds": round(step.seconds, 3),
        "computed_s": step.computed_s,
        "format": step.checkpoint.format,
        "params": step.checkpoint.parameters,
        "shape": step.checkpoint.facts.get("shape"),
        "size_mb": step.checkpoint.model_bytes() / 1e6,
        "scores": dict(step.scores),
        "delta": delta,
        "gate": None if step.verdict is None else asdict(step.verdict),
        "used": step.used,
        "found": step.checkpoint.facts.get("found", {}).get(step.kind),  # later stages carry it, too
    }
