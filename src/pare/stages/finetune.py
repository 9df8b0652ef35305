"""Fine-tuning: a pretrained or new encoder learns the task from its labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pare import parallel
from pare.batches import Batch, Row
from pare.checkpoint import Checkpoint, Format
from pare.encoders.model import Model
from pare.fitting import fit
from pare.losses import balanced_weights, hard_loss
from pare.outputs import IGNORED_LABEL, Output
from pare.stages.networks import judge_of, rows_of, start_network, tune_thresholds, write_network
from pare.stages.stage import Context, Stage
from pare.tasks.task import Task
from pare.training import Training, looks_in_vain


@dataclass(frozen=True, kw_only=True)
class Finetune(Stage):
    """Trains `model` on the task. Every strategy starts from its result, the baseline."""

    model: Model
    train: Training = Training()

    accepts: ClassVar[Format | None] = None
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")

    def sources(self) -> Mapping[str, str | None]:
        return {"model": self.model.weights_digest()}

    def processes(self) -> int:
        return self.train.processes

    def check(self, setting: str) -> None:
        self.model.check("model")
        parallel.check(self.train.processes, self.train.device, "train.processes")

    def misfits(self, task: Task, setting: str) -> list[str]:
        found = looks_in_vain(self.train, lambda: len(task.texts("train")), "train")
        if self.train.class_weights == "balanced" and not any(map(is_weighed, task.outputs())):
            found.append(
                "train.class_weights=balanced: has no effect in this task; weighed are labels of whole texts "
                "of which each text has one; leave it none"
            )
        return found

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        torch.manual_seed(context.seed)
        network, encoder = start_network(self.model, context.task, context.task.outputs())
        rows = rows_of(context.task, "train", encoder)
        balanced = self.train.class_weights == "balanced"
        weights = weights_of(rows, network.outputs) if balanced else {}

        def loss_of(batch: Batch) -> Tensor:
            return hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs, weights)

        history = fit(
            [network],
            network.outputs,
            rows,
            loss_of,
            self.train,
            pad_id=encoder.pad_id,
            seed=context.seed,
            progress=context.progress,
            title=f"fine-tuning {self.model.name}",
            judge=judge_of(network, context.task, encoder),
            scratch=context.scratch,
        )
        tune_thresholds(network, context.task, encoder, self.train.device)
        write_network(context.output, network, encoder, {"model": self.model.name}, history)


def is_weighed(output: Output) -> bool:
    return output.scope == "text" and output.choice == "one"


def weights_of(rows: Sequence[Row], outputs: Sequence[Output]) -> dict[str, Tensor]:
    """For each output of whole texts, weights that let its rare labels count as much as frequent ones."""
    weights = {}
    for output in outputs:
        found = [row.labels.get(output.name) for row in rows if row.labels is not None]
        labels = [label for label in found if isinstance(label, int) and label != IGNORED_LABEL]
        if is_weighed(output) and labels:
            weights[output.name] = balanced_weights(labels, len(output.labels))
    return weights
