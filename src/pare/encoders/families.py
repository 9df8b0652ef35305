"""Where each encoder family keeps its heads, its feed-forward neurons and its embeddings.

Nothing else in the code knows a family. To add one, write a subclass of `Family` and list it in FAMILIES.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

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

    @abstractmethod
    def blocks(self, encoder: nn.Module) -> list[Block]: ...

    @abstractmethod
    def resize_block(self, encoder: nn.Module, index: int, heads: int, neurons: int) -> None:
        """Gives one layer new, untrained linear maps for that many heads and neurons."""

    @abstractmethod
    def note_heads(self, encoder: nn.Module) -> None:
        """Writes the head counts that the weights have into the attention modules."""


class BertFamily(Family):
    """BERT and everything laid out like it."""

    model_types = ("bert", "roberta", "xlm-roberta", "ernie", "electra")

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


FAMILIES: tuple[Family, ...] = (BertFamily(),)


def family_of(model_type: str) -> Family:
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = sorted(t for family in FAMILIES for t in family.model_types)
    raise ModelError(
        f"model: no adapter for the encoder family {model_type!r} (there are {', '.join(known)}); "
        "write one in src/pare/encoders/families.py"
    )
