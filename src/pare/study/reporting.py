"""`pare report`, and what a sweep writes at its end: from folders to tables, figures and a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pare.errors import ConfigError
from pare.report import wide_console
from pare.result import Result
from pare.study.cells import Table
from pare.study.collecting import Record, Study, collect, study_of
from pare.study.front import Bound, choose, front
from pare.study.keys import LACKING, check_known, value_of
from pare.study.layouts import ACROSS_TASKS, COMPARED_ALREADY, table_of
from pare.study.quantities import LATENCY, MEASURED
from pare.study.statistics import WHOLE, Key, Part, Row, by_what_differs, parts
from pare.study.summary import show_front, show_shortlist, show_table, show_without
from pare.study.tables import Layout
from pare.study.verdicts import judged
from pare.study.writing import TEXT, write_tables

PAGE, TABLE = "report.html", "table.md"
FIGURES = (".png", ".svg", ".pdf")
TABLES = (*TEXT, ".parquet")


@dataclass(frozen=True)
class Asked:
    """What a report is to show and where it goes. where, baseline: key=value, all of which must hold."""

    layout: Layout = field(default_factory=Layout)
    group: Sequence[str] = ()
    where: Sequence[str] = ()
    baseline: Sequence[str] = ()
    budget: Sequence[Bound] = ()
    costs: Sequence[str] = (LATENCY,)
    to: Sequence[Path] = ()
    figure: str = "front"
    language: str = "en"


def report(paths: Sequence[Path], asked: Asked) -> int:
    """Exit code 1 where nothing has a result yet, or nothing meets the budget.

    Raises ConfigError where a file that was asked for cannot be written, after all else is done.
    """
    check(asked)
    study = chosen(collect(paths), asked.where)
    console = wide_console()
    check_known(named_in(asked), study.done)
    by = {name: WHOLE.get(name) or key_of(name) for name in asked.group}
    across = asked.layout.name in ACROSS_TASKS
    found = compared(study, {"task": WHOLE["task"], **by} if across else by, asked.baseline)
    shown = parts(study, by, across) if across else found
    tables = [table_of(part.rows, asked.layout, part.title) for part in shown]
    for table in tables:
        show_table(console, table)
    show_without(console, study)
    met = []
    for part in found:
        if len(found) > 1:
            console.print(f"\n{escape(part.title)}", soft_wrap=True)
        met.append(show_ranking(console, part.rows, asked))
    files = asked.to or default_files(paths, asked)
    problems = []
    for file in sorted(files, key=lambda file: file.suffix not in TABLES):  # these need the least
        try:
            write(file, study, found, tables, asked)
        except (ConfigError, OSError) as e:
            problems.append(f"{file}: {e.strerror or e}" if isinstance(e, OSError) else str(e))
        else:
            console.print(f"written {file}", soft_wrap=True, markup=False)
    if asked.to and problems:
        raise ConfigError(problems)
    for problem in problems:
        console.print(f"[yellow]not written: {escape(problem)}[/yellow]", soft_wrap=True)
    return 0 if any(met) else 1


def show_ranking(console: Console, rows: Sequence[Row], asked: Asked) -> bool:
    """The front, or with a budget what meets it; whether anything does."""
    if not asked.budget:
        show_front(console, front(rows, asked.costs), len(rows), asked.costs)
        return True
    found = choose(rows, asked.budget)
    show_shortlist(console, found, asked.budget, len(rows))
    return bool(found.within)


def check(asked: Asked) -> None:
    """What can be said to be wrong before anything is read."""
    problems = [
        f"--to {file}: {file.suffix or 'no suffix'}; there are .html, {', '.join((*TABLES, *FIGURES))}"
        for file in asked.to
        if file.suffix not in (".html", *TABLES, *FIGURES)
    ]
    problems += [f"--to {file}: no folder {file.parent}" for file in asked.to if not file.parent.is_dir()]
    if not asked.costs:
        problems.append(f"--axes: none given; there are {', '.join(MEASURED)}")
    problems += [
        f"--axes: no {name!r}; there are {', '.join(MEASURED)}"
        for name in asked.costs
        if name not in MEASURED
    ]
    for option, pairs in (("--where", asked.where), ("--baseline", asked.baseline)):
        problems += [f"{option} {pair}: key=value is needed" for pair in pairs if "=" not in pair]
    if asked.baseline and (layout := asked.layout.name) in COMPARED_ALREADY:
        problems.append(f"--baseline: what is compared with what --layout {layout} says already")
    if problems:
        raise ConfigError(problems)


def named_in(asked: Asked) -> list[str]:
    """Keys that some job must have."""
    others = [name for name in asked.group if name not in WHOLE]
    return [*others, *asked.layout.rows, *asked.layout.cols, *keys_of(asked.baseline)]


def key_of(name: str) -> Key:
    return lambda record, result: value_of(name, record, result) or LACKING


def chosen(study: Study, where: Sequence[str]) -> Study:
    """Without the jobs that have a result of something else."""
    if not where:
        return study
    check_known(keys_of(where), study.done)
    kept = {record.number for record, result in study.done if holds(where, record, result)}
    if not kept:
        raise ConfigError(f"--where {' '.join(where)}: none of {len(study.done)} jobs with a result")
    return Study([each for each in study.records if each.number in kept or not each.result], study.notes)


def keys_of(pairs: Sequence[str]) -> list[str]:
    return [pair.partition("=")[0] for pair in pairs]


def holds(pairs: Sequence[str], record: Record, result: Result) -> bool:
    split = (pair.partition("=")[::2] for pair in pairs)
    return all(value_of(key, record, result) == value for key, value in split)


def compared(study: Study, by: Mapping[str, Key], baseline: Sequence[str] = ()) -> list[Part]:
    """What can be ranked, and shown on the page: each part of one task, whatever the tables are of."""
    return [Part(part.title, judged(part.rows, against(part.rows, baseline))) for part in parts(study, by)]


def against(rows: Sequence[Row], baseline: Sequence[str]) -> Row | None:
    """The one row that the others are compared with; None for each job's own baseline."""
    if not baseline:
        return None
    found = [row for row in rows if all(holds(baseline, *job) for job in row.jobs)]
    if len(found) != 1:
        named = f": {'; '.join(row.name for row in found[:4])}" if found else ""
        raise ConfigError(f"--baseline {' '.join(baseline)}: {len(found)} rows, one is needed{named}")
    return found[0]


def default_files(paths: Sequence[Path], asked: Asked) -> list[Path]:
    """In the sweep's own folder, of all of it; of another view, or several sweeps, what is asked for."""
    is_whole = (asked.layout, asked.where, asked.baseline, asked.language) == (Layout(), (), (), "en")
    is_whole = is_whole and WHOLE.keys() >= set(asked.group)
    return [paths[0] / PAGE, paths[0] / TABLE] if is_whole and len(paths) == 1 and paths[0].is_dir() else []


def write(file: Path, study: Study, found: Sequence[Part], tables: Sequence[Table], asked: Asked) -> None:
    if file.suffix == ".html":
        from pare.study.page import write_page

        write_page(file, study, found, asked.language)
    elif file.suffix in FIGURES:
        from pare.study.figures import write_figure

        write_figure(file, found, asked.figure, asked.costs[0], asked.language)
    else:
        write_tables(file, tables)


def after_sweep(folder: Path, folders: Sequence[Path], jobs: Sequence[Sequence[str]], shared: str) -> None:
    """folder: of the sweep; folders: of its jobs; shared: how much they had in common, in one line."""
    console = wide_console()
    write_defaults(console, folder, lambda: study_of(list(zip(folders, jobs, strict=True))), show=True)
    console.print(shared)
    console.print(f"results {folder}", soft_wrap=True, markup=False)


def after_search(folder: Path) -> None:
    """Of the trials that are in its folder; what was found has been shown by then."""
    write_defaults(wide_console(), folder, lambda: collect([folder]), show=False)


def write_defaults(console: Console, folder: Path, collected: Callable[[], Study], show: bool) -> None:
    """The results are there already: what goes wrong here is said in a line, and changes nothing."""
    try:
        study, asked = collected(), Asked()
        found = compared(study, by_what_differs(study))
        tables = [table_of(part.rows, asked.layout, part.title) for part in found]
        if show:
            for table in tables:
                show_table(console, table)
            show_without(console, study)
        for file in (folder / TABLE, folder / PAGE):
            write(file, study, found, tables, asked)
        console.print(f"report  {folder / PAGE}", soft_wrap=True, markup=False)
    except Exception as e:
        console.print(f"[yellow]no report: {escape(f'{type(e).__name__}: {e}')}[/yellow]", soft_wrap=True)
