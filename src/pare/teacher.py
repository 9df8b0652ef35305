"""What a network makes of a batch, inside and out, and a teacher that remembers it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pare.batches import Batch
from pare.encoders.network import Network


@dataclass(frozen=True)
class Projections:
    """Query, key and value of one layer, (texts, tokens, width) each.

    compared: query and key as attention compares them: the same, or rotated by their positions.
    """

    maps: tuple[Tensor, Tensor, Tensor]
    compared: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Thoughts:
    """What a network makes of a batch: answers, layers by number, and projections of layers."""

    logits: Mapping[str, Tensor]
    layers: Mapping[int, Tensor]
    projections: Mapping[int, Projections]


def thoughts_of(network: Network, batch: Batch, layers: Sequence[int], looks_inside: bool) -> Thoughts:
    wanted = [number for number in layers if number > 0] if looks_inside else []
    with projections_of(network, wanted) as projections, states_of(network, layers) as states:
        # the network as a whole, not its parts: fake quantizers are at work in a whole call only
        logits = network(batch.ids, batch.mask)
    found = {}
    for number, parts in projections.items():
        query, key = (network.family.in_place(network.encoder, number - 1, parts[name]) for name in "qk")
        found[number] = Projections((parts["q"], parts["k"], parts["v"]), (query, key))
    return Thoughts(logits, states, found)


@contextmanager
def states_of(network: Network, layers: Collection[int]) -> Iterator[dict[int, Tensor]]:
    """Notes what these layers give while the network runs; 0: what the embeddings give."""
    noted: dict[int, Tensor] = {}
    last = len(network.blocks())
    deep = any(number < last for number in layers)

    def ask(encoder: nn.Module, args: Any, told: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**told, "output_hidden_states": deep}

    def note(encoder: nn.Module, args: Any, found: Any) -> None:
        for number in layers:
            noted[number] = found.last_hidden_state if number == last else found.hidden_states[number]

    hooks = [
        network.encoder.register_forward_pre_hook(ask, with_kwargs=True),
        network.encoder.register_forward_hook(note),
    ]
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def projections_of(network: Network, layers: Sequence[int]) -> Iterator[dict[int, dict[str, Tensor]]]:
    """Notes what the query, key and value maps of these layers give while the network runs."""
    noted: dict[int, dict[str, Tensor]] = {number: {} for number in layers}
    hooks = []
    for number in layers:
        block = network.blocks()[number - 1]
        for name, linear in (("q", block.query), ("k", block.key), ("v", block.value)):

            def note(
                module: nn.Module, inputs: object, output: Tensor, at: int = number, as_: str = name
            ) -> None:
                noted[at][as_] = output

            hooks.append(linear.register_forward_hook(note))
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


class Teacher:
    """A network that only answers; with `cache`, each row once."""

    def __init__(
        self, network: Network, layers: Sequence[int], looks_inside: bool, lengths: Sequence[int] | None
    ) -> None:
        self.network = network.eval()
        self.layers = sorted(set(layers))
        self.looks_inside = looks_inside
        self.memory = None if lengths is None else Memory(lengths)

    def answer(self, batch: Batch) -> Thoughts:
        if self.memory is not None and self.memory.knows(batch.numbers):
            return self.memory.recall(batch)
        with torch.no_grad():
            found = thoughts_of(self.network, batch, self.layers, self.looks_inside)
        if self.memory is None:
            return found
        self.memory.keep(batch, found)
        return self.memory.recall(batch)  # as it will be told from now on: layers are kept in FP16


def memory_for(network: Network, layers: Collection[int], lengths: Sequence[int]) -> int:
    """Bytes that `Memory` takes to keep these layers, and the logits, of texts of these lengths."""
    labels = {
        scope: sum(len(o.labels) for o in network.outputs if o.scope == scope) for scope in ("text", "token")
    }
    a_token = 2 * int(network.encoder.config.hidden_size) * len(layers) + 4 * labels["token"]
    return a_token * sum(lengths) + 4 * labels["text"] * len(lengths)


class Memory:
    """Logits and layers of each row, token after token in one long tensor for each kind."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.starts = torch.tensor([0, *lengths]).cumsum(0)
        self.known = torch.zeros(len(lengths), dtype=torch.bool)
        self.by_token: dict[str, Tensor] = {}
        self.by_text: dict[str, Tensor] = {}

    def knows(self, numbers: Sequence[int]) -> bool:
        return bool(self.known[list(numbers)].all())

    def keep(self, batch: Batch, thoughts: Thoughts) -> None:
        rows = torch.tensor(list(batch.numbers))
        real = batch.mask.bool().cpu()
        places = self.places(rows, batch.mask.shape[1])[real]
        named = {f"logits.{name}": tensor for name, tensor in thoughts.logits.items()}
        named |= {f"layer.{number}": tensor for number, tensor in thoughts.layers.items()}
        for name, tensor in named.items():
            plain = tensor.detach().cpu()
            if plain.dim() == 2:
                self._table(self.by_text, name, len(self.known), plain)[rows] = plain
            else:
                table = self._table(self.by_token, name, int(self.starts[-1]), plain)
                table[places] = plain[real].to(table.dtype)
        self.known[rows] = True

    def recall(self, batch: Batch) -> Thoughts:
        rows = torch.tensor(list(batch.numbers))
        device = batch.ids.device
        # past the end of a short row lie its neighbours: the mask keeps them out of every loss
        places = self.places(rows, batch.mask.shape[1]).clamp(max=int(self.starts[-1]) - 1)
        named = {name: table[rows] for name, table in self.by_text.items()}
        named |= {name: table[places] for name, table in self.by_token.items()}
        moved = {name: tensor.to(device) for name, tensor in named.items()}
        return Thoughts(
            {n.removeprefix("logits."): t for n, t in moved.items() if n.startswith("logits.")},
            {int(n.removeprefix("layer.")): t for n, t in moved.items() if n.startswith("layer.")},
            {},
        )

    def places(self, rows: Tensor, width: int) -> Tensor:
        return self.starts[rows][:, None] + torch.arange(width)

    @staticmethod
    def _table(tables: dict[str, Tensor], name: str, rows: int, like: Tensor) -> Tensor:
        if name not in tables:
            half = name.startswith("layer.")  # layers are wide, and FP16 is finer than BF16
            dtype = torch.float16 if half else like.dtype
            tables[name] = torch.zeros(rows, like.shape[-1], dtype=dtype)
        return tables[name]
