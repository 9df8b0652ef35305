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
    """The median of each effort; older entries do not tell theirs."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in store.entries():
        seconds, effort = entry.meta.get("seconds"), entry.meta.get("effort")
        if isinstance(seconds, (int, float)) and isinstance(effort, str):
            found[effort].append(float(seconds))
    return {effort: statistics.median(all_seconds) for effort, all_seconds in found.items()}


def seconds_of(node: Node, known: Mapping[str, float]) -> float | None:
    """None where a part of it is like nothing that was ever run."""
    parts = [None if effort is None else known.get(effort) for effort in node.efforts]
    return None if None in parts else sum(part for part in parts if part is not None)
