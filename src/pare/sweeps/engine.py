"""What carries out the nodes of a plan, wherever that is: it is given all, and tells how each ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pare.sweeps.errand import NODES, ending_file, told_by
from pare.sweeps.plan import Node


@dataclass(frozen=True)
class Ending:
    """How a node ended. error: None where all went well; else kind, message and perhaps traceback."""

    node: str
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Working:
    """A node at work: since when (`time.time`), and on which machine where that may be another."""

    since: float
    host: str = ""


class Engine(Protocol):
    """after: nodes that must have ended well; if one of them did not, the node never runs."""

    def submit(self, node: Node, after: Sequence[str]) -> None: ...

    def running(self) -> dict[str, Working]: ...

    def ended(self, wait_s: float) -> list[Ending]:
        """Those that ended since it was last asked; waits so long for the first.

        Nodes that never run may be among them.
        """

    def start_no_more(self) -> set[str]:
        """Those that have not begun, and never will now; what runs goes on."""

    def stop(self) -> None:
        """Asks what runs to end where it can go on later, and kills what does not; nothing more starts."""


def ending_of(plan: Path, node: str, otherwise: dict[str, str] | None) -> Ending:
    """What the process wrote; otherwise: the error where it could not."""
    return Ending(node, told_by(plan, node).get("error") or otherwise)


def not_begun(plan: Path, nodes: Iterable[str]) -> set[str]:
    """Those of the nodes whose processes wrote nothing so far."""
    there = {file.name for file in (plan.parent / NODES).iterdir()}
    return {node for node in nodes if ending_file(plan, node).name not in there}


def at_work(plan: Path, nodes: Iterable[str]) -> dict[str, Working]:
    """Those of the nodes that began and have not ended, by what their processes wrote."""
    there = {file.name for file in (plan.parent / NODES).iterdir()}  # most have not begun
    told = {node: told_by(plan, node) for node in nodes if ending_file(plan, node).name in there}
    return {
        node: Working(one["began"], one["host"])
        for node, one in told.items()
        if "began" in one and "error" not in one
    }
