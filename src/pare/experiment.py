"""One job from its config to its result: the whole story on one screen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from pare import report
from pare.auto import Taken, search
from pare.bundle import write_bundle
from pare.cached import read_code
from pare.checkpoint import Checkpoint
from pare.choosing import take_quickest
from pare.comparing import RESAMPLES, difference, draws
from pare.config import Job, job_of
from pare.errors import StageFailed
from pare.evaluation import Evaluation, Home
from pare.pipeline import Pipeline
from pare.provenance import environment
from pare.result import BUNDLE, Result
from pare.rows import write_rows
from pare.status import Note, told
from pare.steps import Step, stage_record
from pare.store import Store
from pare.strategy import devices_of
from pare.targets.answers import warn_of_cut
from pare.tracking.mirroring import mirror
from pare.tracking.record import Made, title_of, write_job


def run(
    config: Mapping[str, Any],
    overrides: Sequence[str],
    folder: Path,
    group: str,
    title: str = "",
    given_up: Sequence[str | None] = (),
) -> Result:
    """Carries the job out and writes config.yaml, status.json, result.json and bundle/ into `folder`.

    group: the sweep's name. title: the job's among the others of its sweep. given_up: of each of its ways
    why it was, where the sweep tried it.
    """
    job = job_of(config, overrides)
    with told(folder, job.name, job.key, job.config, job.overrides) as note:
        result = carry_out(job, folder, group, title, note, given_up)
    report.Terminal().result(result, folder)
    mirror(job.config["tracker"], folder)
    return result


here = cache(environment)


def read_once(job: Job) -> None:
    """What keys and the result say of code and libraries, as they are now, before hours of work."""
    read_code(job.task, job.stages, [way.hardware for way in job.ways])
    here()


def find_once(job: Job) -> None:
    """What jobs like it would each find anew: processes that are forked from this one have it."""
    read_once(job)
    _ = job.task.pairs, job.task.test_rows, job.task.test_texts
    draws(len(job.task.texts("test")), RESAMPLES)


def carry_out(
    job: Job, folder: Path, group: str, title: str, note: Note, given_up: Sequence[str | None]
) -> Result:
    read_once(job)
    torch.set_num_threads(job.threads)  # whatever PyTorch does; not only what trains
    store = Store(job.store)
    show = report.Terminal()
    pipelines = [
        Pipeline(store, job.task, job.seed, way.hardware, show.progress, job.device) for way in job.ways
    ]
    done: list[str] = []

    def on_step(step: Step) -> None:
        done.append(step.name)
        if not step.cached:
            note(done)
        show.step(step)

    pipeline, chosen = choose(job, pipelines, on_step, show, given_up)
    outcome = chosen.outcome
    warn_of_cut(outcome.final, {split: job.task.texts(split) for split in ("dev", "test")})
    graphs = pipeline.baseline_graphs(chosen.strategy, outcome.baseline)
    # compression=auto has just measured what it took, and took it for that
    settings = job.measure if job.auto is None else replace(job.measure, fresh=False)
    measured, baseline_measured, best = pipeline.measure(outcome.final, graphs, settings)
    scores, answers = pipeline.score(outcome.final, "test")
    baseline_scores, baseline_answers = pipeline.score(graphs[best], "test")
    before, after = (job.task.shares("test", found) for found in (baseline_answers, answers))
    split = job.task.test_rows
    records = [stage_record(step) for step in outcome.steps]
    result = Result(
        name=job.name,
        key=job.key,
        overrides=job.overrides,
        seed=job.seed,
        task=job.task.name,
        environment=here() | {"threads": job.threads},
        stages=records,
        primary=job.task.primary,
        scores=scores,
        baseline_scores=baseline_scores,
        measurement=measured,
        baseline_measurement=baseline_measured,
        tried=[trial.as_json() for trial in chosen.tried],
        difference=difference(before, after) if before and after else None,
        split=split,
    )
    about = {"task": job.task.name, "key": job.key, "scores": scores, "stages": [r["kind"] for r in records]}
    evaluation = evaluation_of(job, chosen, graphs, result) if job.contents.evaluation else None
    target = pipeline.fitted(outcome.final)
    write_bundle(folder / BUNDLE, outcome.final, job.task.pairs, about, target, evaluation)
    if before and after:
        write_rows(folder, split, before, after)
    write_for_trackers(folder, group, title or title_of(job.overrides), outcome.steps)
    result.write(folder)
    return result


def write_for_trackers(folder: Path, group: str, title: str, steps: Sequence[Step]) -> None:
    """What `result.json` has no place for; needed by `pare track resync` too, whenever that is."""
    curves = {step.name: history for step in steps if (history := step.checkpoint.history())}
    networks = [
        Made(step.name, step.checkpoint.digest, str(step.checkpoint.path))
        for step in steps
        if step.used and step.checkpoint.format == "torch"
    ]
    write_job(folder, group, title, curves, networks)


def evaluation_of(job: Job, chosen: Taken, graphs: Sequence[Checkpoint], result: Result) -> Evaluation:
    """What it takes to judge and measure the result elsewhere."""
    home = Home(
        name=job.name,
        key=job.key,
        overrides=job.overrides,
        seed=job.seed,
        task=job.task.name,
        threads=job.threads,
        devices=devices_of(chosen.strategy),
        stages=result.stages,
        tried=result.tried,
        config=job.config,
        standard=all(stage.standard for _, stage in chosen.strategy),
    )
    truths = job.task.truths("test")
    return Evaluation(home, job.task.judge(), job.task.texts("test"), truths, graphs)


def choose(
    job: Job,
    pipelines: Sequence[Pipeline],
    on_step: Callable[[Step], None],
    show: report.Terminal,
    given_up: Sequence[str | None],
) -> tuple[Pipeline, Taken]:
    """The strategy carried out; of `compression=auto` and `hardware=auto` what is taken."""
    pipeline = pipelines[0]
    told = (job.finetune, job.measure, on_step, show.trial, job.expect, given_up)
    if job.auto is not None:
        return pipeline, search(job.auto, pipeline, *told, job.left_out)
    if len(pipelines) > 1:
        return take_quickest(job.ways, pipelines, *told)
    if why := next(filter(None, given_up), None):  # by another job, which could do without
        raise StageFailed(why)
    strategy = job.ways[0].strategy
    return pipeline, Taken(strategy, pipeline.execute(job.finetune, strategy, on_step, job.expect), ())
