"""Tables of configurations: a row each, or their keys as rows and columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pare.errors import ConfigError
from pare.study.cells import Cell, Column, Table, notes_of, shown, with_best, with_count
from pare.study.keys import LACKING, short, value_of
from pare.study.quantities import DELTA, LATENCY, SIZE, SPEEDUP
from pare.study.statistics import Row


@dataclass(frozen=True)
class Layout:
    """name: one of LAYOUTS. metrics: of the columns; the layout's own where none are named."""

    name: str = "jobs"
    rows: Sequence[str] = ()
    cols: Sequence[str] = ()
    metrics: Sequence[str] = ()


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
