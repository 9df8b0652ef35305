"""Quantization-aware training: the network learns with INT8's rounding in the way (Jacob et al., 2018).

NNCF puts fake quantizers on the linear maps; the fine-tuned model teaches. What comes out is a plain network
whose weights have learned to be rounded: exported and quantized like any other, it runs in the very kernels
that static INT8 runs in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import torch

from pare import parallel
from pare.batches import Row
from pare.checkpoint import Checkpoint, Format
from pare.distillation import Distillation, distil
from pare.encoders.network import Network
from pare.fitting import HOOKS
from pare.lowering.nncf_quiet import quietly
from pare.stages.networks import (
    judge_of,
    lesson_count,
    lessons_of,
    open_network,
    open_text_encoder,
    some_rows,
    teacher_of,
    tune_thresholds,
    write_network,
)
from pare.stages.stage import Context, Stage
from pare.tasks.task import Task
from pare.training import Training, looks_in_vain, refuse_without_effect


@dataclass(frozen=True, kw_only=True)
class Qat(Stage):
    """Trains with fake quantizers, taught by the fine-tuned model; a `quantize` stage has to follow."""

    distillation: Distillation = Distillation()
    train: Training = Training(epochs=1, learning_rate=2e-4)
    calibration_rows: int = 128

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "nncf")

    def __post_init__(self) -> None:
        if self.calibration_rows < 1:
            raise ValueError(f"calibration_rows={self.calibration_rows}: must be at least 1")
        refuse_without_effect(self.train, "class_weights")

    def processes(self) -> int:
        return self.train.processes

    def check(self, setting: str) -> None:
        parallel.check(self.train.processes, self.train.device, f"{setting}.train.processes")

    def misfits(self, task: Task, setting: str) -> list[str]:
        unlabelled = self.distillation.unlabelled
        return looks_in_vain(
            self.train, lambda: lesson_count(task, unlabelled), f"{setting}.train", starts_well=True
        )

    def roles(self) -> tuple[str, ...]:
        return ("model", "baseline")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        encoder = open_text_encoder(inputs["model"])
        teacher = teacher_of(inputs["baseline"], encoder)
        rows = some_rows(context.task, encoder, self.calibration_rows, context.seed)
        torch.manual_seed(context.seed)
        rounded = with_fake_quantizers(open_network(inputs["model"]), rows)
        history = distil(
            [rounded],
            teacher,
            lessons_of(context.task, encoder, self.distillation.unlabelled),
            self.distillation,
            self.train,
            pad_id=encoder.pad_id,
            seed=context.seed,
            progress=context.progress,
            title="quantization-aware training",
            judge=judge_of(rounded, context.task, encoder),
            starts_well=True,
            scratch=context.scratch,
        )
        network = open_network(inputs["model"])
        learned = {name: value for name, value in rounded.state_dict().items() if not name.startswith(HOOKS)}
        network.load_state_dict(learned)
        tune_thresholds(network, context.task, encoder, self.train.device)
        write_network(context.output, network, encoder, dict(inputs["model"].facts), history)


def with_fake_quantizers(network: Network, rows: Sequence[Row]) -> Network:
    """A copy of `network` that rounds as INT8 does and can be trained; its own weights stay apart."""
    import nncf

    samples = [(torch.tensor([list(row.ids)]), torch.ones(1, len(row.ids), dtype=torch.long)) for row in rows]
    with quietly():
        compile_nothing()
        rounded: Network = nncf.quantize(
            network.eval(),
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            # which `quantize` leaves in float
            ignored_scope=nncf.IgnoredScope(types=["scaled_dot_product_attention"]),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # both would move what belongs to the weights into places that are not exported
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1),
                disable_bias_correction=True,
            ),
        )
    for name, value in rounded.named_parameters():
        if name.startswith(HOOKS):
            value.requires_grad = False  # a range that is learned here would be found anew by `quantize`
    return rounded


def compile_nothing() -> None:
    """NNCF's arithmetic in PyTorch's own operations, where it would compile kernels at first use.

    What they round would depend on the compiler that a machine has, and one that was killed leaves a lock
    for which all others wait until they give up.
    """
    from nncf.torch.quantization import extensions
    from nncf.torch.quantization.reference import torch_executor

    # not its ReferenceQuantizedFunctions, which hand the same two functions to torch.compile
    plain = SimpleNamespace(
        Quantize_forward=torch_executor.forward, Quantize_backward=torch_executor.backward
    )
    extensions.QuantizedFunctionsCPU._loaded_namespace = plain
    if torch.cuda.is_available():
        extensions.QuantizedFunctionsCUDA._loaded_namespace = plain
