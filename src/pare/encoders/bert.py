"""BERT and what is laid out like it: RoBERTa, XLM-RoBERTa, ERNIE, ELECTRA and, by other names, DistilBERT."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from pare.encoders.family import Block, Family, resized, rows_of, sizes_of
from pare.encoders.model import Architecture


class LearnedPositions(Family):
    """With a table of positions."""

    reads_classifiers = True

    def head_of(self, model: Any) -> tuple[nn.Linear, nn.Linear | None, str]:
        last = model.classifier
        if hasattr(last, "out_proj"):
            return last.out_proj, last.dense, "gelu" if model.config.model_type == "electra" else "tanh"
        if hasattr(model, "pre_classifier"):
            return last, model.pre_classifier, "relu"
        pooler = getattr(model.base_model, "pooler", None)
        return last, None if pooler is None else pooler.dense, "tanh"

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

    def shape(self, architecture: Architecture, words: int, padding: int) -> Mapping[str, Any]:
        shape = sizes_of(architecture, words, padding)
        shape["hidden_dropout_prob"] = shape["attention_probs_dropout_prob"] = architecture.dropout
        if architecture.family == "electra":
            shape["embedding_size"] = architecture.hidden
        if "roberta" in architecture.family:
            shape["max_position_embeddings"] += padding + 1
        return shape

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
        for name in ("query", "key", "value"):
            setattr(attention, name, resized(getattr(attention, name), outputs=inner))
        layer.attention.output.dense = resized(layer.attention.output.dense, inputs=inner)
        layer.intermediate.dense = resized(layer.intermediate.dense, outputs=neurons)
        layer.output.dense = resized(layer.output.dense, inputs=neurons)
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
    dropout = "dropout"

    def shape(self, architecture: Architecture, words: int, padding: int) -> Mapping[str, Any]:
        return {
            "vocab_size": words,
            "dim": architecture.hidden,
            "n_layers": architecture.layers,
            "n_heads": architecture.heads,
            "hidden_dim": architecture.ffn,
            "max_position_embeddings": architecture.positions,
            "initializer_range": architecture.init_std,
            "dropout": architecture.dropout,
            "attention_dropout": architecture.dropout,
            "pad_token_id": padding,
        }

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
        attention = layer.attention
        inner = heads * int(attention.attention_head_size)
        for name in ("q_lin", "k_lin", "v_lin"):
            setattr(attention, name, resized(getattr(attention, name), outputs=inner))
        attention.out_lin = resized(attention.out_lin, inputs=inner)
        layer.ffn.lin1 = resized(layer.ffn.lin1, outputs=neurons)
        layer.ffn.lin2 = resized(layer.ffn.lin2, inputs=neurons)
        self.note_heads(encoder)

    def note_heads(self, encoder: Any) -> None:
        for layer in encoder.transformer.layer:
            attention = layer.attention
            attention.n_heads = attention.q_lin.out_features // attention.attention_head_size

    def keep_layers(self, encoder: Any, kept: Sequence[int]) -> None:
        encoder.transformer.layer = nn.ModuleList(encoder.transformer.layer[i] for i in kept)
        encoder.config.num_hidden_layers = len(kept)
