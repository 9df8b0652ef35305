"""Layouts: which rows and columns a table has."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pare.errors import ConfigError
from pare.study.cells import DELTA, Cell, Column, Table, notes_of, number, shown, with_best, with_count
from pare.study.keys import LACKING, short, value_of
from pare.study.quantities import LATENCY, MEMORY, SIZE, SPEEDUP, quantity_of, score
from pare.study.statistics import Row, by_stage, estimate
from pare.study.verdicts import judged


@dataclass(frozen=True)
class Layout:
    """name: one of LAYOUTS. metrics: of the columns; the layout's own where none are named."""

    name: str = "jobs"
    rows: Sequence[str] = ()
    cols: Sequence[str] = ()
    metrics: Sequence[str] = ()


def table_of(rows: Sequence[Row], layout: Layout, title: str = "") -> Table:
    """rows: of one task on one machine, already judged; the layouts across tasks take those of several."""
    if not rows:
        return Table(title, [Column("configuration", "configuration", False)], [])
    if layout.name not in LAYOUTS:
        raise ConfigError(f"--layout: no {layout.name!r}; there are {', '.join(LAYOUTS)}")
    if layout.cols and not layout.rows:
        raise ConfigError("--cols: --rows says what the rows are; both are needed")
    if layout.rows and layout.name != Layout.name:
        raise ConfigError(f"--rows: --layout {layout.name} has rows of its own; one of the two is needed")
    if layout.metrics and layout.name in ACROSS_TASKS:
        raise ConfigError(f"--metrics: --layout {layout.name} has columns of its own, one for each task")
    made = pivot(rows, layout) if layout.rows else LAYOUTS[layout.name](rows, layout)
    return replace(made, title=title)


def configurations(rows: Sequence[Row], layout: Layout) -> Table:
    """A row a configuration, seeds folded."""
    primary = rows[0].results[0].primary
    metrics = layout.metrics or (primary, DELTA, SPEEDUP, LATENCY, SIZE)
    return plain_table(rows, metrics, lambda row: row.name)


def plain_table(rows: Sequence[Row], metrics: Sequence[str], name: Callable[[Row], str]) -> Table:
    wanted = [shown(metric, rows) for metric in metrics]
    columns = [Column("configuration", "configuration", False), *(column for column, _ in wanted)]
    cells = [[with_count(Cell(name(row)), row, rows), *(get(row) for _, get in wanted)] for row in rows]
    return explained(rows, Table("", columns, with_best(columns, cells)))


def explained(rows: Sequence[Row], table: Table) -> Table:
    """rows: as they were compared for this table."""
    return replace(table, notes=[*table.notes, *notes_of(rows, table)])


def with_baseline(
    metrics: Callable[[Sequence[Row]], Sequence[str]],
) -> Callable[[Sequence[Row], Layout], Table]:
    """The tables of the sources: the uncompressed model first, then what was made of it, with the change."""

    def made(rows: Sequence[Row], layout: Layout) -> Table:
        wanted = layout.metrics or metrics(rows)
        if any(row.against is not None for row in rows):
            return plain_table(rows, wanted, lambda row: row.name)
        table = plain_table([baseline_row(rows), *rows], wanted, lambda row: row.name)
        note = f"{BASELINE}: of the first configuration; each is compared with its own"
        return replace(table, notes=[note, *table.notes])

    return made


def baseline_row(rows: Sequence[Row]) -> Row:
    """The fine-tuned model of the first row as a row of its own."""
    jobs = [
        (
            record,
            replace(
                result,
                scores=result.baseline_scores,
                measurement=result.baseline_measurement,
                stages=result.stages[:1],
                difference=None,
            ),
        )
        for record, result in rows[0].jobs
    ]
    return Row(BASELINE, jobs)


def known(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Those that every result has; without any of them the primary metric."""
    results = [result for row in rows for result in row.results]
    found = [name for name in names if all(name.removesuffix("+") in r.scores for r in results)]
    return found or [f"{results[0].primary}+"]


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


def clue(rows: Sequence[Row], layout: Layout) -> Table:
    """Configurations by tasks: the score of each, their mean, latency and speed-up."""
    tasks = list(dict.fromkeys(row.results[0].task for row in rows))
    configurations = list(dict.fromkeys(row.name for row in rows))
    columns = [
        Column("configuration", "configuration", False),
        *(Column(task, task, higher=True) for task in tasks),
        Column("average", "average", higher=True),
        Column(LATENCY, "p50 ms", higher=False),
        Column(SPEEDUP, "speed-up", higher=True),
    ]
    cells = []
    for name in configurations:
        mine = {row.results[0].task: row for row in rows if row.name == name}
        scores = [
            with_count(number(row.estimate(score(row.results[0].primary)), score("")), row, rows)
            if (row := mine.get(task))
            else Cell()
            for task in tasks
        ]
        whole = len(mine) == len(tasks)  # a mean over fewer tasks would be of something else
        values = [cell.value for cell in scores if cell.value is not None]
        latency = [row.estimate(quantity_of(LATENCY, row.results)) for row in mine.values()]
        speed = [math.log(row.speedup.median) for row in mine.values()]
        means = (
            (sum(values) / len(values), "{:.2f}"),
            (sum(one.mean for one in latency if one) / len(latency), "{:.3f}"),
            (math.exp(sum(speed) / len(speed)), "{:.2f}x"),
        )
        cells.append(
            [
                Cell(name),
                *scores,
                *(Cell(form.format(value), value=value) if whole else Cell("–") for value, form in means),
            ]
        )
    note = "average: over all tasks; the speed-up's is geometric"
    return explained(rows, Table("", columns, with_best(columns, cells), [note]))


BASELINE = "baseline"
ACROSS_TASKS = ("clue",)  # layouts that put several tasks into one table
COMPARED_ALREADY = ("clue", "stages", "template", "ablation")  # with each job's own baseline, or the full one
LAYOUTS: dict[str, Callable[[Sequence[Row], Layout], Table]] = {
    "jobs": configurations,
    "stages": stages,
    "ablation": ablation,
    "pp_minilm": with_baseline(
        lambda rows: [SPEEDUP, *known(["precision", "recall", "f1"], rows)]  # source 000
    ),
    "template": stages,  # source 001: what every step costs
    "clue": clue,  # source 002
    "hierarchical": with_baseline(
        lambda rows: [*known(["micro_f1+", "macro_f1+"], rows), LATENCY]  # source 003
    ),
    "ernie_tiny": with_baseline(
        lambda rows: [
            f"{rows[0].results[0].primary}+",
            "dtype",
            end_to_end(rows),
            f"{MEMORY}+",
            f"{SIZE}+",
        ]
    ),  # source 004
}


def end_to_end(rows: Sequence[Row]) -> str:
    """With the time for the text where that was measured."""
    whole = all(result.measurement.end_to_end_ms for row in rows for result in row.results)
    return "end_to_end_ms+" if whole else f"{LATENCY}+"


def pivot(rows: Sequence[Row], layout: Layout) -> Table:
    """A row for each value of some keys, and columns for each value of others."""
    metrics = layout.metrics or (rows[0].results[0].primary, SPEEDUP)
    wanted = [shown(metric, rows) for metric in metrics]
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], Row] = {}
    for row in rows:
        at = (values_of("--rows", layout.rows, row), values_of("--cols", layout.cols, row))
        if at in places:
            raise ConfigError(
                f"--rows, --cols: {places[at].name} and {row.name} fall into one cell "
                f"({', '.join((*at[0], *at[1]))}); add what tells them apart, or take some with --where"
            )
        places[at] = row
    lines = sorted({line for line, _ in places}, key=naturally)
    across = sorted({column for _, column in places}, key=naturally)
    columns = [Column(key, short(key), False) for key in layout.rows]
    for column in across:
        before = " ".join(column)
        columns += [
            replace(each, name=f"{before} {each.name}".strip(), title=f"{before} {each.title}".strip())
            for each, _ in wanted
        ]
    cells = []
    for line in lines:
        made = [Cell(value) for value in line]
        for column in across:
            found = places.get((line, column))
            own = [get(found) if found else Cell(LACKING) for _, get in wanted]
            made += [with_count(own[0], found, rows), *own[1:]] if found else own
        cells.append(made)
    body = with_best(columns, cells)
    asked = [column for column, _ in wanted]  # by the names that the notes know
    return Table("", columns, body, notes_of(rows, Table("", asked, body)))


def values_of(option: str, keys: Sequence[str], row: Row) -> tuple[str, ...]:
    """What the row has for each key; raises ConfigError where its seeds do not agree."""
    values = []
    for key in keys:
        found = sorted({value_of(key, *job) or LACKING for job in row.jobs}, key=lambda one: naturally([one]))
        if len(found) > 1:
            told = f"{row.name!r} is a mean over {', '.join(found)}"
            raise ConfigError(f"{option} {key}: {told}; --group {key} makes a table of each")
        values.append(found[0])
    return tuple(values)


def naturally(values: Sequence[str]) -> list[tuple[int, float, str]]:
    """Numbers by size, before words."""
    found = []
    for value in values:
        try:
            found.append((0, float(value), ""))
        except ValueError:
            found.append((1, 0.0, value))
    return found
