"""Which attention heads and feed-forward neurons matter.

Importance is the weights' magnitude; taylor, the first-order term of each weight (Molchanov et al.,
2019, arXiv:1906.10771); dynabert and fisher, the absolute and the squared gradient of a mask on each head
and neuron (Michel et al., 2019, arXiv:1905.10650; DynaBERT, arXiv:2004.04037); or order, the place in a
sorted network.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pare.batches import Row, collate
from pare.encoders.family import Block
from pare.encoders.network import Network
from pare.losses import hard_loss

Importance = Literal["magnitude", "taylor", "fisher", "dynabert", "order"]


@dataclass(frozen=True)
class Scores:
    """One number for each head and each neuron of a layer; the higher, the more it matters."""

    heads: Tensor
    neurons: Tensor


def importance_of(network: Network, kind: Importance, rows: Sequence[Row], pad_id: int) -> list[Scores]:
    """For each layer, computed where the network is. rows: with labels; magnitude and order need none."""
    blocks = network.blocks()
    if kind == "order":
        return [
            Scores(-torch.arange(block.heads).float(), -torch.arange(block.neurons).float())
            for block in blocks
        ]
    if kind == "magnitude":
        return [weight_scores(block, magnitude) for block in blocks]
    if kind == "taylor":
        for _ in losses(network, rows, pad_id, batch_size=32):
            pass
        found = [weight_scores(block, taylor) for block in blocks]
        network.zero_grad(set_to_none=True)
        return found
    return mask_scores(network, rows, pad_id, squared=kind == "fisher")


def weight_scores(block: Block, score: Callable[[nn.Linear], Tensor]) -> Scores:
    """A head is its rows of query, key and value and its columns of the output map; a neuron likewise."""
    channels = sum_of_rows(block.into_heads, score) + score(block.attention_output).sum(0)
    neurons = sum_of_rows(block.into_neurons, score) + score(block.output).sum(0)
    return Scores(channels.reshape(-1, block.head_size).sum(1).cpu(), neurons.cpu())


def sum_of_rows(linears: Sequence[nn.Linear], score: Callable[[nn.Linear], Tensor]) -> Tensor:
    return torch.stack([score(linear).sum(1) for linear in linears]).sum(0)


def magnitude(linear: nn.Linear) -> Tensor:
    """Squared weights, (out, in)."""
    return linear.weight.detach() ** 2


def taylor(linear: nn.Linear) -> Tensor:
    """What the loss would change, to first order, without each weight: |w dL/dw|, (out, in)."""
    if linear.weight.grad is None:
        raise ValueError("taylor needs gradients of the loss")
    return (linear.weight.detach() * linear.weight.grad).abs()


def mask_scores(network: Network, rows: Sequence[Row], pad_id: int, squared: bool) -> list[Scores]:
    """The gradient of a mask of ones on every head and neuron, absolute or squared, summed over texts."""
    blocks = network.blocks()
    found = [Scores(torch.zeros(block.heads), torch.zeros(block.neurons)) for block in blocks]
    with masked(blocks) as masks, frozen(network):
        for _ in losses(network, rows, pad_id, batch_size=1):
            for scores, (heads, neurons) in zip(found, masks, strict=True):
                for total, mask in ((scores.heads, heads), (scores.neurons, neurons)):
                    assert mask.grad is not None
                    total += (mask.grad**2 if squared else mask.grad.abs()).cpu()
                    mask.grad = None
    return found


@contextmanager
def masked(blocks: Sequence[Block]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Multiplies what leaves each head and each neuron with a mask of ones, for a while."""
    masks, hooks = [], []
    for block in blocks:
        device = block.output.weight.device
        heads, neurons = (
            torch.ones(count, device=device, requires_grad=True) for count in (block.heads, block.neurons)
        )
        masks.append((heads, neurons))
        for linear, mask, width in (
            (block.attention_output, heads, block.head_size),
            (block.output, neurons, 1),
        ):

            def scale(
                module: nn.Module, inputs: tuple[Tensor, ...], m: Tensor = mask, w: int = width
            ) -> Tensor:
                return inputs[0] * m.repeat_interleave(w)

            hooks.append(linear.register_forward_pre_hook(scale))
    try:
        yield masks
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def frozen(network: Network) -> Iterator[None]:
    """No gradients of weights for a while: those of a table of tokens are as large as the table."""
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def losses(network: Network, rows: Sequence[Row], pad_id: int, batch_size: int) -> Iterator[float]:
    """Backward passes of the task's loss; gradients add up in whatever takes them."""
    network.eval()
    device = next(network.parameters()).device
    for start in range(0, len(rows), batch_size):
        batch = collate(rows[start : start + batch_size], network.outputs, pad_id, device)
        loss = hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs)
        loss.backward()  # type: ignore[no-untyped-call]
        yield float(loss.detach())
