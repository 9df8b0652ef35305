"""A sweep as a tracker shows it: a table of all its jobs, and the figures of its report."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pare.study.figures import front_figure, parallel_figure
from pare.study.quantities import LATENCY
from pare.study.statistics import by_what_differs, parts
from pare.tracking.record import StudyRecord, shortened, split
from pare.tracking.schema import metrics_of

#: what a study is compared by
HEADLINES = (
    "primary",
    "primary_change",
    "latency_ms/p50",
    "speedup/median",
    "speedup/low",
    "speedup/high",
    "throughput_per_s",
    "size_mb",
    "memory_mb",
)
Table = Mapping[str, Sequence[Any]]
FIGURES = {"pareto": front_figure, "parallel_coordinates": parallel_figure}


def table_of(record: StudyRecord) -> Table:
    """A column for each override that sets jobs apart, and one for each headline; a row for each job."""
    jobs = record.study.records
    settings = [dict(split(job.apart)) for job in jobs]
    metrics = [{} if job.result is None else metrics_of(job.result) for job in jobs]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    columns = shortened(keys, ("job", "state", *HEADLINES))
    return {
        "job": [job.number for job in jobs],
        "state": ["done" if job.result else job.reason for job in jobs],
        **{columns[key]: [setting.get(key) for setting in settings] for key in keys},
        **{name: [found.get(name) for found in metrics] for name in HEADLINES},
    }


def csv_of(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def figures_of(record: StudyRecord) -> Iterator[tuple[str, Any]]:
    """By name; of several tasks or machines a set for each, numbered."""
    from plotly.graph_objects import Figure

    for number, part in enumerate(parts(record.study, by_what_differs(record.study))):
        for name, made in FIGURES.items():
            figure = Figure(made(part.rows, LATENCY, "en")).update_layout(title=part.title)
            yield f"{name}_{number}" if number else name, figure
