"""A study in two figures: what was lost for what was gained, and every setting beside every number."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pare.tracking.record import StudyRecord, named
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


def table_of(study: StudyRecord) -> Table:
    """A column for each override that sets jobs apart, and one for each headline; a row for each job."""
    settings = [named(row.overrides) for row in study.rows]
    metrics = [{} if row.result is None else metrics_of(row.result) for row in study.rows]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    return {
        "job": [row.number for row in study.rows],
        "state": ["done" if row.result else row.reason for row in study.rows],
        **{key: [setting.get(key) for setting in settings] for key in keys},
        **{name: [found.get(name) for found in metrics] for name in HEADLINES},
    }


def csv_of(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


def done_of(table: Table) -> Table:
    """Its rows with a result."""
    kept = [i for i, state in enumerate(table["state"]) if state == "done"]
    return {name: [column[i] for i in kept] for name, column in table.items()}


def front_of(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Which points no other one beats in both, cheapest first."""
    found: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i])):
        if not found or gains[i] > gains[found[-1]]:
            found.append(i)
    return found


def pareto(table: Table, cost: str = "latency_ms/p50") -> Any:
    """The primary metric against a cost; the line is the front."""
    from plotly import graph_objects

    done = done_of(table)
    settings = [name for name in done if name not in ("state", *HEADLINES)]
    told = ["<br>".join(f"{name}={done[name][i]}" for name in settings) for i in range(len(done["job"]))]
    front = front_of(done[cost], done["primary"])
    figure = graph_objects.Figure(
        [
            graph_objects.Scatter(
                x=done[cost], y=done["primary"], mode="markers", name="jobs", hovertext=told
            ),
            graph_objects.Scatter(
                x=[done[cost][i] for i in front],
                y=[done["primary"][i] for i in front],
                mode="lines",
                line={"shape": "hv"},
                name="Pareto front",
            ),
        ]
    )
    return figure.update_layout(title="Pareto front", xaxis_title=cost, yaxis_title="primary, on test")


def parallel_coordinates(table: Table) -> Any:
    """An axis for each setting and each headline, a line for each job."""
    from plotly import graph_objects

    done = done_of(table)
    axes = [axis(name, column) for name, column in done.items() if name not in ("job", "state")]
    line = {"color": done["primary"], "colorscale": "Viridis", "showscale": True}
    figure = graph_objects.Figure(graph_objects.Parcoords(dimensions=[a for a in axes if a], line=line))
    return figure.update_layout(title="all settings and numbers")


def axis(name: str, column: Sequence[Any]) -> dict[str, Any] | None:
    """Text is spread over the axis in its order of appearance; None where a number is missing."""
    numbers = [number(value) for value in column]
    known = [value for value in numbers if value is not None]
    if len(known) == len(column):
        return {"label": name, "values": known}
    if name in HEADLINES:
        return None
    words = list(dict.fromkeys(map(str, column)))
    places = [words.index(str(value)) for value in column]
    return {"label": name, "values": places, "tickvals": list(range(len(words))), "ticktext": words}


def number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
