"""What is made of a task on a target: from the store, or computed and kept there."""

import gc
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from inspect import getmro
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeGuard

import torch

from pare.checkpoint import Checkpoint, Format
from pare.effort import measuring_effort, score_effort, stage_effort
from pare.errors import ConfigError, StageFailed
from pare.files import write_json
from pare.machine import cpu, driver, gpu, torch_finds_a_gpu
from pare.parallel import helpers
from pare.progress import Progress, silent
from pare.provenance import code_digest, digest, versions
from pare.stages.export import Export
from pare.stages.stage import Context, Stage
from pare.steps import Scores
from pare.store import Entry, Store
from pare.strategy import Strategy
from pare.targets.answers import answers_of, counted
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure, Measurement
from pare.targets.measuring import latencies_ms, measure
from pare.targets.scoring import runner
from pare.tasks.task import Split, Task
from pare.training import Device

SCORES, MEASUREMENT = "scores.json", "measurement.json"
#: the modules by which checkpoints are scored, and measured
SCORING = "pare.targets.scoring"
MEASURING = ("pare.targets.measuring", "pare.targets.arm", "pare.targets.peak")


def code_of(value: Any) -> list[str]:
    """The modules of a value's class, of what that inherits from, and of the objects in it."""
    own: list[str] = []
    parts: Iterable[Any] = ()
    if is_dataclass(value):
        own = [ancestor.__module__ for ancestor in getmro(type(value)) if is_dataclass(ancestor)]
        parts = [getattr(value, f.name) for f in fields(value)]
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, tuple):
        parts = value
    return sorted({*own, *(module for part in parts for module in code_of(part))})


def read_code(task: Task, stages: Iterable[Stage], targets: Iterable[Hardware]) -> None:
    """The code and versions that keys name, read once: what is edited or installed later is not what runs."""
    every: list[Stage] = [Export(), *stages]
    every += [stage.escalation for stage in every if stage.escalation is not None]
    for module in (SCORING, *MEASURING, *code_of((task, *every))):
        code_digest(module)
    libraries = [part.packages for part in every] + [target.packages for target in targets]
    versions(["torch", *chain.from_iterable(libraries)])


def is_decided_by_measuring(stage: Stage) -> TypeGuard[Export]:
    """Whether what the stage makes follows from what is quicker on the target."""
    return isinstance(stage, Export) and stage.lowering == "fastest"


class Cached:
    """Checkpoints, scores and measurements for one task, seed and target, through one store.

    device: where networks are trained, and scored.
    """

    def __init__(
        self,
        store: Store,
        task: Task,
        seed: int,
        hardware: Hardware,
        progress: Progress,
        device: Device = "auto",
    ) -> None:
        self.store, self.task, self.seed = store, task, seed
        self.hardware, self.progress = hardware, progress
        self.device = device

    def produce(self, stage: Stage, sources: Mapping[str, Checkpoint]) -> tuple[Entry, bool]:
        """The stage's checkpoint, from the store if it holds one for the same inputs."""
        key = self.key(stage, {role: checkpoint.digest for role, checkpoint in sources.items()})

        def write(folder: Path) -> Mapping[str, Any]:
            began = time.perf_counter()
            scratch = self.store.scratch(key)
            context = Context(self.task, self.seed, folder, self.progress, scratch, self.networks_on)
            beside = replace(context, progress=silent)
            try:
                with helpers(stage.processes(), run_beside, stage, sources, beside):
                    stage.run(sources, context)
            except ConfigError as e:
                if not sources:  # nothing was computed so far, which is what the exit code says
                    raise
                raise StageFailed("; ".join(e.problems)) from e
            lineage = {role: checkpoint.digest for role, checkpoint in sources.items()}
            seconds = round(time.perf_counter() - began, 3)
            effort = stage_effort(stage, self.task, {role: self.effort(one) for role, one in sources.items()})
            told = {"stage": stage.kind, "inputs": lineage, "seed": self.seed}
            return {**told, "seconds": seconds, "effort": effort}

        return self.store.produce(key, "checkpoint", leaving_gpu(write))

    def key(self, stage: Stage, inputs: Mapping[str, str]) -> str:
        """Names what a stage makes of its inputs, by what stands for them: their digests, in the store."""
        alone = replace(stage, gate=None, escalation=None)  # which decide what comes of it, not what it is
        return digest(
            {
                "stage": alone,
                "sources": stage.sources(),
                "inputs": inputs,
                "task": self.task_identity("train", "dev", "unlabelled"),
                "seed": self.seed,
                "code": {module: code_digest(module) for module in code_of(alone)},
                "versions": versions(stage.packages),
            }
        )

    @property
    def networks_on(self) -> Literal["cpu", "cuda"]:
        """The device that scores them."""
        return "cuda" if self.device != "cpu" and torch_finds_a_gpu() else "cpu"

    def effort(self, checkpoint: Checkpoint) -> str | None:
        """Of the stage that made it, and all before."""
        entry = self.store.peek(checkpoint.path.name)
        found = None if entry is None else entry.meta.get("effort")
        return None if found is None else str(found)

    def score(self, checkpoint: Checkpoint, split: Split) -> tuple[Scores, list[dict[str, Any]]]:
        """Metrics and answers on a split, in the target's runtime; kept in the store too."""

        def write(folder: Path) -> Mapping[str, Any]:
            began = time.perf_counter()
            texts = self.task.texts(split)
            target = self.fitted(checkpoint)  # nothing is timed here: as many threads as may be used
            target = replace(target, threads=max(target.threads, torch.get_num_threads()))
            run = runner(checkpoint, target, self.networks_on)
            with self.progress(f"scoring on {split}", len(texts)) as advance:
                answers = answers_of(checkpoint, texts, counted(run, advance))
            write_json(folder / SCORES, {"scores": self.task.score(split, answers), "answers": answers})
            seconds = round(time.perf_counter() - began, 3)
            made = self.effort(checkpoint)
            effort = score_effort(made, checkpoint.format, self.task, split, self.hardware)
            told = {"checkpoint": checkpoint.digest, "split": split}
            return {**told, "seconds": seconds, "effort": effort}

        key = self.score_key(checkpoint.digest, checkpoint.format, split)
        entry, _ = self.store.produce(key, "scores", leaving_gpu(write))
        found = json.loads((entry.path / SCORES).read_text(encoding="utf-8"))
        return found["scores"], found["answers"]

    def score_key(self, checkpoint: str, format_: Format, split: Split) -> str:
        """checkpoint: its digest. Another chip rounds in another way, INT8 most of all."""
        target, here = self.hardware, format_ != self.hardware.runs
        device = self.networks_on if here else target.device
        card = gpu() if device == "cuda" else None
        return digest(
            {
                "checkpoint": checkpoint,
                "split": split,
                "task": self.task_identity("train", split),  # train: whose lengths TensorRT is told
                "device": device,
                "chip": [cpu()] if device == "cpu" else [card and card[0], driver()],
                "engine": "torch" if here else target.engine,
                "code": code_digest(SCORING),
                "versions": versions(("torch",) if here else target.packages),
            }
        )

    def scored(self, checkpoint: str, format_: Format, split: Split) -> bool:
        """Whether the store has these scores."""
        return self.store.peek(self.score_key(checkpoint, format_, split)) is not None

    def measure(
        self, final: Checkpoint, graphs: Sequence[Checkpoint], settings: Measure
    ) -> tuple[Measurement, Measurement, int]:
        """`final` beside the fastest of the baseline's `graphs`; from the store unless `fresh`."""

        def take() -> dict[str, Any]:
            first, *others = ((graph, self.fitted(graph)) for graph in (final, *graphs))
            texts = self.task.texts("test")
            candidate, baseline, best = measure(first, others, texts, settings, self.progress)
            return {"candidate": candidate.as_json(), "baseline": baseline.as_json(), "best": best}

        what = self.what_is_measured(final.digest, [graph.digest for graph in graphs])
        effort = measuring_effort(self.effort(final), self.hardware, settings)
        value = self.measured(what, settings, take, effort)
        candidate, baseline = (Measurement.from_json(value[key]) for key in ("candidate", "baseline"))
        return candidate, baseline, int(value["best"])

    def has_measured(self, final: str, graphs: Sequence[str], settings: Measure) -> bool:
        """Whether the store has this measurement, whole, and that will do. final, graphs: their digests."""
        key = self.measured_key(self.what_is_measured(final, graphs), settings)
        return not settings.fresh and self.store.get(key) is not None

    def what_is_measured(self, final: str, graphs: Sequence[str]) -> dict[str, Any]:
        return {
            "candidate": final,
            "baselines": list(graphs),
            "hardware": self.hardware,
            "fingerprint": self.hardware.fingerprint(),
        }

    def measured_key(self, what: Mapping[str, Any], settings: Measure) -> str:
        return digest(
            {
                **what,
                "texts": [self.task.test_texts, self.task.fingerprint("train")],  # train: as for scores
                "settings": asdict(replace(settings, fresh=False)),
                "code": [code_digest(module) for module in MEASURING],
            }
        )

    def quickest(self, finals: Sequence[tuple[Checkpoint, Hardware]], settings: Measure) -> list[float]:
        """Milliseconds of a call of each, all measured together; from the store unless `fresh`."""
        what = {"choice": [[final.digest, target, target.fingerprint()] for final, target in finals]}

        def take() -> dict[str, Any]:
            fitted = [(final, self.fitted(final, target)) for final, target in finals]
            return {"latency_ms": latencies_ms(fitted, self.task.texts("test"), settings, self.progress)}

        found: list[float] = self.measured(what, settings, take)["latency_ms"]
        return found

    def measured(
        self,
        what: Mapping[str, Any],
        settings: Measure,
        take: Callable[[], dict[str, Any]],
        effort: str | None = None,
    ) -> dict[str, Any]:
        """What `take` finds of `what`, as JSON; kept in the store, with `fresh` in place of what is there."""

        def write(folder: Path) -> Mapping[str, Any]:
            began = time.perf_counter()
            write_json(folder / MEASUREMENT, take())
            seconds = round(time.perf_counter() - began, 3)
            return {"hardware": self.hardware.name, "seconds": seconds, "effort": effort}

        key = self.measured_key(what, settings)
        entry, _ = self.store.produce(key, "measurement", write, anew=settings.fresh)
        found: dict[str, Any] = json.loads((entry.path / MEASUREMENT).read_text(encoding="utf-8"))
        return found

    def fitted(self, checkpoint: Checkpoint, target: Hardware | None = None) -> Hardware:
        """A target, this one if not given, with what its compiler has to know of the task's texts."""
        target = target or self.hardware
        texts, rows = self.task.texts("train"), self.task.fingerprint("train")
        return target.fitted(checkpoint, texts, self.store.root / "cache", rows)

    def task_identity(self, *splits: Split) -> dict[str, Any]:
        """Which rows, settings and code of the task make what is made of these splits."""
        code = {module: code_digest(module) for module in code_of(self.task)}
        rows = {split: self.task.fingerprint(split) for split in splits}
        return {**self.task.identity(), "rows": rows, "code": code}

    def baseline_graphs(self, strategy: Strategy, baseline: Checkpoint) -> list[Checkpoint]:
        """The fine-tuned model in the target's runtime, in every lowering: the fastest is the baseline."""
        entries = [self.produce(export, {"model": baseline})[0] for export in self.baseline_exports(strategy)]
        return [Checkpoint(entry.path, entry.digest) for entry in entries]

    def baseline_exports(self, strategy: Strategy) -> tuple[Export, ...]:
        """Every way to write the fine-tuned model for the target's runtime."""
        export = next((stage for _, stage in strategy if isinstance(stage, Export)), Export())
        plain = replace(export, lowering="plain", precision="fp32", gate=None)
        return (plain,) if self.hardware.standard_operators else (replace(plain, lowering="fused"), plain)


def leaving_gpu(write: Callable[[Path], Mapping[str, Any]]) -> Callable[[Path], Mapping[str, Any]]:
    """Gives the memory of the GPU that it used to the processes that are measured next."""

    def then(folder: Path) -> Mapping[str, Any]:
        try:
            return write(folder)
        finally:
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                gc.collect()
                torch.cuda.empty_cache()

    return then


def run_beside(stage: Stage, sources: Mapping[str, Checkpoint], context: Context) -> None:
    """The stage in a process beside the one whose output counts."""
    with TemporaryDirectory() as folder:
        stage.run(sources, replace(context, output=Path(folder)))
