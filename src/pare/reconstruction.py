"""Least squares for what stays: each output map writes again what it wrote before heads and neurons left.

Channel pruning (He et al., 2017, arXiv:1707.06168), as it was done for whole encoders without training (Kwon
et al., 2022, arXiv:2204.09656). Layer by layer, so that each one makes up for those before it too.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from pare.batches import Batch, Row, collate
from pare.encoders.network import Network

RIDGE = 1e-4  # of the mean variance of what enters the map: what varies less than that moves nothing


class _Reached(Exception):
    """What comes after the map need not be computed."""


def reconstruct(network: Network, whole: Network, rows: Sequence[Row], pad_id: int) -> None:
    """Moves the output maps of a network that is `whole` without some of its heads and neurons."""
    network.eval()
    whole.eval()
    for before, after in zip(whole.blocks(), network.blocks(), strict=True):
        for full, left in ((before.attention_output, after.attention_output), (before.output, after.output)):
            weight, bias = refitted(left, read_and_written(network, left, whole, full, rows, pad_id))
            with torch.no_grad():
                left.weight.copy_(weight)
                if left.bias is not None:
                    left.bias.copy_(bias)


def refitted(linear: nn.Linear, samples: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The weight and the bias by which the map best writes what it should, near those that it has.

    samples: what it reads and what it should write, (tokens, features) each, as often as there is some.
    """
    count = 0
    inner, wanted, read, written = (torch.zeros((), dtype=torch.float64) for _ in range(4))
    for x, y in samples:
        count += len(x)
        inner, wanted = inner + x.T @ x, wanted + x.T @ y
        read, written = read + x.sum(0), written + y.sum(0)
    if linear.bias is not None:
        inner, wanted = inner - torch.outer(read, read) / count, wanted - torch.outer(read, written) / count
    weight = linear.weight.detach().double()
    ridge = RIDGE * inner.diagonal().mean().clamp(min=1e-12) * torch.eye(len(inner), dtype=inner.dtype)
    weight = weight + torch.linalg.solve(inner + ridge, wanted - inner @ weight.T).T
    return weight, (written - weight @ read) / count


def read_and_written(
    network: Network, left: nn.Linear, whole: Network, full: nn.Linear, rows: Sequence[Row], pad_id: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """What one map of the network reads, and what its counterpart in `whole` writes, for each real token."""
    for start in range(0, len(rows), 32):
        batch = collate(rows[start : start + 32], network.outputs, pad_id, torch.device("cpu"))
        written = nn.functional.linear(entering(whole, full, batch), full.weight, full.bias)
        yield entering(network, left, batch).double(), written.detach().double()


@torch.no_grad()
def entering(network: Network, linear: nn.Linear, batch: Batch) -> Tensor:
    """What a map reads, (tokens, features), without padding."""
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0])
        raise _Reached

    hook = linear.register_forward_pre_hook(keep)
    try:
        network(batch.ids, batch.mask)
    except _Reached:
        pass
    finally:
        hook.remove()
    return found[0][batch.mask.bool()]
