"""Compress here, evaluate there: a bundle judged and measured on another target, its result as if at home."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pare.bundle import RECORD
from pare.checkpoint import Checkpoint
from pare.comparing import difference
from pare.composition import TOKEN, key_of
from pare.decoding import Text
from pare.errors import ConfigError
from pare.evaluation import Evaluation, candidate, files_of, read_evaluation
from pare.files import make_writable
from pare.labelled import read_labelled
from pare.moving import Move, moved
from pare.provenance import digest, environment, file_digest
from pare.report import Terminal
from pare.result import Result
from pare.rows import write_rows
from pare.runtimes.session import RUNTIMES
from pare.status import told
from pare.store import usual_root
from pare.targets.answers import answers_of, counted, graph_run, warn_of_cut
from pare.targets.comparison import precision_of
from pare.targets.hardware import Automatic, Hardware
from pare.targets.measurement import Measure
from pare.targets.measuring import measure

log = logging.getLogger(__name__)


def evaluate(bundle: Path, overrides: Sequence[str], folder: Path | None, data: Path | None = None) -> Result:
    """Writes config.yaml, status.json and result.json into `folder`, a new one. data: instead of test."""
    given = read_evaluation(bundle)
    final = candidate(bundle)
    if data is not None:
        sizes = {1 if isinstance(text, str) else 2 for text in given.texts}
        own = read_labelled(data, final.outputs, given.judge, sizes)
        given = replace(given, texts=own.texts, truths=own.truths, scored_on=str(data))
    move = moved(given.home.config, given.home.overrides, overrides)
    hardware = target_of(final, move.hardware)
    given = replace(given, baselines=runnable(given.baselines, hardware))
    check(given, final, hardware, move.measure)
    if doubt := hardware.doubts(precision_of(final)):
        log.warning("%s is %s, but %s", final.model_file, precision_of(final), doubt)
    warn_of_cut(final, {given.scored_on: given.texts})
    folder = folder or Path("runs") / time.strftime(f"%Y-%m-%d/%H-%M-%S-{TOKEN}")
    make_writable(folder, "--out")
    if any(folder.iterdir()):
        raise ConfigError(f"--out: {folder} holds something already; a new folder is needed")
    show = Terminal()
    key = key_of(move.config if data is None else {**move.config, "rows": given.rows})
    with told(folder, given.home.name, key, move.config, move.overrides):
        result = result_of(given, final, move, key, hardware, show, folder)
        result.write(folder)
    show.comparison(result, folder)
    return result


def target_of(final: Checkpoint, hardware: Hardware) -> Hardware:
    """With hardware=auto the runtime that takes the model as it is, and the provider that it was made for."""
    if not isinstance(hardware, Automatic):
        return hardware
    try:
        found = hardware.on(RUNTIMES[final.format])
    except ValueError as e:  # a runtime that is for other devices
        raise ConfigError(f"hardware.{e}") from None
    told = json.loads((final.path / RECORD).read_text(encoding="utf-8")).get("target", {})
    providers = told.get("options", {}).get("providers", [])  # older bundles say nothing of it
    same = [
        target
        for target in hardware.candidates()
        if target.runtime == found.runtime and [target.provider] == [name for name, _ in providers[:1]]
    ]
    return same[0] if same else found


def runnable(baselines: Sequence[Checkpoint], hardware: Hardware) -> list[Checkpoint]:
    """Those without operators that the target does not know."""
    return [b for b in baselines if not hardware.standard_operators or b.facts.get("lowering") == "plain"]


def check(given: Evaluation, final: Checkpoint, hardware: Hardware, settings: Measure) -> None:
    """Raises ConfigError where the target cannot run or measure the model, or is not here."""
    problems, where = [], f"hardware={hardware.name}"
    if final.format != hardware.runs:
        problems.append(
            f"{where}: {hardware.runtime} runs {hardware.runs} graphs, "
            f"but {final.model_file} is {final.format}; a target whose runtime takes that is needed"
        )
    elif hardware.device not in given.home.devices:
        problems.append(
            f"{where}: {final.model_file} runs on {', '.join(given.home.devices)}, not on {hardware.device}"
        )
    elif refused := hardware.refuses(precision_of(final)):
        problems.append(f"{where}: {final.model_file} is {precision_of(final)}, but {refused}")
    elif hardware.standard_operators and not (given.home.standard and given.baselines):
        problems.append(
            f"{where}: the bundle's graphs have operators of ONNX Runtime's own, which TensorRT does not "
            "know; one that was made for hardware=tensorrt has none"
        )
    timed = min(len(given.texts), settings.texts)
    graphs = (final, *given.baselines)
    read = max(graph.max_length for graph in graphs)
    problems += hardware.misfits(timed, [graph.longest for graph in graphs], read)
    if problems:
        raise ConfigError(problems)
    hardware.check()


def fitted(checkpoint: Checkpoint, texts: Sequence[Text], hardware: Hardware) -> tuple[Checkpoint, Hardware]:
    """As a job has both: TensorRT knows the texts' lengths, and keeps engines under the checkpoint's name."""
    if hardware.standard_operators:
        name = digest({file: file_digest(checkpoint.path / file) for file in files_of(checkpoint)})
        checkpoint = Checkpoint(checkpoint.path, name)
    return checkpoint, hardware.fitted(checkpoint, texts, usual_root().absolute() / "cache")


def result_of(
    given: Evaluation,
    final: Checkpoint,
    move: Move,
    key: str,
    hardware: Hardware,
    show: Terminal,
    folder: Path,
) -> Result:
    """Writes what each row adds into the folder."""
    home = given.home
    ready = [fitted(checkpoint, given.texts, hardware) for checkpoint in (final, *given.baselines)]
    measured, baseline_measured, best = measure(ready[0], ready[1:], given.texts, move.measure, show.progress)
    with show.progress("scoring", 2 * len(given.texts)) as advance:
        before, after = (
            answers_of(checkpoint, given.texts, counted(graph_run(checkpoint, target), advance))
            for checkpoint, target in (ready[1 + best], ready[0])
        )
    first, second = (given.judge.shares(given.truths, answers) for answers in (before, after))
    if first and second:
        write_rows(folder, given.rows, first, second)
    return Result(
        name=home.name,
        key=key,
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
        split=given.rows,
        scored_on=given.scored_on,
    )
