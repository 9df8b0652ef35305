"""Compress here, evaluate there: a bundle judged and measured on another target, its result as if at home."""

import time
from collections.abc import Sequence
from pathlib import Path

from pare.checkpoint import Checkpoint
from pare.comparing import difference
from pare.composition import TOKEN, key_of
from pare.errors import ConfigError
from pare.evaluation import Evaluation, candidate, read_evaluation
from pare.moving import Move, moved
from pare.provenance import environment
from pare.report import Terminal
from pare.result import Result
from pare.rows import split_digest, write_rows
from pare.status import told
from pare.targets.answers import answers_of, graph_run
from pare.targets.hardware import Automatic, Hardware
from pare.targets.measuring import measure


def evaluate(bundle: Path, overrides: Sequence[str], folder: Path | None) -> Result:
    """Writes config.yaml, status.json and result.json into `folder`, a new one."""
    given = read_evaluation(bundle)
    final = candidate(bundle)
    move = moved(given.home.config, given.home.overrides, overrides)
    hardware = target_of(final, move.hardware)
    check(final, given.home.devices, hardware)
    folder = folder or Path("runs") / time.strftime(f"%Y-%m-%d/%H-%M-%S-{TOKEN}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f"--out: {folder}: {e.strerror}") from None
    if any(folder.iterdir()):
        raise ConfigError(f"--out: {folder} holds something already; a new folder is needed")
    show = Terminal()
    with told(folder, given.home.name, key_of(move.config), move.config):
        result = result_of(given, final, move, hardware, show, folder)
        result.write(folder)
    show.comparison(result, folder)
    return result


def target_of(final: Checkpoint, hardware: Hardware) -> Hardware:
    """With hardware=auto the runtime that takes the model as it is."""
    if not isinstance(hardware, Automatic):
        return hardware
    return next((target for target in hardware.candidates() if target.runs == final.format), hardware)


def check(final: Checkpoint, devices: Sequence[str], hardware: Hardware) -> None:
    """Raises ConfigError where the target cannot run the model, or is not here."""
    if final.format != hardware.runs:
        raise ConfigError(
            f"hardware={hardware.name}: {hardware.runtime} runs {hardware.runs} graphs, "
            f"but {final.model_file} is {final.format}; a target whose runtime takes that is needed"
        )
    if hardware.device not in devices:
        raise ConfigError(
            f"hardware={hardware.name}: {final.model_file} runs on {', '.join(devices)}, "
            f"not on {hardware.device}"
        )
    hardware.check()


def result_of(
    given: Evaluation, final: Checkpoint, move: Move, hardware: Hardware, show: Terminal, folder: Path
) -> Result:
    """Writes what each row adds into the folder."""
    home = given.home
    measured, baseline_measured, best = measure(
        final, given.baselines, given.texts, hardware, move.measure, show.progress
    )
    before, after = (
        answers_of(checkpoint, given.texts, graph_run(checkpoint, hardware))
        for checkpoint in (given.baselines[best], final)
    )
    first, second = (given.judge.shares(given.truths, answers) for answers in (before, after))
    split = split_digest(given.texts, given.truths)
    if first and second:
        write_rows(folder, split, first, second)
    return Result(
        name=home.name,
        key=key_of(move.config),
        overrides=move.overrides,
        seed=home.seed,
        task=home.task,
        environment=environment() | {"threads": home.threads},
        stages=[{**stage, "cached": True} for stage in home.stages],
        primary=given.judge.primary,
        scores=given.judge.score(given.truths, after),
        baseline_scores=given.judge.score(given.truths, before),
        measurement=measured,
        baseline_measurement=baseline_measured,
        tried=home.tried,
        difference=difference(first, second) if first and second else None,
        split=split,
    )
