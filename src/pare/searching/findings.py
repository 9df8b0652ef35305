"""What a search tells at its end: the Pareto set, how to make it again, and `search.json`."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from pare.aims import SCORED, Quantities, Search
from pare.files import write_json
from pare.report import wide_console
from pare.searching.asked import Asked

SCHEMA = "pare/search@1"
FILE = "search.json"


def tell_findings(
    folder: Path,
    search: Search,
    trials: Sequence[Asked],
    front: Sequence[Asked],
    command: Callable[[Asked], str],
) -> None:
    """front: the Pareto set of those that keep all limits. command: what makes a trial again."""
    commands = {one.number: command(one) for one in front}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, as_json(search, trials, commands))
    console = wide_console()
    kept = f" that keep {limits_of(search)}" if search.limits else ""
    if front:
        console.print(table(search, front, f"the best trials{kept}; chosen on dev, test is only told"))
        for number, line in commands.items():
            console.print(f"trial {number}: {line}", soft_wrap=True, markup=False)
    else:
        console.print(f"no trials{kept}")
        if nearest := nearest_of(search, trials):
            console.print(table(search, nearest, "the nearest"))
    console.print(counted(trials))
    console.print(f"results {folder / FILE}", soft_wrap=True)


def limits_of(search: Search) -> str:
    return ", ".join(f"{limit.name} {limit.value:g}" for limit in search.limits)


def counted(trials: Sequence[Asked]) -> str:
    states = Counter(one.found.state if one.found else "running" for one in trials)
    told = [
        f"{states[state]} {state}" for state in ("complete", "pruned", "failed", "running") if states[state]
    ]
    return f"{len(trials)} trials: {', '.join(told)}"


def nearest_of(search: Search, trials: Sequence[Asked]) -> list[Asked]:
    """The three that break limits least."""
    done = [one for one in trials if one.found and one.found.state == "complete"]

    def broken(one: Asked) -> float:
        assert one.found is not None
        return sum(max(0.0, excess) for excess in search.excesses(one.found.known).values())

    return sorted(done, key=broken)[:3]


def table(search: Search, trials: Sequence[Asked], title: str) -> Table:
    """best: of which objectives a trial has the best value."""
    names = list(dict.fromkeys([*search.directions, *(limit.quantity for limit in search.limits)]))
    found = {one.number: one.found for one in trials if one.found}
    metric = next(iter(found.values())).metric
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("trial", justify="right")
    for name in names:
        what = metric if name == "quality" else name
        shown.add_column(f"{what}, dev" if name in SCORED else name, justify="right")
    shown.add_column(f"{metric}, test", justify="right")
    shown.add_column("best")
    best = {
        name: (max if direction == "maximize" else min)(float(f.known[name] or 0) for f in found.values())
        for name, direction in search.directions.items()
    }
    for one in trials:
        came = found[one.number]
        shown.add_row(
            str(one.number),
            *(said(name, came.known) for name in names),
            "" if came.test is None else f"{100 * came.test:.2f}",
            ", ".join(name for name, value in best.items() if came.known[name] == value),
        )
    return shown


def said(name: str, found: Quantities) -> str:
    value = found.get(name)
    if value is None:
        return ""
    return f"{100 * value:.2f}" if name in SCORED else f"{value:.4g}"


def as_json(search: Search, trials: Sequence[Asked], commands: dict[int, str]) -> dict[str, object]:
    """best: the Pareto set; their commands are beside them."""
    return {
        "schema": SCHEMA,
        "objectives": dict(search.directions),
        "constraints": {limit.name: limit.value for limit in search.limits},
        "best": list(commands),
        "trials": [
            {
                "number": one.number,
                "state": one.found.state if one.found else "running",
                "point": one.point,
                "quantities": dict(one.found.known) if one.found else {},
                "metric": one.found.metric if one.found else "",
                "test": one.found.test if one.found else None,
                "why": one.found.why if one.found else "",
                "rungs": [dict(rung) for rung in one.rungs],
                "folder": one.found.folder if one.found else "",
                "command": commands.get(one.number),
            }
            for one in trials
        ],
    }
