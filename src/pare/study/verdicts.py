"""How sure the differences between rows are: each tested on the answers to the same rows of test."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pare.comparing import (
    BOOTSTRAP,
    MCNEMAR,
    Difference,
    Pair,
    Verdict,
    compare,
    differing,
    holm,
    mcnemar,
    of_seeds,
    two_sided,
)
from pare.result import Result
from pare.rows import Rows
from pare.study.collecting import Record
from pare.study.statistics import Row

AT_ONCE = 1 << 22  # rows of pairs that are compared at a time, in some 350 MB


def judged(rows: Sequence[Row], against: Row | None = None) -> list[Row]:
    """Each compared with that row, or with its own baseline, on the answers to the same rows of test."""
    kept = verdicts(rows, against)
    known = [verdict.p for verdict in kept if verdict is not None]
    corrected = iter(holm(known))
    return [
        replace(row, against=against, verdict=verdict, p=None if verdict is None else next(corrected))
        for row, verdict in zip(rows, kept, strict=True)
    ]


def verdicts(rows: Sequence[Row], against: Row | None) -> list[Verdict | None]:
    found: list[Verdict | None] = [None] * len(rows)
    waiting: dict[int, list[tuple[int, list[Pair]]]] = {}  # by how many rows of test
    theirs = (
        {} if against is None else {record.folder: Rows.read(record.folder) for record, _ in against.jobs}
    )

    def settle(same: list[tuple[int, list[Pair]]]) -> None:
        for (number, _), verdict in zip(same, compare([pairs for _, pairs in same]), strict=True):
            found[number] = verdict
        same.clear()

    for number, row in enumerate(rows):
        if row is against:
            continue
        if against is None and len(row.jobs) == 1:
            found[number] = of_one_job(*row.jobs[0])
            continue
        pairs = with_own_baseline(row) if against is None else with_other(row, against, theirs)
        if pairs:
            same = waiting.setdefault(count := len(pairs[0][0]), [])
            same.append((number, pairs))
            if count * sum(len(each) for _, each in same) >= AT_ONCE:
                settle(same)
        elif against is None:
            found[number] = from_intervals(row)
    for same in filter(None, waiting.values()):
        settle(same)
    return found


def with_own_baseline(row: Row) -> list[Pair]:
    read = [Rows.read(record.folder) for record, _ in row.jobs]
    known: list[Pair] = [(each.baseline, each.result) for each in read if each is not None]
    return known if len(known) == len(read) and len({len(a) for a, _ in known}) == 1 else []


def with_other(row: Row, other: Row, read: Mapping[Path, Rows | None]) -> list[Pair]:
    """Seed by seed, of the seeds that both have; of one job each whatever their seeds.

    read: what the folders of the other row's jobs hold.
    """
    theirs = {result.seed: record for record, result in other.jobs}
    ours = {result.seed: record for record, result in row.jobs}
    shared = [(theirs[seed], ours[seed]) for seed in ours if seed in theirs]
    if not shared and len(ours) == len(theirs) == 1:
        shared = [(other.first, row.first)]
    found: list[Pair] = []
    for before, after in shared:
        first, second = read[before.folder], Rows.read(after.folder)
        if first is None or second is None or first.split != second.split:
            return []
        found.append((first.result, second.result))
    return found


def of_one_job(record: Record, result: Result) -> Verdict | None:
    """The interval is in the result already."""
    if result.difference is None:
        return None
    rows = Rows.read(record.folder)
    sides = None if rows is None else np.stack([rows.baseline, rows.result])
    if sides is not None and (p := mcnemar(sides)) is not None:
        return Verdict(result.difference, p, MCNEMAR)
    sure, differ = result.difference, None if sides is None else differing(sides)
    return Verdict(sure, two_sided(sure.mean, deviation(sure), math.inf, differ), BOOTSTRAP)


def from_intervals(row: Row) -> Verdict | None:
    """Where the answers are not there; what the rows bring is taken to be the same for all seeds."""
    each = [result.difference for result in row.results]
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    return of_seeds([one.mean for one in known], statistics.fmean(map(deviation, known)))


def deviation(found: Difference) -> float:
    return (found.high - found.low) / (2 * 1.96)
