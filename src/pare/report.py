"""What a person sees in the terminal: progress, a row per stage, and the comparison at the end."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from pare.progress import Advance
from pare.result import BUNDLE, RESULT, Result
from pare.steps import Step, Trial
from pare.targets.intervals import Speedup
from pare.targets.measurement import Measurement
from pare.tasks.survey import PERCENTILES, Survey
from pare.tasks.task import LABELLED


def yaml_of(config: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    return text


def wide_console() -> Console:
    """Tables keep their columns where the output goes to a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


class Terminal:
    """Writes to standard output; progress bars vanish when they are done, and where nobody watches."""

    def __init__(self) -> None:
        self.console = wide_console()
        self.steps: list[Step] = []

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        watched = self.console.is_terminal
        with Bars(*columns, console=self.console, transient=True, disable=not watched) as bars:
            bar = bars.add_task(title, total=total, state="")
            yield lambda steps, state: bars.update(bar, advance=steps, state=state)

    def step(self, step: Step) -> None:
        """One line as each stage ends; the table comes at the end."""
        self.steps.append(step)
        verdict = ""
        if step.verdict is not None and not step.verdict.passed:
            verdict = f"  [yellow]gate failed: {step.verdict.action}[/yellow]"
        source = "from the store" if step.cached else f"{step.seconds:.1f} s"
        self.console.print(f"[dim]{escape(step.name)}: {source}[/dim]{verdict}")

    def trial(self, trial: Trial) -> None:
        """One line as `auto` has tried a strategy."""
        told = f"[yellow]{escape(trial.why)}[/yellow]" if trial.why else "passes"
        cost = f"{trial.latency_ms:.3f} ms: " if trial.latency_ms is not None else ""
        if trial.drop is not None:
            cost = f"{-100 * trial.drop:+.2f} points, {trial.speedup:.2f}x: "
        self.console.print(f"[bold]{escape(trial.name)}[/bold]: {cost}{told}", soft_wrap=True)

    def result(self, result: Result, folder: Path) -> None:
        for trial in result.tried:
            if trial["taken"]:
                self.console.print(f"taken: {trial['name']}, of {len(result.tried)} tried", markup=False)
        self.console.print(stage_table(result))
        for line in result.findings():
            self.console.print(line, soft_wrap=True, markup=False)
        self.comparison(result, folder)
        bundle = folder / BUNDLE
        self.console.print(
            f"bundle  {bundle}   python {bundle}/predict.py TEXT", soft_wrap=True, markup=False
        )

    def comparison(self, result: Result, folder: Path) -> None:
        self.console.print(comparison_table(result))
        for line in caveats(result):
            self.console.print(line, soft_wrap=True)
        self.console.print(f"result  {folder / RESULT}", soft_wrap=True, markup=False)


def points(value: float | None, signed: bool = False) -> str:
    """A fraction as points."""
    if value is None:
        return ""
    return f"{100 * value:+.2f}" if signed else f"{100 * value:.2f}"


def stage_table(result: Result) -> Table:
    metric = result.primary
    title = f"{result.task}, seed {result.seed}: {metric} on dev after each stage"
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in (
        "stage",
        "score",
        "Δ previous",
        "Δ baseline",
        "parameters",
        "size MB",
        "seconds",
        "source",
    ):
        table.add_column(column, justify="left" if column in ("stage", "source") else "right")
    for stage in result.stages:
        delta = stage["delta"]
        gate = stage["gate"]
        mark = "" if gate is None else (" ✓" if gate["passed"] else f" ✗ {gate['action']}")
        table.add_row(
            escape(f"{stage['name']}{mark}"),
            points(stage["scores"].get(metric)),
            points(delta.get("previous", {}).get(metric), True),
            points(delta.get("baseline", {}).get(metric), True),
            f"{stage['params'] / 1e6:.2f} M",
            f"{stage['size_mb']:.2f}",
            f"{stage['seconds']:.1f}",
            "store" if stage["cached"] else "computed",
        )
    return table


def comparison_table(result: Result) -> Table:
    small, base = result.measurement, result.baseline_measurement
    threads = f"{small.threads} thread" + ("s" if small.threads > 1 else "")
    length = f"{small.length} tokens" if small.length else "texts as long as they are"
    title = (
        f"on {result.scored_on}, {small.hardware}: {small.runtime}, {threads}, batch {small.batch}, {length}"
    )
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for column in (f"baseline ({base.precision}, {base.lowering})", f"pared ({small.precision})", "change"):
        table.add_column(column, justify="right")
    for metric in result.scores:
        before, after = result.baseline_scores[metric], result.scores[metric]
        change = f"{points(after - before, True)} points"
        if metric == result.primary and (sure := result.difference) is not None:
            change = (
                f"{points(after - before, True)} [{points(sure.low, True)}, {points(sure.high, True)}] points"
            )
        table.add_row(escape(metric), points(before), points(after), change)

    def row(name: str, value: Any, change: str) -> None:
        table.add_row(name, value(base), value(small), change)

    row("latency p50", lambda m: f"{m.latency_ms['p50']:.3f} ms", f"{ratio(small.speedup)} faster")
    both = [name for name in small.latency_ms if name in base.latency_ms]
    for percentile in [name for name in both if name not in ("p50", "n")]:
        row(
            f"latency {percentile}",
            lambda m, p=percentile: f"{m.latency_ms[p]:.3f} ms",
            times(base, small, lambda m, p=percentile: m.latency_ms[p]),
        )
    if (
        small.end_to_end_ms is not None
        and base.end_to_end_ms is not None
        and small.end_to_end_speedup is not None
    ):
        row(
            "from text to answer, p50",
            lambda m: f"{m.end_to_end_ms['p50']:.3f} ms",
            f"{ratio(small.end_to_end_speedup)} faster",
        )
    row("load, first call", lambda m: f"{m.load_ms:.0f} + {m.first_ms:.1f} ms", "")
    for number, batch in enumerate(rate.batch for rate in small.rates):
        row(
            f"throughput, batch {batch}",
            lambda m, i=number: f"{m.rates[i].bucketed_per_s:.0f}/s",
            times(small, base, lambda m, i=number: m.rates[i].bucketed_per_s),
        )
    row("size", lambda m: f"{m.size_mb:.2f} MB", times(base, small, lambda m: m.size_mb) + " smaller")
    if small.memory_mb is not None and base.memory_mb is not None:
        row("memory", lambda m: f"{m.memory_mb:.1f} MB", times(base, small, lambda m: m.memory_mb) + " less")
    if small.gpu_memory_mb is not None and base.gpu_memory_mb is not None:
        change = times(base, small, lambda m: m.gpu_memory_mb) + " less"
        row("memory of the GPU", lambda m: f"{m.gpu_memory_mb:.0f} MB", change)
    if small.arithmetic is not None and small.arithmetic.fraction is not None:
        row("of the multiply peak", lambda m: share(m.arithmetic.fraction), "")
    if small.energy_j is not None and base.energy_j is not None:
        row("energy a text", lambda m: f"{1e3 * m.energy_j:.2f} mJ", times(base, small, lambda m: m.energy_j))
    return table


def caveats(result: Result) -> list[str]:
    """What to know before believing the numbers, one line each."""
    small = result.measurement
    lines = [f"{small.mode}: baseline against itself {ratio(small.control)}"]
    conditions = small.conditions
    for one in conditions["foreign"]:
        took = f"{one['cores']} cores" if "cores" in one else f"{one['gpu_mb']} MB of the GPU"
        who = one["name"] if one["pid"] is None else f"{one['name']} ({one['pid']})"
        lines.append(f"[yellow]{escape(who)} used {took} meanwhile[/yellow]")
    if conditions.get("gpu_unknown"):  # which older results lack
        lines.append("[yellow]nvidia-smi did not tell who else used the GPU[/yellow]")
    if (conditions["steal"] or 0) > STEAL_SEEN:
        lines.append(f"[yellow]the host took {share(conditions['steal'])} of the cores' time[/yellow]")
    if not conditions["settled"]:
        lines.append("[yellow]warming up never settled[/yellow]")
    return lines


STEAL_SEEN = 0.01


def ratio(speedup: Speedup) -> str:
    return f"{speedup.median:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}]"


def share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def times(over: Measurement, under: Measurement, value: Any) -> str:
    return f"{value(over) / value(under):.2f}x" if value(under) else ""


MOST_LABELS = 30  # shown, the most frequent first


def show_survey(name: str, found: Survey) -> None:
    """Rows, labels, lengths, and what is odd about them."""
    console = wide_console()
    heads = [f"p{p}" if p < 100 else "longest" for p in PERCENTILES]
    table = Table(title=escape(f"{name}: texts, in tokens"), title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("", "rows", *heads, f"longer than {found.max_length}", "seen in train"):
        table.add_column(column, justify="right" if column else "left")
    for split in LABELLED:
        numbers = (found.rows[split], *found.lengths[split], found.cut[split], found.seen[split])
        table.add_row(split, *map(str, numbers))
    console.print(table)
    for kind, counts in (("labels", found.labels), ("spans", found.spans)):
        total = sum(counts.values(), Counter[str]())
        if not total:
            continue
        table = Table(title=f"{len(total)} {kind}", title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("", *LABELLED):
            table.add_column(column, justify="right" if column else "left")
        for label, _ in total.most_common(MOST_LABELS):
            table.add_row(escape(label), *(str(counts[split][label]) for split in LABELLED))
        console.print(table)
        if len(total) > MOST_LABELS:
            console.print(f"and {len(total) - MOST_LABELS} more {kind}")
    console.print(f"max_length={found.suggested} would cut at most one training text of a hundred")
    if found.in_both:
        console.print(f"test: {found.in_both} texts are in dev too")
    if found.disputed:
        console.print(f"train: {found.disputed} texts come with different labels")
    for split in LABELLED[1:]:
        if unknown := found.unknown(split):
            told = f"{split}: {len(unknown)} labels that train lacks: {', '.join(unknown[:10])}"
            console.print(told, markup=False)
