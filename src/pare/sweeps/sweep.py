"""The jobs of a sweep: all composed and checked before the first, shared work done once, shown together."""

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pare.build import TARGET
from pare.composition import REFUSALS, one_line, plain
from pare.config import Job, job_of
from pare.errors import ConfigError
from pare.experiment import find_once
from pare.machine import gpu_ids
from pare.result import RESULT, STATUS, Result
from pare.status import tell_failure
from pare.store import Store
from pare.study.collecting import DONE, distinguishing, reason_of
from pare.study.reporting import after_sweep
from pare.sweep import Orders, Sweep
from pare.sweeps.composing import Composer
from pare.sweeps.engine import Ending, Engine
from pare.sweeps.errand import told_by
from pare.sweeps.forecast import forecast
from pare.sweeps.plan import Plan, plan_of
from pare.sweeps.view import View
from pare.sweeps.work import write_plan
from pare.tracking.mirroring import mirror

#: seconds between two looks at what is going on
LOOK = 0.5
#: parts of a config by which a whole sweep is run
COMMON = ("sweep", "engine", "store")


@dataclass(frozen=True)
class Grid:
    """Jobs that can be run, the folder of each, and what sets it apart from the others."""

    jobs: Sequence[Job]
    folders: Sequence[Path]
    apart: Sequence[Sequence[str]]

    def result(self, number: int) -> Result | None:
        """Of a job; None where there is none, or none any more."""
        with suppress(FileNotFoundError):
            return Result.read(self.folders[number])
        return None

    def results(self) -> list[Result | None]:
        return [self.result(number) for number in range(len(self.jobs))]


def sweep(loader: Any, master: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[Result | None]:
    """The result of each job, None where there is none; however it goes, prints the table at its end."""
    grid = checked(Composer(loader, master), job_overrides)
    plan, view = planned(grid)
    if grid.jobs[0].sweep.dry_run:
        return []
    folder = Path(str(master.hydra.sweep.dir)).absolute()
    with sole(folder, grid.jobs[0].store):
        try:
            carry_out(folder, grid, plan, view)
        finally:
            after_sweep(folder, grid.folders, job_overrides, view.shared())
            mirror(grid.jobs[0].config["tracker"], folder)
    return grid.results()


@contextmanager
def sole(folder: Path, store: Path) -> Iterator[None]:
    """Inside, no other sweep with this store has that folder; raises ConfigError where one has it already."""
    with Store(store).claimed(str(folder.resolve())) as ours:
        if not ours:
            raise ConfigError(
                f"hydra.sweep.dir: another sweep is at work in {folder}; wait for it, or name another folder"
            )
        yield


def carry_out(folder: Path, grid: Grid, plan: Plan, view: View) -> None:
    settings = grid.jobs[0].sweep
    for job in grid.jobs:
        find_once(job)
    for place in grid.folders:  # of an earlier sweep in the same folder, or of a search's lower rung
        for name in (RESULT, STATUS):
            (place / name).unlink(missing_ok=True)
    written = write_plan(folder, plan, grid.jobs, grid.folders, grid.apart)
    orders = Orders(written, settings, view.slots, cores_of(grid.jobs), view.wanted)
    with grid.jobs[0].engine.engine(orders) as engine:
        try:
            with view.watching():
                Run(plan, grid, engine, view, settings, written).to_the_end()
        finally:
            engine.stop()


def planned(grid: Grid, what: str = "job", numbers: Sequence[int] = ()) -> tuple[Plan, View]:
    """Says what will be done. what: its jobs are called; numbers: theirs, where not from 0 on."""
    first = grid.jobs[0]
    first.engine.check(first.store)
    store = Store(first.store)
    plan = plan_of(grid.jobs, store)
    trainings = [train for job in grid.jobs for train in job.trainings]
    shared_out = all(train.device != "cpu" and train.processes == 1 for train in trainings)
    slots = first.engine.slots(first.sweep, threads_of(grid.jobs), gpu_ids() if shared_out else [])
    view = View(plan, grid.apart, slots, what, numbers)
    view.plan_line(forecast(plan, store, slots.count))
    return plan, view


def threads_of(jobs: Sequence[Job]) -> int:
    """Of any stage that trains, so that none has fewer cores than it uses."""
    return max(train.threads for job in jobs for train in job.trainings)


def cores_of(jobs: Sequence[Job]) -> int:
    """What a machine must have for any stage, and for the target that it is scored and measured on."""
    targets = [job.hardware.threads for job in jobs if job.hardware.device == "cpu"]
    return max([threads_of(jobs), *targets])


def checked(composer: Composer, job_overrides: Sequence[Sequence[str]]) -> Grid:
    """Raises ConfigError with a line for each different mistake and who has it."""
    found: dict[str, list[int]] = {}
    jobs, folders = [], []
    gc.disable()  # nothing of what is made is garbage, and looking for some takes a sixth of the time
    try:
        for number, overrides in enumerate(job_overrides):
            try:
                job, folder = job_and_folder(composer, number, overrides)
                jobs.append(job)
                folders.append(folder)
            except ConfigError as e:
                for problem in e.problems:
                    found.setdefault(problem, []).append(number)
    finally:
        gc.enable()
    every = len(job_overrides)
    if found:
        raise ConfigError(
            problem if len(which) == every else f"{problem} ({named(which, job_overrides)})"
            for problem, which in found.items()
        )
    check_apart(folders, job_overrides)
    check_alike(jobs)
    return Grid(jobs, folders, distinguishing(job_overrides))


def check_apart(folders: Sequence[Path], job_overrides: Sequence[Sequence[str]]) -> None:
    """Raises ConfigError where jobs would write over each other's results."""
    first: dict[Path, int] = {}
    for number, folder in enumerate(folders):
        before = first.setdefault(folder, number)
        if before != number:
            both = named([before, number], job_overrides)
            raise ConfigError(f"hydra.sweep.subdir: {folder} is the folder of more than one job ({both})")


def check_alike(jobs: Sequence[Job]) -> None:
    """Raises ConfigError where jobs differ in what there is once for all of them."""
    problems = []
    for part in COMMON:
        nodes = [job.config[part] for job in jobs]
        for key in dict.fromkeys(key for node in nodes for key in node):
            found = dict.fromkeys(json.dumps(node.get(key)) for node in nodes)
            if len(found) > 1:
                told = ", ".join(found)
                problems.append(f"{part}.{key}: found {told}; all jobs of a sweep have it in common")
                if key == TARGET:  # whose other keys are others
                    break
    if problems:
        raise ConfigError(problems)


def job_and_folder(composer: Composer, number: int, overrides: Sequence[str]) -> tuple[Job, Path]:
    try:
        with composer.job(number, overrides) as composed:
            return job_of(plain(composed.config), overrides, planning=True), composed.folder
    except REFUSALS as e:
        raise ConfigError(one_line(e)) from None


def named(jobs: Sequence[int], job_overrides: Sequence[Sequence[str]]) -> str:
    """The first few jobs in words: by what sets them apart from the others."""
    apart = distinguishing(job_overrides)
    first = "; ".join(f"job {i}: {' '.join(apart[i])}" for i in jobs[:3])
    return first if len(jobs) <= 3 else f"{first}; and {len(jobs) - 3} more"


class Run:
    """A plan in the hands of an engine. written: its file."""

    def __init__(
        self, plan: Plan, grid: Grid, engine: Engine, view: View, settings: Sweep, written: Path
    ) -> None:
        self.plan, self.grid, self.engine, self.view, self.settings = plan, grid, engine, view, settings
        self.written = written
        self.open = {name for name, node in plan.nodes.items() if not node.stored}
        self.lost: set[int] = set()  # jobs of which it was told

    def to_the_end(self) -> None:
        for node in self.plan.nodes.values():
            if node.id in self.open:
                self.engine.submit(node, [name for name in node.after if name in self.open])
        while self.open:
            self.view.going_on(self.engine.running())
            for told in self.engine.ended(LOOK):
                if told.node not in self.open:
                    continue  # given up before
                ending = self.as_it_counts(told)
                self.open.discard(ending.node)
                self.view.ended(self.plan.nodes[ending.node], ending.error is None)
                self.view.warned(told_by(self.written, ending.node).get("warnings", ()))
                if ending.error is None:
                    self.well(ending)
                else:
                    self.ill(ending, ending.error)

    def as_it_counts(self, ending: Ending) -> Ending:
        """Well where the result is written: after that its process only tells a tracker."""
        node = self.plan.nodes[ending.node]
        if ending.error is None or node.kind != "result":
            return ending
        folder = self.grid.folders[node.job]
        if reason_of(folder) != DONE or self.grid.result(node.job) is None:
            return ending
        line = f"{self.view.named([node.job])}: {first_line(ending.error)}, once its result was written"
        self.view.warned([f"{line}; what a tracker lacks of it, `pare track resync {folder}` brings"])
        return Ending(ending.node, None)

    def well(self, ending: Ending) -> None:
        node = self.plan.nodes[ending.node]
        if node.kind == "result":
            result = self.grid.result(node.job)
            if result is None:
                gone = self.grid.folders[node.job] / RESULT
                self.view.failed([node.job], f"{gone} is gone; another process works in that folder")
            else:
                self.view.job_done(node.job, result)

    def ill(self, ending: Ending, error: dict[str, Any]) -> None:
        """Only what needs it is given up."""
        node = self.plan.nodes[ending.node]
        lost = {ending.node, *self.plan.dependants(ending.node)}
        self.view.total -= len(lost & self.open)
        self.open -= lost
        jobs = [
            number
            for number, needed in enumerate(self.plan.needs)
            if number not in self.lost and lost.intersection(needed)
        ]
        if not jobs:
            return  # it was one of several ways, of which another had failed
        self.lost.update(jobs)
        stage = error.get("stage", node.what)
        for number in jobs:
            job = self.grid.jobs[number]
            folder, about = self.grid.folders[number], (job.name, job.key, job.config, job.overrides)
            tell_failure(folder, *about, stage, error)
        line = first_line(error)
        if error["kind"] == "Hopeless":
            self.view.given_up(jobs, line)
            return
        self.view.failed(jobs, line)
        if self.settings.fail_fast:
            never = self.engine.start_no_more() & self.open
            self.view.total -= len(never)
            self.open -= never


def first_line(error: Mapping[str, Any]) -> str:
    return str(error["message"]).strip().splitlines()[0]
