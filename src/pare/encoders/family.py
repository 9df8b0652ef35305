"""What an encoder family has to tell: where its heads, its feed-forward neurons and its embeddings are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pare.encoders.model import Architecture


@dataclass(frozen=True)
class Block:
    """The prunable linear maps of one layer. Rows of query, key and value are heads x head_size.

    gate: where neurons are gated, the map whose output each neuron's own is multiplied with.
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    intermediate: nn.Linear
    output: nn.Linear
    head_size: int
    gate: nn.Linear | None = None

    @property
    def heads(self) -> int:
        return self.query.out_features // self.head_size

    @property
    def neurons(self) -> int:
        return self.intermediate.out_features

    @property
    def into_heads(self) -> tuple[nn.Linear, ...]:
        """The maps whose rows are heads."""
        return (self.query, self.key, self.value)

    @property
    def into_neurons(self) -> tuple[nn.Linear, ...]:
        """The maps whose rows are neurons."""
        return (self.intermediate,) if self.gate is None else (self.intermediate, self.gate)


class Family(ABC):
    """Finds the parts of an encoder."""

    model_types: tuple[str, ...]
    #: those whose class in transformers can be told to leave out the pooler, which nothing here reads
    with_pooler: tuple[str, ...] = ()
    #: whether `head_of` knows the classifiers that transformers has of it
    reads_classifiers: bool = False
    #: the config's name for the share that is dropped before the heads
    dropout: str = "hidden_dropout_prob"

    @abstractmethod
    def shape(self, architecture: Architecture, words: int, padding: int) -> Mapping[str, Any]:
        """The config of a new encoder. words: tokens of its vocabulary. padding: the padding token's id."""

    def make_prunable(self, encoder: nn.Module) -> None:  # noqa: B027  # most families have nothing to do
        """Gives a freshly built encoder the linear maps that `Block` names, where it has them in one."""

    @abstractmethod
    def blocks(self, encoder: nn.Module) -> list[Block]: ...

    @abstractmethod
    def resize_block(self, encoder: nn.Module, index: int, heads: int, neurons: int) -> None:
        """Gives one layer new, untrained linear maps for that many heads and neurons."""

    @abstractmethod
    def note_heads(self, encoder: nn.Module) -> None:
        """Writes the head counts that the weights have into the attention modules."""

    @abstractmethod
    def keep_layers(self, encoder: nn.Module, kept: Sequence[int]) -> None:
        """Only the layers of these indices stay, in this order."""

    @abstractmethod
    def longest_text(self, encoder: nn.Module) -> int:
        """How many tokens the positions reach."""

    @abstractmethod
    def cut_positions(self, encoder: nn.Module, tokens: int) -> None:
        """The positions reach `tokens` tokens and no further."""

    def head_of(self, model: Any) -> tuple[nn.Linear, nn.Linear | None, str]:
        """Of a classifier: its last map, the one before it, if there is one, and what comes between them."""
        raise NotImplementedError

    def in_place(self, encoder: nn.Module, layer: int, projected: Tensor) -> Tensor:
        """Queries or keys of a layer, (texts, tokens, width), as attention compares them."""
        return projected

    def keep_tokens(self, encoder: Any, kept: Sequence[int]) -> None:
        """Only the embeddings of these token ids stay: row i of the new table is row kept[i] of the old."""
        encoder.set_input_embeddings(rows_of(encoder.get_input_embeddings(), kept))
        encoder.config.vocab_size = len(kept)
        new = {old: i for i, old in enumerate(kept)}
        for name, value in encoder.config.to_dict().items():
            if name.endswith("_token_id") and isinstance(value, int):
                setattr(encoder.config, name, new.get(value))


def sizes_of(architecture: Architecture, words: int, padding: int) -> dict[str, Any]:
    """What most configs of transformers call an architecture's numbers."""
    return {
        "vocab_size": words,
        "hidden_size": architecture.hidden,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "intermediate_size": architecture.ffn,
        "max_position_embeddings": architecture.positions,
        "initializer_range": architecture.init_std,
        "pad_token_id": padding,
    }


def rows_of(table: nn.Embedding, kept: Sequence[int]) -> nn.Embedding:
    """A new table with the rows `kept`; padding_idx follows its row."""
    padding = table.padding_idx
    place = list(kept).index(padding) if padding is not None and padding in kept else None
    new = nn.Embedding(len(kept), table.embedding_dim, padding_idx=place)
    with torch.no_grad():
        new.weight.copy_(table.weight[torch.tensor(list(kept))])
    return new


def resized(linear: nn.Linear, *, inputs: int | None = None, outputs: int | None = None) -> nn.Linear:
    """A new, untrained map like `linear` with other sides."""
    sides = inputs or linear.in_features, outputs or linear.out_features
    return nn.Linear(*sides, bias=linear.bias is not None)
