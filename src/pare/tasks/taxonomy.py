"""Labels that lie in one another: a tree, or a graph in which a label may have several parents."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pare.errors import DataError
from pare.files import text_of


class Taxonomy(ABC):
    """What lies above what."""

    labels: Sequence[str] = ()  # all there are, where that is known

    def __init__(self) -> None:
        self._above: dict[str, frozenset[str]] = {}
        self._levels: dict[str, int] = {}

    @abstractmethod
    def parents(self, label: str) -> tuple[str, ...]: ...

    def clean(self, label: str) -> str:
        """A label as the taxonomy spells it."""
        return label

    def above(self, label: str) -> frozenset[str]:
        """All that hold wherever the label does, without itself."""
        if label not in self._above:
            parents = self.parents(label)
            self._above[label] = frozenset(parents).union(*map(self.above, parents))
        return self._above[label]

    def level(self, label: str) -> int:
        """1 at the top; below several parents, one more than the lowest of them."""
        if label not in self._levels:
            self._levels[label] = 1 + max(map(self.level, self.parents(label)), default=0)
        return self._levels[label]

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
        super().__init__()
        self.between = between
        self.most = -1 if levels is None else levels - 1

    def clean(self, label: str) -> str:
        """Without blanks around the steps, and without empty ones."""
        steps = (step.strip() for step in label.split(self.between, self.most))
        return self.between.join(step for step in steps if step)

    def parents(self, label: str) -> tuple[str, ...]:
        steps = label.split(self.between, self.most)
        return (self.between.join(steps[:-1]),) if len(steps) > 1 else ()


class Graph(Taxonomy):
    """Labels with their parents, several where it is no tree."""

    def __init__(self, parents: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._parents = parents
        self.labels = tuple(parents)

    def parents(self, label: str) -> tuple[str, ...]:
        return tuple(self._parents.get(label, ()))


def graph_of(file: Path, setting: str, names: Mapping[str, str]) -> Graph:
    """JSON, `{"parent": ["child", …]}` to any depth, or lines of `parent ⇥ child`. names: of ids in it."""
    text = text_of(file, setting)
    try:
        steps = list(steps_of(json.loads(text))) if file.suffix == ".json" else lines_of(text, file, setting)
    except (ValueError, TypeError) as e:
        raise DataError(f"{setting}: {file} is not an object of parents with their children ({e})") from None
    parents: dict[str, tuple[str, ...]] = {}
    for above, label in steps:
        above, label = names.get(above, above), names.get(label, label)
        parents.setdefault(above, ())
        if label:
            parents[label] = (*parents.get(label, ()), above)
    if not parents:
        raise DataError(f"{setting}: {file} names no labels")
    if (circle := in_a_circle(parents)) is not None:
        raise DataError(f"{setting}: {file}: {circle!r} lies above itself")
    return Graph(parents)


def steps_of(found: Any) -> Iterable[tuple[str, str]]:
    """(parent, child) of what JSON has; no child where a label has none."""
    if not isinstance(found, dict):
        raise TypeError(f"found {str(found)[:40]!r}")
    for parent, children in found.items():
        if not isinstance(children, (dict, list)):
            raise TypeError(f"{parent!r} has {children!r}; a list or an object is needed")
        yield str(parent), ""
        for child in children:
            yield str(parent), str(child)
        if isinstance(children, dict):
            yield from steps_of(children)


def lines_of(text: str, file: Path, setting: str) -> list[tuple[str, str]]:
    steps = []
    for number, line in enumerate(text.split("\n"), 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if cells == [""]:
            continue
        if len(cells) != 2 or not all(cells):
            raise DataError(f"{setting}: {file}:{number}: {line!r}; parent, tab, child are needed")
        steps.append((cells[0], cells[1]))
    return steps


def in_a_circle(parents: Mapping[str, Sequence[str]]) -> str | None:
    """A label that lies above itself, if there is one."""
    left = {label: set(above) for label, above in parents.items()}
    while done := [label for label, above in left.items() if not above & left.keys()]:
        for label in done:
            del left[label]
    return next(iter(left), None)
