"""How many attention heads and feed-forward neurons stay, and taking the others out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch_pruning
from torch import Tensor, nn

from pare.encoders.family import Block
from pare.encoders.network import Network
from pare.importance import Scores


def kept_count(count: int, keep: float | int, multiple: int) -> int:
    """`keep` of `count`, a share or a number, rounded to a multiple: at least one and at most all."""
    wanted = keep if isinstance(keep, int) else count * keep
    return min(count, max(1, round(wanted / multiple)) * multiple)


def highest(importance: Tensor, count: int) -> list[int]:
    """The indices of the `count` most important entries, in their order; of equals the later ones."""
    return sorted(torch.argsort(importance, stable=True)[len(importance) - count :].tolist())


Kept = list[tuple[list[int], list[int]]]  # (heads, neurons) that stay, for each layer


def uniform(
    blocks: Sequence[Block], scores: Sequence[Scores], heads: float | int, neurons: float | int, multiple: int
) -> Kept:
    """The same share of every layer."""
    return [
        (
            highest(score.heads, kept_count(block.heads, heads, 1)),
            highest(score.neurons, kept_count(block.neurons, neurons, multiple)),
        )
        for block, score in zip(blocks, scores, strict=True)
    ]


def by_global_rank(
    blocks: Sequence[Block],
    scores: Sequence[Scores],
    keep: float,
    multiple: int,
    cost: Callable[[Block], tuple[float, float]],
) -> Kept:
    """What matters most for its cost, in whichever layer it is, until `keep` of the cost of all is spent.

    cost: of one head and of one neuron. A head and `multiple` neurons of every layer always stay.
    """
    units: list[tuple[float, float, int, str, list[int]]] = []  # worth, cost, layer, kind, indices
    spent = total = 0.0
    kept: Kept = [([], []) for _ in blocks]
    for layer, (block, score) in enumerate(zip(blocks, scores, strict=True)):
        costs = dict(zip(("heads", "neurons"), cost(block), strict=True))
        for kind, values, size in (("heads", score.heads, 1), ("neurons", score.neurons, multiple)):
            order = torch.argsort(values, descending=True, stable=True).tolist()
            groups = [order[i : i + size] for i in range(0, len(order), size)]
            total += costs[kind] * len(order)
            for rank, group in enumerate(groups):
                price = costs[kind] * len(group)
                worth = float(values[group].sum()) / price
                if rank == 0:
                    spent += price
                    kept[layer][kind == "neurons"].extend(group)
                else:
                    units.append((worth, price, layer, kind, group))
    for _, price, layer, kind, group in sorted(units, key=lambda unit: -unit[0]):
        if spent + price <= keep * total:
            spent += price
            kept[layer][kind == "neurons"].extend(group)
    return [(sorted(heads), sorted(neurons)) for heads, neurons in kept]


def parameters_each(block: Block) -> tuple[float, float]:
    """Of one head and of one neuron, with their biases."""
    head, neuron = (
        sum(linear.in_features + (linear.bias is not None) for linear in linears) + output.out_features
        for linears, output in (
            (block.into_heads, block.attention_output),
            (block.into_neurons, block.output),
        )
    )
    return block.head_size * head, neuron


def flops_each(block: Block, tokens: float) -> tuple[float, float]:
    """Multiply-adds a token of one head and of one neuron, in texts of so many tokens."""
    hidden = block.query.in_features
    return block.head_size * (4 * hidden + 2 * tokens), (1 + len(block.into_neurons)) * hidden


def shrink(network: Network, kept: Kept) -> None:
    """Takes out every head and neuron that is not kept, with all that hangs on them."""
    for index, (heads, neurons) in enumerate(kept):
        block = network.blocks()[index]
        remove(
            network,
            index,
            [head for head in range(block.heads) if head not in set(heads)],
            [neuron for neuron in range(block.neurons) if neuron not in set(neurons)],
        )


def remove(network: Network, index: int, heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Takes heads and neurons out of one layer."""
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
    """Which tensors must shrink together (Fang et al., 2023); traced anew, because heads change the trace."""
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


def sort(network: Network, scores: Sequence[Scores]) -> None:
    """Puts the most important heads and neurons first; the network computes what it did before."""
    for block, score in zip(network.blocks(), scores, strict=True):
        heads = torch.argsort(score.heads, descending=True, stable=True)
        channels = (heads[:, None] * block.head_size + torch.arange(block.head_size)).flatten()
        neurons = torch.argsort(score.neurons, descending=True, stable=True)
        with torch.no_grad():
            for linears, output, order in (
                (block.into_heads, block.attention_output, channels),
                (block.into_neurons, block.output, neurons),
            ):
                for linear in linears:
                    linear.weight.copy_(linear.weight[order].clone())
                    if linear.bias is not None:
                        linear.bias.copy_(linear.bias[order].clone())
                output.weight.copy_(output.weight[:, order].clone())


class Narrowing:
    """Lets a network run as if only the first heads and neurons of each layer were there."""

    def __init__(self, network: Network) -> None:
        self.blocks = network.blocks()
        self.sizes: list[tuple[int, int]] = [(block.heads, block.neurons) for block in self.blocks]

    @contextmanager
    def to(self, keep: float, multiple: int) -> Iterator[None]:
        """The widths that `uniform` gives."""
        narrowed = []
        for block, (heads, neurons) in zip(self.blocks, self.sizes, strict=True):
            channels = kept_count(heads, keep, 1) * block.head_size
            kept = kept_count(neurons, keep, multiple)
            for linear, rows, columns in (
                *((linear, channels, None) for linear in block.into_heads),
                (block.attention_output, None, channels),
                *((linear, kept, None) for linear in block.into_neurons),
                (block.output, None, kept),
            ):
                linear.forward = narrow(linear, rows, columns)  # type: ignore[method-assign,assignment]
                narrowed.append(linear)
        try:
            yield
        finally:
            for linear in narrowed:
                del linear.forward


def narrow(linear: nn.Linear, rows: int | None, columns: int | None) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        bias = None if linear.bias is None else linear.bias[:rows]
        return nn.functional.linear(x, linear.weight[:rows, :columns], bias)

    return forward
