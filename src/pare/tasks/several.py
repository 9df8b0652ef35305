"""Several tasks on one encoder, each with heads of its own: how a teacher is taught many tasks at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from pare.errors import ConfigError, DataError
from pare.judging import Judge, SeveralJudge
from pare.ondemand import changed, chosen, one_after_another
from pare.outputs import Labels, Output
from pare.provenance import digest
from pare.tasks.example import Encoded, Example
from pare.tasks.sources import told_at
from pare.tasks.task import Split, Task

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Several(Task):
    """The texts of all `tasks`, by name; a text has labels for the heads of its own task only.

    Its score is the mean of the tasks' primary metrics.
    """

    tasks: Mapping[str, Task]
    primary: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.tasks) < 2:
            raise ValueError(f"tasks={list(self.tasks)}: at least two are needed")

    def check(self) -> None:
        problems: list[str] = []
        for name, task in self.tasks.items():
            try:
                with told_at(f"task.tasks.{name}", "task", task):
                    task.check()
            except ConfigError as e:
                problems += e.problems
        if problems:
            raise ConfigError(problems)
        if self.primary not in (known := self.metrics()):
            raise DataError(f"task.primary: found {self.primary!r}; one of {known} is needed")

    def fingerprint(self, split: Split) -> str:
        return digest({name: task.fingerprint(split) for name, task in self.tasks.items()})

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "tasks": {name: task.identity() for name, task in self.tasks.items()}}

    def examples(self, split: Split) -> Sequence[Example]:
        found = []
        for name, task in self.tasks.items():
            with told_at(f"task.tasks.{name}", "task", task):
                found.append(task.examples(split))
        return one_after_another(*found)

    def outputs(self) -> tuple[Output, ...]:
        return tuple(
            replace(output, name=f"{name}_{output.name}")
            for name, task in self.tasks.items()
            for output in task.outputs()
        )

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> Sequence[Labels]:
        return one_after_another(
            *(
                changed(task.labels(split, part), partial(with_name, name))
                for name, task, part in self._parts(split, encoded)
            )
        )

    def truths(self, split: Split) -> Sequence[Mapping[str, Any]]:
        """Each under the name of its task."""
        return one_after_another(
            *(changed(task.truths(split), partial(under, name)) for name, task in self.tasks.items())
        )

    def commonest(self, split: Split) -> list[Mapping[str, Any]]:
        """Of each task its own."""
        return [
            with_name(name, answer) for name, task in self.tasks.items() for answer in task.commonest(split)
        ]

    def judge(self) -> Judge:
        return SeveralJudge(
            primary=self.primary, parts={name: task.judge() for name, task in self.tasks.items()}
        )

    def _parts(self, split: Split, rows: Sequence[Any]) -> Iterator[tuple[str, Task, Sequence[Any]]]:
        """What belongs to each task, of rows in the order of `texts`."""
        start = 0
        for name, task in self.tasks.items():
            end = start + len(task.texts(split))
            yield name, task, chosen(rows, range(start, end))
            start = end


def with_name(name: str, values: Mapping[str, T]) -> dict[str, T]:
    """By the heads as this task calls them."""
    return {f"{name}_{head}": value for head, value in values.items()}


def under(name: str, truth: Mapping[str, Any]) -> dict[str, Any]:
    return {name: truth}
