"""Seeds folded into rows, and how these differ from what they are compared with."""

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pare.comparing import Verdict
from pare.errors import ConfigError
from pare.result import Result
from pare.study.collecting import (
    Record,
    Study,
    bare,
    distinguishing,
    machine_of,
    named,
    plain,
    stripped,
    task_of,
)
from pare.study.keys import Settings
from pare.study.quantities import LATENCY, MEASURED, Quantity, score
from pare.targets.intervals import Speedup, speedup_of

SURE = 0.05


@dataclass(frozen=True)
class Estimate:
    """The mean over seeds; std: None of one."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Row:
    """Jobs that differ in their seed only, and how they differ from what they are compared with.

    choices: what sets it apart, by key. p: corrected for how many rows there are. against: the row they are
    compared with; None for the baseline of each job. verdict: None where the answers to the rows are not
    known, or it is the row compared with.
    """

    name: str
    jobs: Sequence[tuple[Record, Result]]  # by seed
    against: "Row | None" = None
    verdict: Verdict | None = None
    p: float | None = None
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> list[Result]:
        return [result for _, result in self.jobs]

    @property
    def seeds(self) -> set[int]:
        return {result.seed for result in self.results}

    @property
    def first(self) -> Record:
        return self.jobs[0][0]

    def estimate(self, quantity: Quantity) -> Estimate | None:
        return estimate([quantity.of(result) for result in self.results])

    def change(self, quantity: Quantity) -> tuple[float, float] | None:
        """Before and after, of the seeds that both have; None where either is not known."""
        if self.against is None:
            before, after = estimate([quantity.before(r) for r in self.results]), self.estimate(quantity)
        else:
            theirs, ours = of_shared_seeds(self.against, self), of_shared_seeds(self, self.against)
            before, after = (estimate([quantity.of(r) for r in each]) for each in (theirs, ours))
        return None if before is None or after is None else (before.mean, after.mean)

    @property
    def drop(self) -> float:
        """Points of the primary metric that are lost."""
        found = self.change(score(self.results[0].primary))
        assert found is not None
        before, after = found
        return 100 * (before - after)

    @property
    def speedup(self) -> Speedup:
        """Against what it is compared with; over seeds, one log-ratio a seed."""
        found = self.times(MEASURED[LATENCY])
        assert found is not None
        return found

    def times(self, quantity: Quantity) -> Speedup | None:
        """How many times better: measured in pairs, or else the ratio of means, without an interval."""
        if self.against is not None and self.against.jobs is self.jobs:
            return None if self.estimate(quantity) is None else Speedup(1.0, 1.0, 1.0)
        if self.against is None:
            paired = own_times(quantity, self.results)
        else:
            ours, theirs = of_shared_seeds(self, self.against), of_shared_seeds(self.against, self)
            over, under = own_times(quantity, ours), own_times(quantity, theirs)
            beside_one = {baseline_of(r) for r in ours} == {baseline_of(r) for r in theirs}
            paired = quotient(over, under) if over and under and beside_one else None
        if paired is not None:
            return paired
        found = self.change(quantity)
        if found is None or not all(found):
            return None
        before, after = found
        return Speedup(after / before if quantity.higher else before / after, math.nan, math.nan)


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """None where one of them is not known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return Estimate(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def of_shared_seeds(row: Row, other: Row) -> list[Result]:
    """Its results of the seeds that both have, as a comparison in pairs is; all where there are none."""
    shared = row.seeds & other.seeds or row.seeds
    return [result for result in row.results if result.seed in shared]


def own_times(quantity: Quantity, results: Sequence[Result]) -> Speedup | None:
    """Each against its own baseline; None where one was not timed beside it."""
    each = [found for result in results if (found := quantity.paired(result)) is not None]
    if len(each) < len(results):
        return None
    return each[0] if len(each) == 1 else speedup_of([math.log(one.median) for one in each])


def quotient(over: Speedup, under: Speedup) -> Speedup:
    """Of two that were measured apart, each beside the same baseline."""
    middle = math.log(over.median / under.median)
    wide = math.hypot(*(math.log(one.high / one.low) / 2 for one in (over, under)))
    return Speedup(*(math.exp(x) for x in (middle, middle - wide, middle + wide)))


def baseline_of(result: Result) -> tuple[object, ...]:
    """What the speed-up of a result is against: which model, and what ran it where."""
    m = result.baseline_measurement
    ran = (*sorted(m.ran.get("providers", ())), (m.ran.get("compiled") or {}).get("how"))
    place = json.dumps(m.fingerprint, sort_keys=True)
    return result.stages[0].get("key"), m.runtime, m.device, m.precision, m.threads, m.lowering, ran, place


@dataclass(frozen=True)
class Part:
    """Rows that may stand in one table; title: of what task, where, and what else sets them apart."""

    title: str
    rows: Sequence[Row]


Key = Callable[[Record, Result], str]
WHOLE: Mapping[str, Key] = {  # what one table must be of
    "task": lambda _, result: task_of(result),
    "hardware": lambda _, result: machine_of(result),
}


def parts(study: Study, by: Mapping[str, Key], across: bool = False) -> list[Part]:
    """A part for each value of what is grouped by; across: whether tasks may stand side by side.

    Raises ConfigError where jobs of different tasks, rows or machines would stand in one, or across tasks
    such of one task as were scored on different rows.
    """
    groups: dict[tuple[str, ...], list[tuple[Record, Result]]] = {}
    for record, result in study.done:
        groups.setdefault(tuple(key(record, result) for key in by.values()), []).append((record, result))
    problems = [
        f"{told(kinds)}: {INCOMPARABLE[option]}; --group {option} makes a table of each"
        for group in groups.values()
        for option, key in WHOLE.items()
        for kinds in kinds_of(group, key, across and option == "task")
        if len(kinds) > 1
    ]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return [Part(title_of(values, by, group), rows_of(group)) for values, group in groups.items()]


def kinds_of(
    group: Sequence[tuple[Record, Result]], key: Key, by_task: bool
) -> Iterable[Mapping[str, Sequence[int]]]:
    """The values of a key and the jobs that have them; by_task: of each task apart."""
    found: dict[str, dict[str, list[int]]] = {}
    for record, result in group:
        kinds = found.setdefault(result.task if by_task else "", {})
        kinds.setdefault(key(record, result), []).append(record.number)
    return found.values()


def told(kinds: Mapping[str, Sequence[int]]) -> str:
    return "; ".join(f"{jobs(numbers)}: {kind}" for kind, numbers in kinds.items())


INCOMPARABLE = {"task": "scores of different things", "hardware": "milliseconds do not compare"}


def title_of(values: Sequence[str], by: Mapping[str, Key], group: Sequence[tuple[Record, Result]]) -> str:
    """The task and the machine, and what else it was grouped by."""
    others = [f"{name} {value}" for name, value in zip(by, values, strict=True) if name not in WHOLE]
    tasks = dict.fromkeys(task_of(result) if "task" in by else result.task for _, result in group)
    return " · ".join([", ".join(tasks), machine_of(group[0][1]), *others])


def by_what_differs(study: Study) -> Mapping[str, Key]:
    """Of a sweep that was meant to have several tasks or targets."""
    return {
        name: key
        for name, key in WHOLE.items()
        if len({key(record, result) for record, result in study.done}) > 1
    }


def by_stage(results: Iterable[Result]) -> dict[str, list[Mapping[str, Any]]]:
    """The records of each stage that was gone on with, one a seed that has it, in the order of the strategy.

    A gate may bring a stage into some seeds only: it stands behind what it follows there.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    order: list[str] = []
    for result in results:
        place = 0
        for record in result.stages:
            if not record.get("used", True):
                continue
            name = record["name"]
            if name not in found:
                order.insert(place, name)
            place = order.index(name) + 1
            found.setdefault(name, []).append(record)
    return {name: found[name] for name in order}


def jobs(numbers: Sequence[int]) -> str:
    """Their numbers in few words."""
    shown = ", ".join(map(str, numbers[:4])) + (f" and {len(numbers) - 4} more" if len(numbers) > 4 else "")
    return f"job{'s' if len(numbers) > 1 else ''} {shown}"


def rows_of(done: Sequence[tuple[Record, Result]]) -> list[Row]:
    """Jobs with the same overrides and config but for the seed, named by what sets them apart, besides tasks.

    What was run again with other settings in its files, or by other code, is a row more each time.
    """
    groups: dict[tuple[str, ...], list[tuple[Record, Result]]] = {}
    for record, result in done:
        same = tuple(sorted(without_seed(plain(record.overrides))))
        groups.setdefault((result.task, *same), []).append((record, result))
    rows = [(number, run) for group in groups.values() for number, run in enumerate(runs_of(group), 1)]
    apart = distinguishing([without_seed(plain(next(iter(run.values()))[0].overrides)) for _, run in rows])
    own = [[o for o in one if not o.startswith("task=")] if len(rows) > 1 else [] for one in apart]
    return [
        Row(
            named(mine) if number == 1 else f"{named(mine)} ({number})",
            [run[seed] for seed in sorted(run)],
            choices=dict(choice.split("=", 1) for choice in stripped(mine) if "=" in choice),
        )
        for mine, (number, run) in zip(own, rows, strict=True)
    ]


def runs_of(jobs: Sequence[tuple[Record, Result]]) -> list[dict[int, tuple[Record, Result]]]:
    """Of jobs with the same overrides those that go together, by seed; each seed once."""
    if len(jobs) == 1:
        return [{result.seed: (record, result) for record, result in jobs}]
    runs: list[tuple[Settings, dict[int, tuple[Record, Result]]]] = []
    for record, result in jobs:
        settings = Settings.of(record, result)
        fitting = [run for first, run in runs if result.seed not in run and settings.alike(first)]
        if fitting:
            fitting[-1][result.seed] = (record, result)
        else:
            runs.append((settings, {result.seed: (record, result)}))
    return [run for _, run in runs]


def without_seed(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if not bare(override).startswith("seed=")]
