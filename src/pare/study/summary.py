"""A study in the terminal: tables, the front, what meets a budget, and what has no result."""

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as Grid

from pare.study.cells import Cell, Table, title_of
from pare.study.collecting import Study
from pare.study.commands import deploy, reproduce
from pare.study.front import Bound, Shortlist, cost_of, score_of
from pare.study.quantities import LATENCY, MEASURED
from pare.study.statistics import Row

NAMES = 20  # columns that they have where there is too little room


def show_table(console: Console, table: Table) -> None:
    grid = Grid(title=escape(table.title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in table.columns:
        side: Literal["left", "right"] = "right" if column.numeric else "left"
        grid.add_column(escape(column.title), justify=side, overflow="fold")
    for row in table.shown():
        grid.add_row(*map(text_of, row))
    needed = Measurement.get(console, console.options.update(max_width=10_000), grid).maximum
    if not console.is_terminal:  # a file has room
        console.width = max(console.width, needed)
    elif needed > console.width:  # all take more lines then; names are told apart by their ends
        for shown, column in zip(grid.columns, table.columns, strict=True):
            shown.width = None if column.numeric else NAMES
    console.print(grid)
    for note in table.notes:
        console.print(f"[dim]{escape(note)}[/dim]", soft_wrap=True)


def text_of(cell: Cell) -> str:
    spread = f" ± {cell.spread}" if cell.spread else ""
    extra = f" {cell.extra}" if cell.extra else ""
    text = escape(f"{cell.text}{spread}{extra}")  # lists in brackets are no markup
    mark = f"[dim] {cell.mark}[/dim]" if cell.mark else ""
    return f"[bold]{text}[/bold]{mark}" if cell.best else f"{text}{mark}"


def show_without(console: Console, study: Study) -> None:
    """The jobs that have no result, and why; what was left out."""
    if study.without:
        grid = Grid(title="without a result", title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("job", "configuration", "why"):
            grid.add_column(column, justify="right" if column == "job" else "left")
        for record in study.without:
            grid.add_row(str(record.number), escape(record.name), f"[red]{escape(record.reason)}[/red]")
        console.print(grid)
    for line in [*study.notes, *caveats(study)]:
        console.print(f"[yellow]{escape(line)}[/yellow]", soft_wrap=True)


def caveats(study: Study) -> list[str]:
    """What did not run as it was asked to, one line each."""
    return [
        f"job {record.number} ran as {result.measurement.precision}"
        for record, result in study.done
        if "asked" in result.measurement.precision
    ]


def show_front(console: Console, rows: Sequence[Row], every: int, costs: Sequence[str]) -> None:
    """rows: those on it. every: how many there are in all."""
    if not rows:
        console.print(f"[bold]the front[/bold]: none of {every} rows has {', '.join(costs)}")
        return
    primary = rows[0].results[0].primary
    console.print(f"[bold]the front[/bold]: {len(rows)} of {every}, by {primary} and {', '.join(costs)}")
    for row in rows:
        show_row(console, row, costs)


def show_row(console: Console, row: Row, costs: Sequence[str], before: str = "") -> None:
    """costs: what is told of it besides score and latency."""
    console.print(f"{before}[bold]{escape(row.name)}[/bold]: {in_short(row, costs)}", soft_wrap=True)
    console.print(f"    again   {escape(reproduce(row))}", soft_wrap=True)
    if (use := deploy(row)) is not None:
        console.print(f"    deploy  {escape(use)}", soft_wrap=True)


def in_short(row: Row, costs: Sequence[str]) -> str:
    change = round(-row.drop, 9) + 0.0
    times = f"{cost_of(row, LATENCY):.3f} ms, {row.speedup.median:.2f}x"
    others = [in_words(row, name) for name in costs if name != LATENCY]
    return ", ".join([f"{100 * score_of(row):.2f} ({change:+.2f})", times, *others])


def in_words(row: Row, name: str) -> str:
    quantity, cost = MEASURED[name], cost_of(row, name)
    told = "not measured" if cost is None else f"{cost:.{quantity.digits}f} {quantity.unit}"
    return f"{title_of(quantity)} {told}"


def show_shortlist(console: Console, found: Shortlist, budget: Sequence[Bound], every: int) -> None:
    told = " ".join(map(str, budget))
    costs = [bound.cost for bound in budget if bound.cost]
    if found.within:
        console.print(f"[bold]within {told}[/bold]: {len(found.within)} of {every}")
        same = found.best is found.fastest
        show_row(console, found.best, costs, "best and fastest: " if same else "best: ")
        if not same:
            show_row(console, found.fastest, costs, "fastest: ")
        return
    console.print(f"[bold]within {told}[/bold]: [red]none[/red] of {every}")
    for each in found.obstacles:
        alone = f"{each.alone} of {every} meet it"
        if each.unknown:
            alone += f", {each.unknown} not measured"
        if each.nearest is None:
            console.print(f"  {each.bound}: {alone}; without it, {each.others} would be left", soft_wrap=True)
            continue
        console.print(
            f"  [yellow]{each.bound}[/yellow]: {alone}; without it, {each.others} would be left, of which "
            f"{escape(each.nearest.name)} misses it by {each.by:.3g} {each.bound.unit}",
            soft_wrap=True,
        )
    if found.nearest is not None:
        show_row(console, found.nearest, costs, "nearest to all of it: ")
