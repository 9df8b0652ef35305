"""From a config to the objects of a job, every mistake at once."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pare.auto import Auto
from pare.build import build
from pare.bundle import Contents
from pare.composition import key_of, parts, told_once
from pare.encoders.model import Model
from pare.errors import ConfigError, TargetError
from pare.pipeline import Expect
from pare.stages.finetune import Finetune
from pare.stages.stage import Gate, Stage
from pare.store import Store
from pare.strategy import Strategy, doubts, emulated
from pare.sweep import EngineSettings, Sweep
from pare.targets.hardware import Automatic, Hardware
from pare.targets.measurement import Measure
from pare.tasks.task import Task
from pare.tracking.tracker import Tracker
from pare.training import Device, Training
from pare.ways import Way, able, ways

log = logging.getLogger(__name__)

TOP_LEVEL = (
    "name",
    "seed",
    "task",
    "model",
    "train",
    "expect",
    "compression",
    "hardware",
    "measure",
    "bundle",
    "store",
    "tracker",
    "sweep",
    "engine",
)
CANDIDATES = "compression.auto.candidates"
SEEDS = 2**63  # what PyTorch takes


@dataclass(frozen=True)
class Job:
    """One run, ready to go."""

    name: str
    key: str
    seed: int
    task: Task
    finetune: Finetune
    auto: Auto | None
    left_out: Mapping[str, str]  # candidates of `auto` that the target cannot run, and why
    expect: Expect | None
    hardware: Hardware
    ways: Sequence[Way]  # strategies and targets to choose from; most jobs have one
    measure: Measure
    contents: Contents  # of the bundle
    tracker: Tracker | None
    sweep: Sweep
    engine: EngineSettings
    store: Path
    config: Mapping[str, Any]
    overrides: Sequence[str]

    @property
    def threads(self) -> int:
        """Of what is computed, scores among it; a target has its own."""
        return self.finetune.train.threads

    @property
    def device(self) -> Device:
        """Of what is trained, and of what scores it."""
        return self.finetune.train.device

    @property
    def stages(self) -> list[Stage]:
        """Of all its ways."""
        return [self.finetune, *(stage for way in self.ways for _, stage in way.strategy)]

    @property
    def trainings(self) -> list[Training]:
        """Of every stage that trains, or may have to once a gate has failed."""
        stages = self.stages
        stages += [dearer for stage in stages if (dearer := stage.dearer)]
        return [train for stage in stages if isinstance(train := getattr(stage, "train", None), Training)]


def job_of(config: Mapping[str, Any], overrides: Sequence[str], planning: bool = False) -> Job:
    """Builds and checks everything a job needs; raises ConfigError with every problem found.

    planning: stages run elsewhere if its engine says so, and what this machine lacks is no problem then.
    """
    problems = [
        f"{key}: no such key; there are {', '.join(TOP_LEVEL)}" for key in config if key not in TOP_LEVEL
    ]
    problems += [f"{key}: missing; a config needs all of {', '.join(TOP_LEVEL)}" for key in absent(config)]

    def built(node: Any, key: str, expected: Any) -> Any:
        found, mistakes = built_once(json.dumps(node), key, expected)
        problems.extend(mistakes)
        return found

    def part(key: str, expected: Any) -> Any:
        return built(config[key], key, expected) if key in config else None

    seed = config.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
        problems.append(f"seed: found {seed!r}; a whole number is needed, from 0 to 2^63 - 1")
    task = part("task", Task)
    part("model", Model)
    part("train", Training)
    expect = part("expect", Expect | None)
    compression = dict(config.get("compression") or {})
    automatic = compression.pop("auto", None)
    auto = None if automatic is None else built(automatic, "compression.auto", Auto)
    strategy = [(name, built(node, f"compression.{name}", Stage)) for name, node in compression.items()]
    if auto is not None and strategy:
        problems.append(f"compression.auto: chooses the whole strategy; drop {', '.join(compression)}")
    hardware = part("hardware", Hardware)
    measure = part("measure", Measure)
    contents = part("bundle", Contents)
    tracker = part("tracker", Tracker | None)
    sweep = part("sweep", Sweep)
    engine = part("engine", EngineSettings)
    root = store_root(config["store"], problems) if "store" in config else Path()
    if problems:
        raise ConfigError(told_once(problems))
    both = {"model": config["model"], "train": config["train"]}
    finetune = built({"_target_": "pare.stages.finetune.Finetune", **both}, "", Finetune)
    strategies: dict[str, Strategy] = {"compression": strategy}
    left_out: Mapping[str, str] = {}
    if auto is not None:
        if isinstance(hardware, Automatic):
            problems.append("compression.auto: measures on one runtime; hardware=auto leaves that open")
        else:
            auto, left_out = runnable(auto, hardware)
        strategies = {f"{CANDIDATES}.{n}": s for n, s in auto.strategies().items() if n not in left_out}
        if not strategies:
            problems += [f"{CANDIDATES}.{name}: {why}" for name, why in left_out.items()]
    parts = [(task,), (hardware,), (finetune, "model"), *([] if tracker is None else [(tracker,)])]
    model = finetune.model if complaint(finetune, "model") is None else None
    open_ways = _checked(parts, strategies, hardware, model, engine.elsewhere, planning, problems)
    if not (engine.elsewhere and planning):
        say_doubts(strategies, hardware, auto)
    timed = min(len(task.texts("test")), measure.texts)
    longest = finetune.model.longest
    wrong = unknown_metrics(task, expect, strategies)
    wrong += hardware.misfits(timed, [longest], min(task.max_length, longest or task.max_length))
    wrong += misfits(task, finetune, strategies)
    if wrong:
        raise ConfigError(wrong)
    return Job(
        name=str(config["name"]),
        key=key_of(config),
        seed=seed,
        task=task,
        finetune=finetune,
        auto=auto,
        left_out=left_out,
        expect=expect,
        hardware=hardware,
        ways=open_ways,
        measure=measure,
        contents=contents,
        tracker=tracker,
        sweep=sweep,
        engine=engine,
        store=root,
        config=config,
        overrides=[o for o in overrides if not o.startswith("hydra")],
    )


@cache
def built_once(node: str, key: str, expected: Any) -> tuple[Any, tuple[str, ...]]:
    """(what it describes, mistakes): one object for equal parts of many jobs, whose data is read once."""
    problems: list[str] = []
    return build(json.loads(node), key, problems, expected), tuple(problems)


#: what a part's check found, by its id and setting: `built_once` keeps the part
_complaints: dict[tuple[int, tuple[str, ...]], ConfigError | None] = {}


def complaint(part: Any, *setting: str) -> ConfigError | None:
    """What its check finds; asked once."""
    key = (id(part), setting)
    if key not in _complaints:
        try:
            part.check(*setting)
            _complaints[key] = None
        except ConfigError as e:
            _complaints[key] = e
    return _complaints[key]


def _checked(
    parts: Sequence[tuple[Any, ...]],
    strategies: Mapping[str, Strategy],
    hardware: Hardware,
    model: Model | None,
    elsewhere: bool,
    planning: bool,
    problems: list[str],
) -> Sequence[Way]:
    """All ways there are, once nothing is known that must make the job fail.

    model: None where something is wrong with it. elsewhere: they are numbered alike on all machines,
    whatever one lacks of what a way needs.
    """
    unseen = elsewhere and planning
    every: list[Way] = []
    for where, stages in strategies.items():
        found, impossible = ways(stages, hardware, where, elsewhere, model)
        every += found
        problems += [] if found else [line for line in impossible if line not in problems]
        parts = [
            *parts,
            *((stage, f"{where}.{name}") for name, stage in stages),
            *((stage.dearer, f"{where}.{name}.escalation") for name, stage in stages if stage.dearer),
        ]
    for part, *setting in parts:
        wrong = complaint(part, *setting)
        if wrong is not None and not (unseen and isinstance(wrong, TargetError)):
            problems += wrong.problems
    if problems:
        raise ConfigError(told_once(problems))
    return every


def say_doubts(strategies: Mapping[str, Strategy], hardware: Hardware, auto: Auto | None) -> None:
    for where, stages in strategies.items():
        if auto is None or auto.has_budget or not emulated(stages, hardware):  # else it says so itself
            for doubt in doubts(stages, hardware, where):
                say_once(doubt)


#: by the ids of both, which `built_once` keeps: what is made of them has to stay, too, for `complaint`
_runnable: dict[tuple[int, int], tuple[Auto, Mapping[str, str]]] = {}


def runnable(auto: Auto, hardware: Hardware) -> tuple[Auto, Mapping[str, str]]:
    """It with those candidates that the target can run, or as it is; and why it cannot run the others."""
    key = (id(auto), id(hardware))
    if key not in _runnable:
        found, left_out = able(auto.strategies(), hardware, CANDIDATES)
        candidates = {name: dict(stages) for name, stages in found.items()}
        _runnable[key] = (replace(auto, candidates=candidates) if found else auto), left_out
    return _runnable[key]


def unknown_metrics(task: Task, expect: Expect | None, strategies: Mapping[str, Strategy]) -> list[str]:
    """One line for each metric that is asked for and that the task does not have."""
    asked: list[tuple[str, Expect | Gate | None]] = [("expect", expect)]
    for where, stages in strategies.items():
        asked += [(f"{where}.{name}.gate", stage.gate) for name, stage in stages]
    named = {key: one.metric for key, one in asked if one is not None and one.metric is not None}
    known = task.metrics() if named else []
    return [
        f"{key}.metric: no {metric!r}; the task has {known}"
        for key, metric in named.items()
        if metric not in known
    ]


def misfits(task: Task, finetune: Finetune, strategies: Mapping[str, Strategy]) -> list[str]:
    """One line for each setting of a stage that does nothing for this task."""
    found = finetune.misfits(task, "")
    for where, stages in strategies.items():
        for name, stage in stages:
            found += stage.misfits(task, f"{where}.{name}")
            if stage.escalation is not None:
                found += stage.escalation.misfits(task, f"{where}.{name}.escalation")
    return found


def task_and_model(overrides: Sequence[str]) -> tuple[Task, Model]:
    """What a command line composes, of what needs no strategy or target."""
    config = parts(overrides, "task", "model")
    problems: list[str] = []
    task = build(config["task"], "task", problems, Task)
    model = build(config["model"], "model", problems, Model)
    if problems:
        raise ConfigError(problems)
    model.check("model")
    return task, model


@cache
def say_once(line: str) -> None:
    """A warning, which a sweep of many jobs repeats for none of them."""
    log.warning("%s", line)


def absent(config: Mapping[str, Any]) -> list[str]:
    return [key for key in TOP_LEVEL if key not in config]


def store_root(node: Any, problems: list[str]) -> Path:
    """The store's folder, made absolute; must be writable."""
    if not isinstance(node, Mapping) or not isinstance(node.get("root"), str) or set(node) != {"root"}:
        problems.append(f"store: found {node!r}; one key, root, with a folder is needed")
        return Path()
    if not node["root"]:  # which would be the current folder
        problems.append("store.root: found nothing; a folder is needed")
        return Path()
    root = Path(node["root"]).expanduser().absolute()
    try:
        Store(root).check_writable()
    except ConfigError as e:
        problems += [f"store.root: {line}" for line in e.problems]
    return root
