"""The only reader of Hydra configs: from what was composed to the objects of a job, every mistake at once."""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pare.build import build
from pare.errors import ConfigError
from pare.provenance import HOW, digest

if TYPE_CHECKING:  # these import torch, which must wait until Hydra has parsed the command line
    from pare.bundle import Contents
    from pare.encoders.model import Model
    from pare.pipeline import Expect
    from pare.search import Auto
    from pare.stages.finetune import Finetune
    from pare.strategy import Strategy
    from pare.sweep import EngineSettings, Sweep
    from pare.targets.hardware import Hardware
    from pare.targets.measurement import Measure
    from pare.tasks.task import Task
    from pare.tracking.tracker import Tracker
    from pare.ways import Way

log = logging.getLogger(__name__)

TOKEN = secrets.token_hex(2)  # two sweeps started in the same second get different folders
OmegaConf.register_new_resolver("pare.token", lambda: TOKEN, replace=True)

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
SEEDS = 2**63  # what PyTorch takes
MOVABLE = ("hardware", "measure")  # what `pare evaluate` may choose anew
WHOLE = ("experiment", "sweep")  # groups whose files may set any key
UNTRACKED = (*HOW, "name", "measure", "bundle", "expect")  # what does not change the result


@dataclass(frozen=True)
class Job:
    """One run, ready to go."""

    name: str
    key: str
    seed: int
    task: "Task"
    finetune: "Finetune"
    auto: "Auto | None"
    expect: "Expect | None"
    hardware: "Hardware"
    ways: "Sequence[Way]"  # the strategy on each target to choose from; most jobs have one
    measure: "Measure"
    contents: "Contents"  # of the bundle
    tracker: "Tracker | None"
    sweep: "Sweep"
    engine: "EngineSettings"
    store: Path
    config: Mapping[str, Any]
    overrides: Sequence[str]


def conf_folder() -> Path:
    """conf/ of the repository, or the copy that an installed package carries."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "conf"


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as dicts and lists, interpolations resolved; a value that cannot be had is a ConfigError."""
    try:
        found = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as e:
        raise ConfigError(f"{e.full_key or 'config'}: {first_line(e)}") from None
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def job_of(config: Mapping[str, Any], overrides: Sequence[str]) -> Job:
    """Builds and checks everything a job needs; raises ConfigError with every problem found."""
    from pare.bundle import Contents
    from pare.encoders.model import Model
    from pare.pipeline import Expect
    from pare.search import Auto
    from pare.stages.finetune import Finetune
    from pare.stages.stage import Stage
    from pare.sweep import EngineSettings, Sweep
    from pare.targets.hardware import Automatic, Hardware
    from pare.targets.measurement import Measure
    from pare.tasks.task import Task
    from pare.tracking.tracker import Tracker
    from pare.training import Training

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
        raise ConfigError(problems)
    both = {"model": config["model"], "train": config["train"]}
    finetune = built({"_target_": "pare.stages.finetune.Finetune", **both}, "", Finetune)
    strategies: dict[str, Strategy] = {"compression": strategy}
    if auto is not None:
        strategies = {f"compression.auto.candidates.{n}": s for n, s in auto.strategies().items()}
    if auto is not None and isinstance(hardware, Automatic):
        problems.append("compression.auto: measures on one runtime; hardware=auto leaves that open")
    parts = [(task,), (hardware,), (finetune, "model"), *([] if tracker is None else [(tracker,)])]
    open_ways = _checked(parts, strategies, hardware, problems)
    return Job(
        name=str(config["name"]),
        key=key_of(config),
        seed=seed,
        task=task,
        finetune=finetune,
        auto=auto,
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
_complaints: dict[tuple[int, tuple[str, ...]], Sequence[str]] = {}


def complaints(part: Any, *setting: str) -> Sequence[str]:
    """What its check finds; asked once."""
    key = (id(part), setting)
    if key not in _complaints:
        try:
            part.check(*setting)
            _complaints[key] = ()
        except ConfigError as e:
            _complaints[key] = e.problems
    return _complaints[key]


def _checked(
    parts: Sequence[tuple[Any, ...]],
    strategies: Mapping[str, "Strategy"],
    hardware: "Hardware",
    problems: list[str],
) -> "Sequence[Way]":
    """The ways of the last strategy, once nothing is known that must make the job fail."""
    from pare.strategy import doubts
    from pare.ways import ways

    found: Sequence[Way] = ()
    for where, stages in strategies.items():
        found, impossible = ways(stages, hardware, where)
        problems += [] if found else impossible
        parts = [*parts, *((stage, f"{where}.{name}") for name, stage in stages)]
    for part, *setting in parts:
        problems += complaints(part, *setting)
    if problems:
        raise ConfigError(problems)
    for where, stages in strategies.items():
        for doubt in doubts(stages, hardware, where):
            say_once(doubt)
    return found


def key_of(config: Mapping[str, Any]) -> str:
    """Names what a job does: the same key, the same result."""
    return digest({k: v for k, v in config.items() if k not in UNTRACKED})[:16]


@dataclass(frozen=True)
class Move:
    """A job's config on another target, and the overrides that would make it at home."""

    hardware: "Hardware"
    measure: "Measure"
    config: Mapping[str, Any]
    overrides: Sequence[str]


def moved(home: Mapping[str, Any], typed: Sequence[str], given: Sequence[str]) -> Move:
    """A job on the target that `given` chooses; nothing but the target and the measuring can be chosen.

    home: its config. typed: its overrides; those of its own hardware go where `given` has hardware=…, and so
    with measure.
    """
    from pare.targets.hardware import Hardware
    from pare.targets.measurement import Measure

    keys = override_keys(given)
    problems = [
        f"{override}: hardware and measure can be chosen here; all else is in the bundle as it is"
        for override, key in zip(given, keys, strict=True)
        if key.partition(".")[0] not in MOVABLE
    ]
    if problems:
        raise ConfigError(problems)
    kept = [
        (override, key)
        for override, key in zip(typed, override_keys(typed), strict=True)
        if (top := key.partition(".")[0]) not in MOVABLE or top not in keys
    ]
    # an experiment may set its target's batch, whichever target it is
    composing = [override for override, key in kept if key.partition(".")[0] in (*WHOLE, *MOVABLE)]
    chosen = composed([*composing, *given])
    problems += [
        f"{key}: found {chosen.get(key)!r}; a group of keys is needed"
        for key in MOVABLE
        if not isinstance(chosen.get(key), DictConfig)
    ]
    if problems:
        raise ConfigError(problems)
    # a target may refer to the job, hardware.length=${task.max_length} say
    whole = OmegaConf.create({**home, **{key: OmegaConf.to_container(chosen[key]) for key in MOVABLE}})
    nodes = {key: plain(whole[key]) for key in MOVABLE}
    hardware = build(nodes["hardware"], "hardware", problems, Hardware)
    measure = build(nodes["measure"], "measure", problems, Measure)
    if problems:
        raise ConfigError(problems)
    return Move(hardware, measure, {**home, **nodes}, [*(override for override, _ in kept), *given])


def override_keys(overrides: Sequence[str]) -> list[str]:
    """What each override changes: a group or a key."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return [str(o.key_or_group) for o in OverridesParser.create().parse_overrides(list(overrides))]
    except HydraException as e:
        raise ConfigError(one_line(e)) from None


def composed(overrides: Sequence[str]) -> DictConfig:
    """What a command line composes."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
            return compose("config", overrides=list(overrides))
    except (HydraException, OmegaConfBaseException, ValueError) as e:  # `measure=5` is a ValueError
        raise ConfigError(one_line(e)) from None


def task_and_model(overrides: Sequence[str]) -> "tuple[Task, Model]":
    """What a command line composes, of what needs no strategy or target."""
    from pare.encoders.model import Model
    from pare.tasks.task import Task

    cfg = composed(overrides)
    config = plain(OmegaConf.create({key: cfg[key] for key in ("task", "model")}))
    problems: list[str] = []
    task = build(config["task"], "task", problems, Task)
    model = build(config["model"], "model", problems, Model)
    if problems:
        raise ConfigError(problems)
    return task, model


@cache
def say_once(line: str) -> None:
    """A warning, which a sweep of many jobs repeats for none of them."""
    log.warning("%s", line)


def absent(config: Mapping[str, Any]) -> list[str]:
    return [key for key in TOP_LEVEL if key not in config]


def store_root(node: Any, problems: list[str]) -> Path:
    """The store's folder, made absolute; must be writable."""
    from pare.store import Store

    if not isinstance(node, Mapping) or not isinstance(node.get("root"), str) or set(node) != {"root"}:
        problems.append(f"store: found {node!r}; one key, root, with a folder is needed")
        return Path()
    root = Path(node["root"]).expanduser().absolute()
    try:
        Store(root).check_writable()
    except ConfigError as e:
        problems += [f"store.root: {line}" for line in e.problems]
    return root


NOISE = ("Config search path", "provider=", "full_key:", "object_type=", "See https://", "To append to your")


def one_line(error: Exception) -> str:
    """An error of Hydra's and its cause, in one line, without what helps only its developers."""
    causes = [str(e) for e in (error, error.__cause__) if e is not None]
    lines = [line.strip() for text in causes for line in text.splitlines()]
    told = dict.fromkeys(line for line in lines if line and not line.startswith(NOISE))
    override = getattr(error, "override", None)
    start = f"{override}: " if override else ""
    return start + " ".join(told)
