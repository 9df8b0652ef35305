"""The jobs of a sweep in one table, whatever became of them, and how much they shared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from pare.report import wide_console
from pare.result import RESULT, STATUS, Result
from pare.targets.measurement import Measurement

DONE = "done"


@dataclass(frozen=True)
class Row:
    """One job: its result, or why there is none."""

    number: int
    overrides: Sequence[str]
    result: Result | None
    reason: str


def collect(folders: Sequence[Path], jobs: Sequence[Sequence[str]]) -> list[Row]:
    """What the folders of the jobs hold; a job that never started has a row too."""
    rows = []
    for number, (folder, overrides) in enumerate(zip(folders, distinguishing(jobs), strict=True)):
        reason = reason_of(folder)
        result = Result.read(folder) if reason == DONE and (folder / RESULT).is_file() else None
        rows.append(Row(number, overrides, result, "" if result else reason))
    return rows


def distinguishing(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of each job the overrides that not all jobs have."""
    common = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    return [[override for override in overrides if override not in common] for overrides in jobs]


def reason_of(folder: Path) -> str:
    file = folder / STATUS
    if not file.is_file():
        return "not started"
    status = json.loads(file.read_text(encoding="utf-8"))
    message = status.get("error", {}).get("message", "")
    return f"{status['state']}: {message}" if message else str(status["state"])


def print_summary(folder: Path, folders: Sequence[Path], jobs: Sequence[Sequence[str]], shared: str) -> None:
    """folder: of the sweep; folders: of its jobs; shared: how much they had in common, in one line."""
    rows = collect(folders, jobs)
    console = wide_console()
    console.print(summary_table(rows))
    for line in caveats(rows):
        console.print(line, soft_wrap=True)
    console.print(shared)
    console.print(f"results {folder}", soft_wrap=True)


def summary_table(rows: Sequence[Row]) -> Table:
    table = Table(title="the sweep, on test", title_justify="left", box=box.SIMPLE_HEAD)
    first = next((row.result for row in rows if row.result), None)
    metric = first.primary if first else "score"
    targets = len({target_of(row.result) for row in rows if row.result}) > 1
    columns = ["job", "overrides", metric, "Δ baseline", "speed-up", "p50 ms", "size MB"]
    for column in (*columns, "target") if targets else columns:
        table.add_column(column, justify="left" if column in ("overrides", "target") else "right")
    for row in rows:
        name = escape(" ".join(row.overrides))  # lists in brackets are no markup
        if row.result is None:
            table.add_row(str(row.number), name, f"[red]{escape(row.reason)}[/red]", "", "", "", "")
            continue
        found, m = row.result, row.result.measurement
        score, before = found.scores[found.primary], found.baseline_scores[found.primary]
        table.add_row(
            str(row.number),
            name,
            f"{100 * score:.2f}",
            f"{100 * (score - before):+.2f}",
            f"{m.speedup.median:.2f}x [{m.speedup.low:.2f}, {m.speedup.high:.2f}]",
            f"{m.latency_ms['p50']:.3f}",
            f"{m.size_mb:.2f}",
            *([target_of(found)] if targets else []),
        )
    return table


def target_of(result: Result) -> str:
    m = result.measurement
    plural = "s" if m.threads > 1 else ""
    return f"{m.hardware}, {m.runtime}, {m.precision}, {m.threads} thread{plural}, batch {m.batch}"


def caveats(rows: Sequence[Row]) -> list[str]:
    """What may not be compared from row to row, and what did not run as it was asked to, one line each."""
    machines: dict[str, list[str]] = {}
    asked = []
    for row in rows:
        if row.result is None:
            continue
        measured = row.result.measurement
        machines.setdefault(machine_of(measured), []).append(str(row.number))
        if "asked" in measured.precision:
            asked.append(f"[yellow]job {row.number} ran as {measured.precision}[/yellow]")
    if len(machines) < 2:
        return asked
    told = [f"  jobs {', '.join(numbers)}: {machine}" for machine, numbers in machines.items()]
    return [
        *asked,
        "[yellow]measured on different machines: milliseconds compare within each only[/yellow]",
        *told,
    ]


def machine_of(measured: Measurement) -> str:
    found = measured.fingerprint
    return ", ".join(map(str, (found.get("cpu"), f"{found.get('cores')} cores", *(found.get("gpu") or ()))))
