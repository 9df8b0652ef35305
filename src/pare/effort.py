"""How large a piece of work is: pieces of one effort take about as long. None: nobody knows."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pare.checkpoint import Format
from pare.provenance import digest
from pare.stages.stage import Stage
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure
from pare.tasks.task import Split, Task

SPLITS: tuple[Split, ...] = ("train", "dev", "unlabelled")  # what stages may read
SAID = ("path", "epochs")  # settings that say how much there is to do, besides whole numbers


def stage_effort(stage: Stage, task: Task, inputs: Mapping[str, str | None]) -> str | None:
    """inputs: the efforts of what it starts from, by role: of all that was done since the first model."""
    if None in inputs.values():
        return None
    alone = replace(stage, gate=None, escalation=None)
    counts = [task.max_length, *(rows(task, split) for split in SPLITS)]
    return digest([stage.kind, sizes(alone), counts, inputs])


def score_effort(made: str | None, format_: Format, task: Task, split: Split, target: Hardware) -> str | None:
    """made: the effort of the checkpoint that is scored."""
    there = [target.device, target.engine, target.threads] if format_ == target.runs else "torch"
    return None if made is None else digest([made, split, rows(task, split), there])


def measuring_effort(made: str | None, target: Hardware, settings: Measure) -> str | None:
    """made: the effort of the checkpoint that is measured beside its baseline."""
    how = [target.device, target.engine, sizes(target), replace(settings, fresh=False)]
    return None if made is None else digest([made, how])


def rows(task: Task, split: Split) -> int:
    """How many there are, to a factor of two."""
    return len(task.texts(split)).bit_length()


def sizes(settings: Any) -> Any:
    """Whole numbers and what is SAID; rates, shares and choices change little."""
    if is_dataclass(settings):
        found = {field.name: getattr(settings, field.name) for field in fields(settings)}
        return {name: value if name in SAID else sizes(value) for name, value in found.items()}
    if isinstance(settings, Mapping):
        return {name: sizes(value) for name, value in settings.items()}
    if isinstance(settings, (tuple, list)):
        return [sizes(value) for value in settings]
    return settings if isinstance(settings, int) and not isinstance(settings, bool) else None
