"""How long a plan will take, from how long such work took before."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pare.store import Store
from pare.sweeps.plan import Node, Plan


@dataclass(frozen=True)
class Forecast:
    """seconds: of all that is not in the store; unknown: nodes whose like was never run."""

    seconds: float
    unknown: int


def forecast(plan: Plan, store: Store, slots: int) -> Forecast:
    known = seconds_before(store)
    missing = [node for node in plan.nodes.values() if not node.stored]
    found = {node.id: seconds_of(node, known) for node in missing}
    compute = sum(found[node.id] or 0.0 for node in missing if not node.alone)
    timed = sum(found[node.id] or 0.0 for node in missing if node.alone)
    return Forecast(compute / slots + timed, sum(seconds is None for seconds in found.values()))


def seconds_before(store: Store) -> Mapping[str, float]:
    """The median for each kind of stage, and for scores and measurements."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in store.entries():
        if isinstance(seconds := entry.meta.get("seconds"), (int, float)):
            found[str(entry.meta.get("stage", entry.kind))].append(float(seconds))
    return {kind: statistics.median(all_seconds) for kind, all_seconds in found.items()}


def seconds_of(node: Node, known: Mapping[str, float]) -> float | None:
    """None where nothing like it was ever run."""
    if node.kind == "result":
        return known.get("measurement") if node.alone else 0.0
    if node.kind == "answers":
        return None if (one := known.get("scores")) is None else 3 * one  # of the result and two baselines
    return known.get(node.stage)
