"""What carries out the nodes of a plan, wherever that is: it is given all, and tells how each ended."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pare.sweeps.plan import Node
from pare.sweeps.work import NODES


@dataclass(frozen=True)
class Ending:
    """How a node ended. error: None where all went well; else kind, message and perhaps traceback."""

    node: str
    error: dict[str, Any] | None


class Engine(Protocol):
    """after: nodes that must have ended well; if one of them did not, the node never runs."""

    def submit(self, node: Node, after: Sequence[str]) -> None: ...

    def running(self) -> dict[str, float]:
        """Nodes at work, and since when (`time.time`)."""

    def ended(self, wait_s: float) -> list[Ending]:
        """Those that ended since it was last asked; waits so long for the first."""

    def stop(self) -> None:
        """Asks what runs to end where it can go on later, and kills what does not; nothing more starts."""


def ending_of(plan: Path, node: str, otherwise: dict[str, str] | None) -> Ending:
    """What the process wrote; otherwise: the error where it could not."""
    file = plan.parent / NODES / f"{node}.json"
    if not file.is_file():
        return Ending(node, otherwise)
    told = json.loads(file.read_text(encoding="utf-8"))
    return Ending(node, told["error"] or otherwise)
