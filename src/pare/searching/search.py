"""A search: batches of trials, each a sweep whose jobs are chosen by what came of those before.

What is chosen by are scores on dev and what was measured on the target; test is told, and never looked at.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import pare
from pare.aims import SCORED, Search
from pare.build import build
from pare.cached import Cached
from pare.config import Job
from pare.errors import ConfigError, SweepFailed
from pare.files import make_writable
from pare.progress import silent
from pare.provenance import HOW, digest, environment, file_digest
from pare.searching.again import again
from pare.searching.asked import Asked, Found, outcome
from pare.searching.choices import space_of
from pare.searching.findings import limits_of, tell_findings
from pare.searching.halving import promoted
from pare.searching.space import Point, Space, typed
from pare.store import Store
from pare.study.reporting import after_search
from pare.sweeps.composing import Composer
from pare.sweeps.sweep import Grid, carry_out, check_apart, job_and_folder, planned, sole
from pare.tracking.mirroring import mirror
from pare.tracking.record import is_study

try:
    from pare.searching.trials import Trials, forgotten, opened
except ModuleNotFoundError as e:
    raise ConfigError(f"sweep.search: {e.name} is not installed (pip install -e '.[search]')") from None

#: keys that change neither what a trial comes to nor what that is compared with
BESIDE = (*HOW, "name", "bundle", "hydra")


def search(loader: Any, master: DictConfig, arguments: Sequence[str]) -> list[Any]:
    """arguments: the space, and what is the same in all trials; later ones win."""
    problems: list[str] = []
    node = master.sweep.search
    if not isinstance(node, DictConfig):
        raise ConfigError(
            f"sweep.search: found {node!r}; settings, as sweep=search has them, or null are needed"
        )
    settings = build(OmegaConf.to_container(node, resolve=True), "sweep.search", problems, Search)
    if problems:
        raise ConfigError(problems)
    fixed, space = space_of(loader, master, arguments, settings)
    folder = Path(str(master.hydra.sweep.dir)).absolute()
    seeker = Seeker(Composer(loader, master), folder, fixed, space, settings)
    first = forgotten(settings, space).batch()
    jobs, wrong = seeker.composed(first, 0)
    if not jobs:
        raise ConfigError(dict.fromkeys(problem for one in wrong.values() for problem in one))
    number, (job, _) = next(iter(jobs.items()))
    one = next(one for one in first if one.number == number)
    for rung in range(1, settings.heights):  # or the search would find out after hours
        _, there = seeker.composed([one], rung)
        if there:
            raise ConfigError(f"{problem} (rung {rung})" for problem in there[number])
    once = {str(one.point): jobs[one.number] for one in first if one.number in jobs}.values()
    check_apart([place for _, place in once], [job.overrides for job, _ in once])
    if job.sweep.dry_run:
        grid = grid_of(seeker, first, jobs, 0)
        planned(grid, "trial", list(jobs))
        for number, apart in zip(jobs, grid.apart, strict=True):
            print(f"trial {number}: {' '.join(apart)}")
        higher = [seeker.composed(first, rung)[1] for rung in range(1, settings.heights)]
        if told := mistakes([wrong, *higher]):
            raise ConfigError(told)
        return []
    identity = identity_of(master, job, space, settings)
    file = job.store / "searches" / f"{identity[:16]}.journal"
    if settings.storage:
        file = Path(settings.storage).expanduser().absolute()
        make_writable(file.parent, "sweep.search.storage")
    make_writable(folder, "hydra.sweep.dir")
    with opened(file, settings, space, identity) as trials, sole(folder, job.store):
        try:
            seeker.to_the_end(trials)
        finally:
            print(f"storage {file}")
            if is_study(seeker.folder):  # nothing ran where all had been tried before
                after_search(seeker.folder)
                mirror(job.config["tracker"], seeker.folder)
    return []


def mistakes(rungs: Sequence[Mapping[int, Sequence[str]]]) -> list[str]:
    """What is wrong with trials, each thing once. rungs: on each, by number."""
    found: dict[str, set[int]] = {}
    for wrong in rungs:
        for number, problems in wrong.items():
            for problem in problems:
                found.setdefault(problem, set()).add(number)
    return [f"{problem} ({numbered(sorted(who))})" for problem, who in found.items()]


def numbered(who: Sequence[int]) -> str:
    """The first few of these trials."""
    more = f" and {len(who) - 3} more" if len(who) > 3 else ""
    return f"trial{'s' if len(who) > 1 else ''} {', '.join(map(str, who[:3]))}{more}"


def identity_of(master: DictConfig, job: Job, space: Space, settings: Search) -> str:
    """Of what is searched: trials of other data, code, hardware or settings cannot be compared.

    How many trials there are to be does not belong to it, so that more can be asked for.
    """
    config = OmegaConf.to_container(master, resolve=False)
    assert isinstance(config, dict)
    cached = Cached(Store(job.store), job.task, job.seed, job.hardware, silent)
    return digest(
        {
            "search": replace(settings, trials=1, storage=None),
            "objectives": list(settings.directions.items()),  # in order, as a trial's values are kept
            "space": [(key, str(dimension)) for key, dimension in space.dimensions.items()],  # a grid's order
            "config": {str(key): value for key, value in config.items() if key not in BESIDE},
            "files": config_files(master),
            "stages": [cached.key(stage, {}) for stage in job.stages],  # with weights, data and threads
            "hardware": job.hardware.fingerprint(),
            "code": [file_digest(file) for file in sorted(Path(pare.__file__).parent.rglob("*.py"))],
            "packages": environment()["packages"],
        }
    )


def config_files(master: DictConfig) -> list[tuple[str, str]]:
    """All files that a trial's config may be composed of, and what is in them."""
    groups = {re.split("[/@]", group)[0] for group in master.hydra.runtime.choices} - {*BESIDE}
    roots = [Path(one.path) for one in master.hydra.runtime.config_sources if one.schema == "file"]
    files = {
        (str(file.relative_to(root)), file_digest(file))
        for root in roots
        for group in groups
        for file in (root / group).rglob("*.yaml")
    }
    return sorted(files)


class Seeker:
    """fixed: overrides that all trials have in common."""

    def __init__(
        self, composer: Composer, folder: Path, fixed: Sequence[str], space: Space, settings: Search
    ) -> None:
        self.composer, self.folder, self.fixed = composer, folder, fixed
        self.space, self.settings = space, settings

    def to_the_end(self, trials: Trials) -> None:
        """However it goes, says what was found by then."""
        try:
            while batch := trials.batch():
                print("trials", ", ".join(str(one.number) for one in batch), flush=True)
                if open_ones := self.carried_out(trials, batch):
                    raise SweepFailed(
                        f"{len(open_ones)} trials did not end; the same command goes on with them"
                    )
        finally:
            tell_findings(self.folder, self.settings, trials.all(), trials.front(), self.command)
        told = trials.all()
        if failed := [one.found for one in told if one.found and one.found.state == "failed"]:
            passing = sum(found.passing for found in failed)
            more = f"; the same command tries {passing} of them again" if passing else ""
            raise SweepFailed(f"{len(failed)} of {len(told)} trials failed{more}")
        if not trials.front():
            kept = limits_of(self.settings)
            raise SweepFailed(f"none of {len(told)} trials {f'keeps {kept}' if kept else 'ended well'}")

    def carried_out(self, trials: Trials, batch: Sequence[Asked]) -> list[Asked]:
        """One batch up all rungs; those that did not end. What was tried before is not tried again."""
        known = {str(one.point): one.found for one in trials.all() if one.found}
        climbing = list(
            {str(one.point): one for one in reversed(batch) if str(one.point) not in known}.values()
        )
        for rung in range(self.settings.heights):
            climbing = self.climbed(trials, climbing, rung)
        ended = {str(one.point): one.found for one in trials.all() if one.found}
        left = [one for one in trials.all() if not one.found]
        for one in left:
            if found := ended.get(str(one.point)):
                trials.tell(one, found)
        return [one for one in left if str(one.point) not in ended]

    def climbed(self, trials: Trials, climbing: Sequence[Asked], rung: int) -> list[Asked]:
        """Those that go on to the next rung."""
        is_last = rung == self.settings.heights - 1
        found = self.run([one for one in climbing if len(one.rungs) <= rung], rung)
        up = [one for one in climbing if len(one.rungs) > rung]  # before a kill
        for one in climbing:
            if (came := found.get(one.number)) is None:
                continue
            if came.state == "complete" and not is_last:
                up.append(trials.climbed(one, came))
            else:
                trials.tell(one, came)
        if is_last:
            return []
        pool = {one.number: one.rungs[rung] for one in trials.all() if len(one.rungs) > rung}
        best = promoted(self.settings, pool) if pool else set()
        for one in up:
            if one.number not in best:
                why = f"rung {rung}: not among the best {len(best)} of {len(pool)}"
                measured = {name: value for name, value in pool[one.number].items() if name not in SCORED}
                trials.tell(one, Found("pruned", why, measured))  # more training may mend a score, not a size
                print(f"trial {one.number}: given up, {why}", flush=True)
        return [one for one in up if one.number in best]

    def run(self, asked: Sequence[Asked], rung: int) -> dict[int, Found]:
        """What came of the jobs of these trials on a rung, by number; nothing of those that did not end."""
        jobs, wrong = self.composed(asked, rung)
        found: dict[int, Found] = {}
        for number, problems in wrong.items():
            found[number] = Found("failed", "; ".join(problems))
            print(f"error: {found[number].why} (trial {number})", file=sys.stderr, flush=True)
        if not jobs:
            return found
        grid = grid_of(self, asked, jobs, rung)
        plan, view = planned(grid, "trial", list(jobs))
        carry_out(self.folder, grid, plan, view)
        for number, result, folder in zip(jobs, grid.results(), grid.folders, strict=True):
            if (came := outcome(self.settings, result, folder)) is not None:
                found[number] = came
        return found

    def composed(
        self, asked: Sequence[Asked], rung: int
    ) -> tuple[dict[int, tuple[Job, Path]], dict[int, tuple[str, ...]]]:
        """By number: those that can be run, and what is wrong with the others."""
        jobs, wrong = {}, {}
        for one in sorted(asked, key=lambda one: one.number):
            try:
                overrides = self.overrides(one.point, rung)
                jobs[one.number] = job_and_folder(self.composer, one.number, overrides)
            except ConfigError as e:
                wrong[one.number] = e.problems
        return jobs, wrong

    def chosen(self, point: Point, rung: int) -> list[str]:
        """What is a trial's own there."""
        cut = {
            key: typed(values[rung])
            for key, values in self.settings.rungs.items()
            if self.space.is_there(key, point)
        }
        return [f"{key}={value}" for key, value in {**point, **cut}.items()]

    def overrides(self, point: Point, rung: int) -> list[str]:
        is_last = rung == self.settings.heights - 1
        # what was taught for a short time has not shown yet what it loses
        slack = [] if is_last else ["++sweep.search.slack=null"]
        return [*self.fixed, *self.chosen(point, rung), *slack]

    def command(self, one: Asked) -> str:
        """What makes the whole trial again, alone."""
        return again(self.composer, one.number, self.overrides(one.point, self.settings.heights - 1))


def grid_of(seeker: Seeker, asked: Sequence[Asked], jobs: Mapping[int, tuple[Job, Path]], rung: int) -> Grid:
    points = {one.number: one.point for one in asked}
    apart = [seeker.chosen(points[number], rung) for number in jobs]
    return Grid([job for job, _ in jobs.values()], [folder for _, folder in jobs.values()], apart)
