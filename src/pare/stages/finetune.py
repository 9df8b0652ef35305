"""Fine-tuning: a pretrained or new encoder learns the task from its labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pare.checkpoint import Checkpoint, Format
from pare.encoders.model import Model
from pare.encoders.network import Network
from pare.losses import hard_loss
from pare.stages.networks import rows_of, start_network, write_network
from pare.stages.stage import Context, Stage
from pare.training import Batch, Training, fit


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

    def check(self, setting: str) -> None:
        self.model.check("model")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        torch.manual_seed(context.seed)
        network, encoder = start_network(self.model, context.task, context.task.outputs())

        def loss_of(network: Network, batch: Batch) -> Tensor:
            return hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs)

        history = fit(
            network,
            rows_of(context.task, "train", encoder),
            loss_of,
            self.train,
            pad_id=encoder.pad_id,
            seed=context.seed,
            progress=context.progress,
            title=f"fine-tuning {self.model.name}",
        )
        write_network(context.output, network, encoder, {"model": self.model.name}, history)
