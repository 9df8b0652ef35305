"""Width pruning: whole attention heads and feed-forward neurons leave the network for good.

Torch-Pruning's dependency graph (Fang et al., 2023, arXiv:2301.12900) finds what has to go with them. What
counts as important is the weights' magnitude or the first-order Taylor term (Molchanov et al., 2019,
arXiv:1906.10771).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch_pruning
from torch import Tensor, nn

from pare.checkpoint import Checkpoint, Format
from pare.encoders.families import Block
from pare.encoders.network import Network
from pare.losses import hard_loss
from pare.stages.networks import open_network, open_text_encoder, rows_of, write_network
from pare.stages.stage import Context, Stage
from pare.training import Row, collate


@dataclass(frozen=True, kw_only=True)
class Width(Stage):
    """Keeps the share `keep` of the heads and of the neurons of every layer. Trains nothing."""

    keep: float = 0.5
    importance: Literal["magnitude", "taylor"] = "taylor"
    rows: int = 512  # training texts from which taylor's gradients are taken
    multiple_of: int = 16  # neurons are kept in multiples of this; kernels like it

    accepts: ClassVar[Format | None] = "torch"
    produces: ClassVar[Format] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "torch-pruning")

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep}: the share that stays, in (0, 1]")
        if self.multiple_of < 1 or self.rows < 1:
            raise ValueError(f"multiple_of={self.multiple_of}, rows={self.rows}: must be at least 1")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        network, encoder = open_network(inputs["model"]), open_text_encoder(inputs["model"])
        if self.importance == "taylor":
            rows = rows_of(context.task, "train", encoder)[: self.rows]
            accumulate_gradients(network, rows, encoder.pad_id)
        score = taylor if self.importance == "taylor" else magnitude
        before = network.parameter_count()
        for index, block in enumerate(network.blocks()):
            heads = kept_count(block.heads, self.keep, 1)
            neurons = kept_count(block.neurons, self.keep, self.multiple_of)
            drop_heads = lowest(head_importance(block, score), block.heads - heads)
            drop_neurons = lowest(neuron_importance(block, score), block.neurons - neurons)
            remove(network, index, drop_heads, drop_neurons)
        network.zero_grad(set_to_none=True)
        facts = {**inputs["model"].facts, "parameters_before": before}
        write_network(context.output, network, encoder, facts)


def kept_count(count: int, keep: float, multiple: int) -> int:
    """`keep` of `count`, rounded to a multiple, at least one multiple and at most all."""
    return min(count, max(1, round(count * keep / multiple)) * multiple)


def magnitude(linear: nn.Linear) -> Tensor:
    """Squared weights, (out, in)."""
    return linear.weight.detach() ** 2


def taylor(linear: nn.Linear) -> Tensor:
    """What the loss would change, to first order, without each weight: |w dL/dw|, (out, in)."""
    if linear.weight.grad is None:
        raise ValueError("taylor needs gradients; call accumulate_gradients first")
    return (linear.weight.detach() * linear.weight.grad).abs()


def head_importance(block: Block, score: Callable[[nn.Linear], Tensor]) -> Tensor:
    """One number per head: its rows of query, key and value and its columns of the output map."""
    rows = score(block.query).sum(1) + score(block.key).sum(1) + score(block.value).sum(1)
    return (rows + score(block.attention_output).sum(0)).reshape(-1, block.head_size).sum(1)


def neuron_importance(block: Block, score: Callable[[nn.Linear], Tensor]) -> Tensor:
    """One number per feed-forward neuron: its row in, its column out."""
    return score(block.intermediate).sum(1) + score(block.output).sum(0)


def lowest(importance: Tensor, count: int) -> list[int]:
    """The indices of the `count` least important entries; ties go to the lower index."""
    return sorted(torch.argsort(importance, stable=True)[:count].tolist())


def accumulate_gradients(network: Network, rows: Sequence[Row], pad_id: int) -> None:
    """Leaves the gradient of the task's loss over `rows` in the parameters."""
    network.eval()
    for start in range(0, len(rows), 32):
        batch = collate(rows[start : start + 32], network.outputs, pad_id, torch.device("cpu"))
        hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs).backward()  # type: ignore[no-untyped-call]


def remove(network: Network, index: int, heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Takes heads and neurons out of one layer, with everything that hangs on them."""
    block = network.blocks()[index]
    channels = [head * block.head_size + i for head in heads for i in range(block.head_size)]
    for linear, indices in ((block.query, channels), (block.intermediate, list(neurons))):
        if not indices:
            continue
        group = dependencies(network).get_pruning_group(
            linear, torch_pruning.prune_linear_out_channels, indices
        )
        group.prune()
    network.family.note_heads(network.encoder)


def dependencies(network: Network) -> torch_pruning.DependencyGraph:
    """Which tensors must shrink together; traced anew, because heads change the trace."""
    vocabulary = int(network.encoder.config.vocab_size)
    ids = torch.arange(8).remainder(vocabulary).reshape(1, 8)
    implementation = network.encoder.config._attn_implementation
    network.encoder.set_attn_implementation("eager")
    graph = torch_pruning.DependencyGraph().build_dependency(
        network,
        example_inputs=(ids, torch.ones_like(ids)),
        output_transform=lambda outputs: sum(o.sum() for o in outputs.values()),
    )
    network.encoder.set_attn_implementation(implementation)
    return graph
