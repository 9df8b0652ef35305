"""What graphs are fed while they are timed, in one file: a few long arrays, for thousands load slowly."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: token ids and mask of a batch
Pair = tuple[np.ndarray, np.ndarray]


def write_inputs(file: Path, works: Mapping[str, Sequence[Pair]]) -> None:
    arrays: dict[str, Any] = {}
    for work, pairs in works.items():
        arrays[f"{work}.shapes"] = np.array([ids.shape for ids, _ in pairs])
        for part, name in enumerate(("ids", "mask")):
            arrays[f"{work}.{name}"] = np.concatenate([pair[part].ravel() for pair in pairs])
    np.savez(file, **arrays)


def read_inputs(file: str | Path) -> dict[str, list[Pair]]:
    """By the name of the work."""
    with np.load(file) as archive:
        arrays = dict(archive)
    works = dict.fromkeys(name.rpartition(".")[0] for name in arrays)
    return {
        work: pairs_of(*(arrays[f"{work}.{part}"] for part in ("shapes", "ids", "mask"))) for work in works
    }


def pairs_of(shapes: np.ndarray, ids: np.ndarray, mask: np.ndarray) -> list[Pair]:
    ends = np.cumsum(shapes.prod(axis=1))[:-1]
    sides = (np.split(flat, ends) for flat in (ids, mask))
    return [
        (one.reshape(shape), other.reshape(shape))
        for shape, one, other in zip(shapes.tolist(), *sides, strict=True)
    ]
