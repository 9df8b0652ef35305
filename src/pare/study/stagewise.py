"""Tables of stages: what each costs on dev, and what a strategy is without it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pare.errors import ConfigError
from pare.study.cells import Cell, Column, Table, number, with_count
from pare.study.quantities import DELTA, LATENCY, SIZE, SPEEDUP, score
from pare.study.statistics import Row, by_stage, estimate
from pare.study.tables import Layout, explained, plain_table
from pare.study.verdicts import judged


def stages(rows: Sequence[Row], layout: Layout) -> Table:
    """The metric on dev after every step."""
    metric = layout.metrics[0] if layout.metrics else rows[0].results[0].primary
    there = sorted(
        {name for row in rows for r in row.results for stage in r.stages for name in stage["scores"]}
    )
    if layout.metrics and (len(layout.metrics) > 1 or metric not in there):
        raise ConfigError(
            f"--metrics {','.join(layout.metrics)}: --layout {layout.name} shows one score; there are "
            f"{', '.join(there)}"
        )
    columns = [
        Column("configuration", "configuration", False, once=True),
        Column("stage", "stage", False),
        Column(metric, f"{metric} on dev"),
        Column("previous", "Δ previous"),
        Column("baseline", "Δ baseline"),
        Column("params_m", "params M"),
        Column("size_mb", "size MB"),
    ]
    cells = []
    for row in rows:
        for name, each in by_stage(row.results).items():
            some = "" if len(each) == len(row.jobs) else f"({len(each)} of {len(row.jobs)} seeds)"
            whole = with_count(Cell(row.name), row, rows)
            cells.append([whole, Cell(name, extra=some), *stage_cells(each, metric)])
    return explained(rows, Table("", columns, cells))


def stage_cells(seeds: Sequence[Mapping[str, Any]], metric: str) -> list[Cell]:
    """seeds: the same stage in each job."""
    quantity = score(metric)

    def mean(values: Sequence[float | None]) -> Cell:
        return number(estimate(values), quantity)

    def signed(cell: Cell) -> Cell:
        return cell if cell.value is None else replace(cell, text=f"{cell.value:+.2f}")

    def plain(values: Sequence[float | None]) -> Cell:
        found = estimate(values)
        return Cell() if found is None else Cell(f"{found.mean:.2f}", value=found.mean)

    return [
        mean([stage["scores"].get(metric) for stage in seeds]),
        *(
            signed(mean([stage["delta"].get(since, {}).get(metric) for stage in seeds]))
            for since in ("previous", "baseline")
        ),
        plain([millions(stage.get("params")) for stage in seeds]),
        plain([stage.get("size_mb") for stage in seeds]),
    ]


def millions(count: float | None) -> float | None:
    return None if count is None else count / 1e6


def ablation(rows: Sequence[Row], layout: Layout) -> Table:
    """The full strategy, then each stage left out; compared with the full one."""
    whole = full_of(rows)
    every = stage_names(whole)
    others = [row for row in rows if row is not whole]
    others.sort(
        key=lambda row: (len(every) - len(stage_names(row)), [every.index(x) for x in left_out(row, every)])
    )
    full = replace(whole, name="full")
    named = [replace(row, name=f"without {', '.join(left_out(row, every))}") for row in others]
    metrics = layout.metrics or (full.results[0].primary, DELTA, SPEEDUP, LATENCY, SIZE)
    stages = ", ".join(every)
    return plain_table(
        judged([full, *named], full),
        metrics,
        lambda row: f"{row.name}: {stages}" if row.name == full.name else row.name,
    )


def full_of(rows: Sequence[Row]) -> Row:
    """The row with every stage that any of them has."""
    every = {name for row in rows for name in stage_names(row)}
    full = [row for row in rows if set(stage_names(row)) == every]
    sets = [frozenset(stage_names(row)) for row in rows]
    if len(full) != 1 or len(set(sets)) != len(sets):
        found = "; ".join(f"{row.name}: {', '.join(stage_names(row))}" for row in rows[:6])
        raise ConfigError(
            f"--layout ablation: one row with all stages ({', '.join(sorted(every))}) and others that lack "
            f"some are needed, each once; found {found}; --where takes some of the jobs"
        )
    return full[0]


def stage_names(row: Row) -> list[str]:
    return [stage["name"] for stage in row.results[0].stages if stage.get("used", True)]


def left_out(row: Row, every: Sequence[str]) -> list[str]:
    mine = set(stage_names(row))
    return [name for name in every if name not in mine]
