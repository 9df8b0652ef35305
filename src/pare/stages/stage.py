"""What every stage is: fields that are its YAML keys, and `run` from checkpoints to a checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pare.checkpoint import Checkpoint, Format
from pare.progress import Progress
from pare.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Gate:
    """How much quality a stage may cost, judged on dev against the stage before.

    max_drop: a fraction, 0.01 is one point. on_fail: stop the job, skip the stage (go on from the
    checkpoint before), keep its result all the same, or escalate: the stage's dearer sibling goes first,
    on the last network, and then the stage again.
    """

    max_drop: float = 0.01
    metric: str | None = None  # the task's primary metric where not given
    on_fail: Literal["stop", "skip", "keep", "escalate"] = "stop"

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise ValueError(f"max_drop={self.max_drop}: a fraction, in [0, 1]; 0.01 is one point")


@dataclass(frozen=True)
class Context:
    """What a stage may know besides its inputs. It writes into `output` and nowhere else.

    scratch: a folder that outlives a killed process; the next attempt at the same stage finds it.
    device: where networks compute what is no training; the devices of that are the stage's own.
    """

    task: Task
    seed: int
    output: Path
    progress: Progress
    scratch: Path | None = None
    device: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One step of a strategy. `accepts` and `produces` are checkpoint formats; None accepts nothing.

    escalation: the dearer sibling that a gate with `on_fail: escalate` carries out before this stage.
    """

    gate: Gate | None = None
    escalation: "Stage | None" = None

    accepts: ClassVar[Format | None]
    produces: ClassVar[Format]
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")  # where what it makes can run
    computes: ClassVar[str | None] = None  # the precision of what it makes, where that is not FP32
    standard: ClassVar[bool] = True  # what it makes needs operators of ONNX's own only
    takes: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "fp16", "int8")  # precisions it can start from
    runs_it: ClassVar[bool] = False  # the graph it starts from, on one text after another as they are
    fixed: ClassVar[bool] = False  # what it makes no longer takes texts like that
    packages: ClassVar[tuple[str, ...]] = ()  # libraries whose version changes the result

    @property
    def kind(self) -> str:
        """The stage's module name."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def dearer(self) -> "Stage | None":
        """What its gate may have carried out as well."""
        return self.escalation if self.gate is not None and self.gate.on_fail == "escalate" else None

    def processes(self) -> int:
        """How many processes carry the stage out together."""
        return 1

    def roles(self) -> tuple[str, ...]:
        """The named inputs: "model" is the checkpoint before, "baseline" the fine-tuned one."""
        return ("model",) if self.accepts else ()

    def sources(self) -> Mapping[str, str | None]:
        """Digests of what the stage reads besides its inputs and the task, such as pretrained weights."""
        return {}

    def check(self, setting: str) -> None:  # noqa: B027 (most stages need nothing)
        """Raises ConfigError if something the stage needs is not there. setting: its config key."""

    def misfits(self, task: Task, setting: str) -> list[str]:
        """What is asked of it and cannot work, or does nothing, for this task, one line each.

        setting: its config key.
        """
        return []

    @abstractmethod
    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        """Writes the new checkpoint into `context.output`."""
