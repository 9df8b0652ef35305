"""Where each encoder family keeps its heads, its feed-forward neurons and its embeddings.

Nothing else in the code knows a family. To add one, write a subclass of `Family` and list it in FAMILIES.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pare.errors import ModelError


@dataclass(frozen=True)
class Block:
    """The prunable linear maps of one layer. Rows of query, key and value are heads x head_size."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    intermediate: nn.Linear
    output: nn.Linear
    head_size: int

    @property
    def heads(self) -> int:
        return self.query.out_features // self.head_size

    @property
    def neurons(self) -> int:
        return self.intermediate.out_features


class Family(ABC):
    """Finds the parts of an encoder."""

    model_types: tuple[str, ...]
    #: those whose class in transformers can be told to leave out the pooler, which nothing here reads
    with_pooler: tuple[str, ...] = ()

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
        """How many tokens the position embeddings reach."""

    @abstractmethod
    def cut_positions(self, encoder: nn.Module, tokens: int) -> None:
        """The position embeddings reach `tokens` tokens and no further."""

    def keep_tokens(self, encoder: Any, kept: Sequence[int]) -> None:
        """Only the embeddings of these token ids stay: row i of the new table is row kept[i] of the old."""
        encoder.set_input_embeddings(rows_of(encoder.get_input_embeddings(), kept))
        encoder.config.vocab_size = len(kept)
        new = {old: i for i, old in enumerate(kept)}
        for name, value in encoder.config.to_dict().items():
            if name.endswith("_token_id") and isinstance(value, int):
                setattr(encoder.config, name, new.get(value))


def rows_of(table: nn.Embedding, kept: Sequence[int]) -> nn.Embedding:
    """A new table with the rows `kept`; padding_idx follows its row."""
    padding = table.padding_idx
    place = list(kept).index(padding) if padding is not None and padding in kept else None
    new = nn.Embedding(len(kept), table.embedding_dim, padding_idx=place)
    with torch.no_grad():
        new.weight.copy_(table.weight[torch.tensor(list(kept))])
    return new


class LearnedPositions(Family):
    """With a table of positions."""

    def longest_text(self, encoder: Any) -> int:
        return int(encoder.config.max_position_embeddings) - self._first_position(encoder)

    def cut_positions(self, encoder: Any, tokens: int) -> None:
        rows = tokens + self._first_position(encoder)
        embeddings = encoder.embeddings
        embeddings.position_embeddings = rows_of(embeddings.position_embeddings, range(rows))
        encoder.config.max_position_embeddings = rows
        for name in ("position_ids", "token_type_ids"):
            if (buffer := getattr(embeddings, name, None)) is not None:
                embeddings.register_buffer(name, buffer[:, :rows], persistent=False)

    @staticmethod
    def _first_position(encoder: Any) -> int:
        """RoBERTa counts positions from the padding id on."""
        if "roberta" not in encoder.config.model_type:
            return 0
        return int(encoder.config.pad_token_id) + 1


class BertFamily(LearnedPositions):
    """BERT and everything laid out like it."""

    model_types = ("bert", "roberta", "xlm-roberta", "ernie", "electra")
    with_pooler = ("bert", "roberta", "xlm-roberta", "ernie")

    def blocks(self, encoder: nn.Module) -> list[Block]:
        found = []
        for layer in encoder.encoder.layer:  # type: ignore[union-attr]
            attention = layer.attention.self
            found.append(
                Block(
                    attention.query,
                    attention.key,
                    attention.value,
                    layer.attention.output.dense,
                    layer.intermediate.dense,
                    layer.output.dense,
                    int(attention.attention_head_size),
                )
            )
        return found

    def resize_block(self, encoder: nn.Module, index: int, heads: int, neurons: int) -> None:
        layer: Any = encoder.encoder.layer[index]  # type: ignore[union-attr,index]
        attention = layer.attention.self
        inner = heads * int(attention.attention_head_size)
        hidden = attention.query.in_features
        for name in ("query", "key", "value"):
            setattr(attention, name, nn.Linear(hidden, inner))
        layer.attention.output.dense = nn.Linear(inner, hidden)
        layer.intermediate.dense = nn.Linear(hidden, neurons)
        layer.output.dense = nn.Linear(neurons, hidden)
        self.note_heads(encoder)

    def note_heads(self, encoder: nn.Module) -> None:
        for layer in encoder.encoder.layer:  # type: ignore[union-attr]
            attention = layer.attention.self
            attention.all_head_size = attention.query.out_features
            attention.num_attention_heads = attention.all_head_size // attention.attention_head_size

    def keep_layers(self, encoder: Any, kept: Sequence[int]) -> None:
        encoder.encoder.layer = nn.ModuleList(encoder.encoder.layer[i] for i in kept)
        encoder.config.num_hidden_layers = len(kept)


class DistilBertFamily(LearnedPositions):
    """BERT without token types, its parts by other names."""

    model_types = ("distilbert",)

    def blocks(self, encoder: Any) -> list[Block]:
        return [
            Block(
                layer.attention.q_lin,
                layer.attention.k_lin,
                layer.attention.v_lin,
                layer.attention.out_lin,
                layer.ffn.lin1,
                layer.ffn.lin2,
                int(layer.attention.attention_head_size),
            )
            for layer in encoder.transformer.layer
        ]

    def resize_block(self, encoder: Any, index: int, heads: int, neurons: int) -> None:
        layer = encoder.transformer.layer[index]
        attention, hidden = layer.attention, layer.attention.q_lin.in_features
        inner = heads * int(attention.attention_head_size)
        for name in ("q_lin", "k_lin", "v_lin"):
            setattr(attention, name, nn.Linear(hidden, inner))
        attention.out_lin = nn.Linear(inner, hidden)
        layer.ffn.lin1, layer.ffn.lin2 = nn.Linear(hidden, neurons), nn.Linear(neurons, hidden)
        self.note_heads(encoder)

    def note_heads(self, encoder: Any) -> None:
        for layer in encoder.transformer.layer:
            attention = layer.attention
            attention.n_heads = attention.q_lin.out_features // attention.attention_head_size

    def keep_layers(self, encoder: Any, kept: Sequence[int]) -> None:
        encoder.transformer.layer = nn.ModuleList(encoder.transformer.layer[i] for i in kept)
        encoder.config.num_hidden_layers = len(kept)


FAMILIES: tuple[Family, ...] = (BertFamily(), DistilBertFamily())


def options_of(model_type: str) -> dict[str, bool]:
    """What the encoder's class is told when it is made."""
    return {"add_pooling_layer": False} if model_type in family_of(model_type).with_pooler else {}


def family_of(model_type: str) -> Family:
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = sorted(t for family in FAMILIES for t in family.model_types)
    raise ModelError(
        f"model: no adapter for the encoder family {model_type!r} (there are {', '.join(known)}); "
        "write one in src/pare/encoders/families.py"
    )
