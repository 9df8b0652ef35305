"""What a person sees of a sweep while it runs: a line for each job that ends, and what is going on."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from pare.report import wide_console
from pare.result import Result
from pare.sweep import Slots
from pare.sweeps.engine import Working
from pare.sweeps.forecast import Forecast
from pare.sweeps.plan import Node, Plan

SHOWN = 12  # of what runs


class View:
    """apart: of each job what sets it apart from the others. what: its jobs are called; numbers: theirs."""

    def __init__(
        self,
        plan: Plan,
        apart: Sequence[Sequence[str]],
        slots: Slots,
        what: str = "job",
        numbers: Sequence[int] = (),
    ) -> None:
        self.plan, self.apart, self.slots = plan, apart, slots
        self.what, self.numbers = what, numbers or range(len(apart))
        self.console = wide_console()
        self.wanted = plan.wanted()
        self.began = time.time()
        self.total = sum(not node.stored for node in plan.nodes.values())
        self.done = self.failures = self.computed = 0
        self.live: Live | None = None
        self.warnings: set[str] = set()

    def plan_line(self, forecast: Forecast) -> None:
        """Jobs, stages, how many are in the store, how long the rest will take."""
        stages = self.stages()
        kept = sum(node.stored for node in stages)
        told = (
            f"{len(self.plan.needs)} jobs, {self.asked()} stages: {len(stages)} distinct, {kept} in the store"
        )
        self.console.print(f"{told}; {hands(self.slots)}, {about(forecast)}", soft_wrap=True)

    def stages(self) -> list[Node]:
        return [node for node in self.plan.nodes.values() if node.kind == "stage"]

    def asked(self) -> int:
        """How many stages there would be if nothing were shared."""
        return sum(self.wanted[node.id] for node in self.stages())

    def shared(self) -> str:
        """How many stages the jobs asked for, and how many there were to compute."""
        told = f"{self.asked()} stages, {len(self.stages())} distinct, {self.computed} computed"
        return f"{told}, the rest from the store"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What is going on, below all lines; where nobody watches, only the lines."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=2, transient=True) as self.live:
            yield

    def going_on(self, running: Mapping[str, Working]) -> None:
        if self.live is None:
            return
        spent = time.time() - self.began
        left = f", about {span(spent / self.done * (self.total - self.done))} left" if self.done else ""
        failed = f", {self.failures} failed" if self.failures else ""
        lines = [Text(f"{self.done}/{self.total} done in {span(spent)}{left}{failed}", style="bold")]
        for name, one in list(running.items())[:SHOWN]:
            node, jobs = self.plan.nodes[name], self.wanted[name]
            whose = " ".join(self.apart[node.job]) if jobs == 1 else f"for {jobs} jobs"
            where = f"on {one.host}  " if one.host else ""
            lines.append(Text(f"  {node.what}  {whose}  {where}{span(time.time() - one.since)}"))
        self.live.update(Group(*lines))

    def ended(self, node: Node, well: bool) -> None:
        self.done += 1
        self.computed += well and node.kind == "stage"

    def warned(self, lines: Iterable[str]) -> None:
        """Each once: what is wrong with a shared stage is said by all that need it."""
        for line in lines:
            if line not in self.warnings:
                self.warnings.add(line)
                self.console.print(f"[yellow]{escape(line)}[/yellow]", soft_wrap=True)

    def job_done(self, number: int, result: Result) -> None:
        speedup, score = result.measurement.speedup, result.scores[result.primary]
        line = (
            f"{self.what} {self.numbers[number]}: {result.primary} {100 * score:.2f}, {speedup.median:.2f}x"
        )
        self.console.print(f"{line}  [dim]{escape(' '.join(self.apart[number]))}[/dim]", soft_wrap=True)

    def failed(self, jobs: Sequence[int], line: str) -> None:
        """One line on stderr, whichever jobs it takes down."""
        self.failures += len(jobs)
        first = " ".join(self.apart[jobs[0]])
        whose = self.named(jobs)
        sys.stdout.flush()
        print(f"error: {line} ({f'{whose}: {first}' if first else whose})", file=sys.stderr, flush=True)

    def given_up(self, jobs: Sequence[int], line: str) -> None:
        self.console.print(f"{self.named(jobs)}: given up, {line}", soft_wrap=True, markup=False)

    def named(self, jobs: Sequence[int]) -> str:
        numbers = ", ".join(str(self.numbers[job]) for job in jobs)
        return f"{self.what} {numbers}" if len(jobs) == 1 else f"{self.what}s {numbers}"


def hands(slots: Slots) -> str:
    if slots.scheduler:
        return f"on {slots.scheduler}, one after the other"
    return f"{slots.count} worker{'s' if slots.count > 1 else ''}"


def about(forecast: Forecast) -> str:
    known = f"about {span(forecast.seconds)}"
    if not forecast.unknown:
        return known
    unknown = f"{forecast.unknown} steps whose like was never run"
    return f"{known} and {unknown}" if forecast.seconds else unknown


def span(seconds: float) -> str:
    """As people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
