"""What each row of test adds to the primary metric: beside `result.json`, so that jobs compare in pairs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pare.files import atomic_write_text
from pare.metrics import Share

ROWS = "rows.json"
SCHEMA = "pare/rows@1"


@dataclass(frozen=True)
class Rows:
    """The shares of the baseline's answers and of the result's, rows by above and below the line."""

    split: str  # the digest of the rows themselves
    baseline: np.ndarray
    result: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Rows | None":
        """None where there are none, or what is there is not complete."""
        try:
            value = json.loads((folder / ROWS).read_text(encoding="utf-8"))
            if value["schema"] != SCHEMA:
                return None
            sides = [np.array(value[side], dtype=np.float64).T for side in ("baseline", "result")]
            return cls(value["split"], *sides) if sides[0].shape == sides[1].shape else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def write_rows(folder: Path, split: str, baseline: Sequence[Share], result: Sequence[Share]) -> None:
    columns = {
        side: [[whole(value) for value in column] for column in zip(*shares, strict=True)]
        for side, shares in (("baseline", baseline), ("result", result))
    }
    text = json.dumps({"schema": SCHEMA, "split": split, **columns}, separators=(",", ":"), allow_nan=False)
    atomic_write_text(folder / ROWS, text + "\n")


def whole(value: float) -> float:
    return int(value) if value == int(value) else value
