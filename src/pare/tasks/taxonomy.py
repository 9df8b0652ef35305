"""Labels that lie in one another: a tree, or a graph in which a label may have several parents."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pare.errors import DataError


class Taxonomy(ABC):
    """What lies above what."""

    labels: Sequence[str] = ()  # all there are, where that is known

    @abstractmethod
    def parents(self, label: str) -> tuple[str, ...]: ...

    def above(self, label: str) -> frozenset[str]:
        """All that hold wherever the label does, without itself."""
        parents = self.parents(label)
        return frozenset(parents).union(*map(self.above, parents))

    def level(self, label: str) -> int:
        """1 at the top; below several parents, one more than the lowest of them."""
        return 1 + max(map(self.level, self.parents(label)), default=0)

    def closed(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The labels and all above them, from the top down."""
        held = set(labels)
        held = held.union(*map(self.above, held))
        return tuple(sorted(held, key=lambda label: (self.level(label), label)))


class Paths(Taxonomy):
    """Labels such as `1->1.2->1.2.1`: their beginnings lie above them.

    levels: more of what stands between levels belongs to the last one's name.
    """

    def __init__(self, between: str, levels: int | None = None) -> None:
        self.between = between
        self.most = -1 if levels is None else levels - 1

    def parents(self, label: str) -> tuple[str, ...]:
        steps = label.split(self.between, self.most)
        return (self.between.join(steps[:-1]),) if len(steps) > 1 else ()


class Graph(Taxonomy):
    """Labels with their parents, several where it is no tree."""

    def __init__(self, parents: Mapping[str, Sequence[str]]) -> None:
        self._parents = parents
        self.labels = tuple(parents)

    def parents(self, label: str) -> tuple[str, ...]:
        return tuple(self._parents.get(label, ()))


def graph_of(file: Path, setting: str, names: Mapping[str, str]) -> Graph:
    """JSON, `{"parent": ["child", …]}` to any depth, or lines of `parent ⇥ child`. names: of ids in it."""
    if not file.is_file():
        raise DataError(f"{setting}: no such file: {file}")
    text = file.read_text(encoding="utf-8-sig")
    try:
        steps = list(steps_of(json.loads(text))) if file.suffix == ".json" else lines_of(text, file, setting)
    except (ValueError, TypeError) as e:
        raise DataError(f"{setting}: {file} is not an object of parents with their children ({e})") from None
    parents: dict[str, tuple[str, ...]] = {}
    for above, label in steps:
        above, label = names.get(above, above), names.get(label, label)
        parents.setdefault(above, ())
        parents[label] = (*parents.get(label, ()), above)
    taxonomy = Graph(parents)
    try:
        for label in parents:
            taxonomy.level(label)
    except RecursionError:
        raise DataError(f"{setting}: {file}: some labels lie above themselves") from None
    return taxonomy


def steps_of(found: Any) -> Iterable[tuple[str, str]]:
    """(parent, child) of what JSON has."""
    if not isinstance(found, dict):
        raise TypeError(f"found {str(found)[:40]!r}")
    for parent, children in found.items():
        for child in children:
            yield str(parent), str(child)
        if isinstance(children, dict):
            yield from steps_of(children)


def lines_of(text: str, file: Path, setting: str) -> list[tuple[str, str]]:
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parent, tab, child = line.strip().partition("\t")
        if not tab:
            raise DataError(f"{setting}: {file}:{number}: {line!r}; parent, tab, child are needed")
        steps.append((parent.strip(), child.strip()))
    return steps
