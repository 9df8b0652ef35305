"""One job from its config to its result: the whole story on one screen."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pare import report
from pare.bundle import write_bundle
from pare.checkpoint import Checkpoint
from pare.comparing import difference
from pare.config import Job, job_of
from pare.files import atomic_write_text, write_json
from pare.pipeline import Pipeline, Step
from pare.provenance import code_digest, digest, environment
from pare.result import BUNDLE, CONFIG, RESULT, STATUS, Result, stage_record
from pare.store import Store
from pare.targets.measuring import Measurement, measure

log = logging.getLogger(__name__)


def run(cfg: DictConfig, overrides: list[str], folder: Path, group: str) -> Result:
    """Carries the job out and writes config.yaml, status.json, result.json and bundle/ into `folder`."""
    job = job_of(cfg, overrides)
    (folder / RESULT).unlink(missing_ok=True)  # of an earlier run in the same folder
    atomic_write_text(folder / CONFIG, report.yaml_of(job.config))
    status: dict[str, Any] = {"state": "running", "job": job.name, "key": job.key, "started": time.time()}
    write_json(folder / STATUS, status)
    try:
        result = carry_out(job, folder, group, status)
    except BaseException as e:
        interrupted = isinstance(e, (KeyboardInterrupt, SystemExit))
        status |= {
            "state": "interrupted" if interrupted else "failed",
            "error": {"kind": type(e).__name__, "message": str(e)},
            "ended": time.time(),
        }
        write_json(folder / STATUS, status)
        raise
    write_json(folder / STATUS, status | {"state": "done", "ended": time.time()})
    return result


def carry_out(job: Job, folder: Path, group: str, status: dict[str, Any]) -> Result:
    store = Store(job.store)
    show = report.Terminal()
    pipeline = Pipeline(store, job.task, job.seed, job.hardware, show.progress)
    records: list[dict[str, Any]] = []
    curves: dict[str, list[dict[str, float]]] = {}

    def on_step(step: Step) -> None:
        records.append(stage_record(step))
        if history := step.checkpoint.history():
            curves[step.name] = history
        write_json(folder / STATUS, status | {"stages": [record["name"] for record in records]})
        show.step(step)

    outcome = pipeline.execute(job.finetune, job.strategy, on_step)
    graphs = pipeline.baseline_graphs(job.strategy, outcome.baseline)
    measured, baseline_measured, best = measurements(job, store, outcome.final, graphs, show)
    scores, answers = pipeline.score(outcome.final, "test")
    baseline_scores, baseline_answers = pipeline.score(graphs[best], "test")
    before, after = (job.task.right("test", found) for found in (baseline_answers, answers))
    result = Result(
        name=job.name,
        key=job.key,
        overrides=job.overrides,
        seed=job.seed,
        task=job.task.name,
        environment=environment() | {"threads": job.finetune.train.threads},
        stages=records,
        primary=job.task.primary,
        scores=scores,
        baseline_scores=baseline_scores,
        measurement=measured,
        baseline_measurement=baseline_measured,
        difference=difference(before, after) if before and after else None,
    )
    about = {"task": job.task.name, "key": job.key, "scores": scores, "stages": [r["kind"] for r in records]}
    write_bundle(folder / BUNDLE, outcome.final, about)
    result.write(folder)
    show.result(result, folder)
    if job.tracker is not None:
        try:
            job.tracker.mirror(result, job.config, curves, group, folder)
        except Exception as e:  # a tracker never fails a job
            log.warning("tracker: %s: %s; the result is in %s", type(e).__name__, e, folder)
    return result


def measurements(
    job: Job, store: Store, final: Checkpoint, graphs: list[Checkpoint], show: "report.Terminal"
) -> tuple[Measurement, Measurement, int]:
    """The final model beside the fastest FP32 graph of the baseline; from the store unless `fresh`."""
    identity = {
        "candidate": final.digest,
        "baselines": [graph.digest for graph in graphs],
        "data": job.task.fingerprint(),
        "hardware": job.hardware,
        "fingerprint": job.hardware.fingerprint(),
        "settings": asdict(job.measure),
        "code": [code_digest("pare.targets.measuring"), code_digest("pare.targets.arm")],
        "taken": time.time_ns() if job.measure.fresh else None,
    }

    def write(folder: Path) -> Mapping[str, Any]:
        texts = job.task.texts("test")
        found = measure(final, graphs, texts, job.hardware, job.measure, show.progress)
        value = {"candidate": found[0].as_json(), "baseline": found[1].as_json(), "best": found[2]}
        write_json(folder / "measurement.json", value)
        return {"hardware": job.hardware.name}

    entry, _ = store.produce(digest(identity), "measurement", write)
    value = json.loads((entry.path / "measurement.json").read_text(encoding="utf-8"))
    return (
        Measurement.from_json(value["candidate"]),
        Measurement.from_json(value["baseline"]),
        int(value["best"]),
    )
