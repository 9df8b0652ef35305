"""ModernBERT: gated neurons, rotary positions, layers that see all tokens and layers that see near ones.

transformers keeps query, key and value in one linear map, and neurons and their gates in another. Both are
taken apart when an encoder is opened, so that a head and a neuron are rows of maps of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.modernbert.modeling_modernbert import eager_attention_forward

from pare.encoders.family import Block, Family, resized, sizes_of
from pare.encoders.model import Architecture
from pare.encoders.rotary import RotaryPositions
from pare.errors import ModelError

NORMS = "attention_norms"  # in the config, where it is not the first layer alone that has none


class Attention(nn.Module):
    """Of one layer, with a map for each of query, key and value."""

    def __init__(self, fused: Any, positions: RotaryPositions) -> None:
        super().__init__()
        self.config, self.layer_idx = fused.config, fused.layer_idx
        self.is_causal = False
        self.head_size = int(fused.head_dim)
        self.sliding_window = fused.sliding_window  # None: sees all tokens
        self.query, self.key, self.value = parts_of(fused.Wqkv, 3)
        self.Wo, self.out_drop = fused.Wo, fused.out_drop
        self.dropout = float(fused.attention_dropout)
        self.positions = positions

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **rest: Any
    ) -> tuple[Tensor, Tensor | None]:
        by_head = (*hidden_states.shape[:-1], -1, self.head_size)
        query, key, value = (
            linear(hidden_states).view(by_head).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        mixed, weights = attend(
            self,
            self.positions(query),
            self.positions(key),
            value,
            attention_mask,
            dropout=self.dropout if self.training else 0.0,
            scaling=self.head_size**-0.5,
            sliding_window=self.sliding_window,
        )
        joined = mixed.reshape(*hidden_states.shape[:-1], -1).contiguous()
        return self.out_drop(self.Wo(joined)), weights


class GatedNeurons(nn.Module):
    """The feed-forward part of one layer, with a map for the neurons and one for their gates."""

    def __init__(self, fused: Any) -> None:
        super().__init__()
        self.neurons, self.gates = parts_of(fused.Wi, 2)
        self.act, self.drop, self.Wo = fused.act, fused.drop, fused.Wo

    def forward(self, hidden_states: Tensor) -> Tensor:
        opened: Tensor = self.act(self.neurons(hidden_states)) * self.gates(hidden_states)
        found: Tensor = self.Wo(self.drop(opened))
        return found


def parts_of(fused: nn.Linear, count: int) -> list[nn.Linear]:
    """The maps, equally high, that a map is stacked from."""
    found = []
    rows = fused.out_features // count
    with torch.no_grad():
        for start in range(0, fused.out_features, rows):
            part = resized(fused, outputs=rows).to(fused.weight)
            part.weight.copy_(fused.weight[start : start + rows])
            if fused.bias is not None:
                part.bias.copy_(fused.bias[start : start + rows])
            found.append(part)
    return found


class NoAngles(nn.Module):
    """In the place of what gives all layers their angles: each layer's attention has a table."""

    def forward(self, hidden_states: Tensor, position_ids: Tensor, layer_type: str) -> None:
        return None


class ModernBertFamily(Family):
    """ModernBERT."""

    model_types = ("modernbert",)
    dropout = "classifier_dropout"

    def shape(self, architecture: Architecture, words: int, padding: int) -> Mapping[str, Any]:
        if (size := architecture.hidden // architecture.heads) % 2:
            raise ModelError(
                f"model.architecture.heads={architecture.heads}: heads of {size} channels cannot be rotated; "
                "hidden / heads must be even"
            )
        dropped = ("attention", "embedding", "mlp", "classifier")
        # the ids of ModernBERT's own vocabulary mean something else in another one
        foreign = ("bos", "eos", "cls", "sep")
        return {
            **sizes_of(architecture, words, padding),
            **{f"{name}_dropout": architecture.dropout for name in dropped},
            **{f"{name}_token_id": None for name in foreign},
        }

    def make_prunable(self, encoder: Any) -> None:
        config = encoder.config
        tables = {kind: table_of(encoder, kind) for kind in set(config.layer_types)}
        normed = getattr(config, NORMS, None) or [i > 0 for i in range(len(encoder.layers))]
        for layer, has_norm in zip(encoder.layers, normed, strict=True):
            layer.attn = Attention(layer.attn, tables[layer.attention_type])
            layer.mlp = GatedNeurons(layer.mlp)
            if has_norm != isinstance(layer.attn_norm, nn.LayerNorm):
                layer.attn_norm = norm_of(config) if has_norm else nn.Identity()
        encoder.rotary_emb = NoAngles()

    def blocks(self, encoder: Any) -> list[Block]:
        return [
            Block(
                layer.attn.query,
                layer.attn.key,
                layer.attn.value,
                layer.attn.Wo,
                layer.mlp.neurons,
                layer.mlp.Wo,
                layer.attn.head_size,
                layer.mlp.gates,
            )
            for layer in encoder.layers
        ]

    def resize_block(self, encoder: Any, index: int, heads: int, neurons: int) -> None:
        attention, feed_forward = encoder.layers[index].attn, encoder.layers[index].mlp
        inner = heads * attention.head_size
        for name in ("query", "key", "value"):
            setattr(attention, name, resized(getattr(attention, name), outputs=inner))
        attention.Wo = resized(attention.Wo, inputs=inner)
        for name in ("neurons", "gates"):
            setattr(feed_forward, name, resized(getattr(feed_forward, name), outputs=neurons))
        feed_forward.Wo = resized(feed_forward.Wo, inputs=neurons)

    def note_heads(self, encoder: Any) -> None:
        """Nothing to write: attention takes the count from the weights."""

    def keep_layers(self, encoder: Any, kept: Sequence[int]) -> None:
        """How far a layer sees, and whether it has a norm before attention, belongs to the layer."""
        config = encoder.config
        encoder.layers = nn.ModuleList(encoder.layers[i] for i in kept)
        config.layer_types = [layer.attention_type for layer in encoder.layers]
        config.num_hidden_layers = len(kept)
        setattr(config, NORMS, [isinstance(layer.attn_norm, nn.LayerNorm) for layer in encoder.layers])

    def longest_text(self, encoder: Any) -> int:
        return int(encoder.config.max_position_embeddings)

    def cut_positions(self, encoder: Any, tokens: int) -> None:
        encoder.config.max_position_embeddings = tokens
        for layer in encoder.layers:
            layer.attn.positions.cut(tokens)

    def in_place(self, encoder: Any, layer: int, projected: Tensor) -> Tensor:
        attention = encoder.layers[layer].attn
        by_head = projected.view(*projected.shape[:2], -1, attention.head_size).transpose(1, 2)
        turned: Tensor = attention.positions(by_head)
        return turned.transpose(1, 2).flatten(2)


def norm_of(config: Any) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


def table_of(encoder: Any, kind: str) -> RotaryPositions:
    """The angles of a kind of layer, for every position."""
    if (rope := encoder.config.rope_parameters[kind]["rope_type"]) in ("dynamic", "longrope"):
        raise ModelError(f"model: rotary positions of the kind {rope!r}, which change with the text's length")
    everywhere = torch.arange(encoder.config.max_position_embeddings)[None]
    cosines, sines = encoder.rotary_emb(torch.zeros(1), everywhere, kind)
    half = cosines.shape[-1] // 2
    return RotaryPositions(cosines[0, :, :half].clone(), sines[0, :, :half].clone())
