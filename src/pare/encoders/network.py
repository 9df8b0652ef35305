"""The network that is trained: an encoder with one head per output."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from pare.encoders.families import family_of, options_of
from pare.encoders.family import Block, Family
from pare.encoders.heads import DENSE, Classifier, classifier_in, head_for, head_of
from pare.encoders.model import Architecture
from pare.errors import ModelError
from pare.files import write_json
from pare.outputs import Output

WEIGHTS, CONFIG = "model.safetensors", "config.json"
TOLD = {"dtype": torch.float32, "weights_only": True, "output_loading_info": True}  # whoever opens weights
SEPARATOR = "pair_separator_token_id"  # in the config; the vocabulary stage renumbers all *_token_id


def text_numbers(ids: Tensor, separator: int | None) -> Tensor:
    """0 for tokens of the first text of a pair, and its end; 1 for those of the second."""
    if separator is None:
        return torch.zeros_like(ids)
    ends = (ids == separator).long()
    return (ends.cumsum(1) > ends).long()


class Network(nn.Module):
    """Encoder + heads. Text outputs read the first token, token outputs read every token."""

    def __init__(self, encoder: PreTrainedModel, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.encoder = encoder
        self.outputs = tuple(outputs)
        self.dropout = nn.Dropout(float(getattr(encoder.config, self.family.dropout, 0.1)))
        self.heads = nn.ModuleDict({o.name: head_for(o, encoder.config) for o in outputs})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        return self.answers(self.hidden_states(input_ids, attention_mask))

    def answers(self, states: Tensor) -> dict[str, Tensor]:
        """Logits by output name, from the last layer."""
        states = self.dropout(states)
        return {
            o.name: self.heads[o.name](states[:, 0] if o.scope == "text" else states) for o in self.outputs
        }

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The last layer: (texts, tokens, hidden)."""
        states: Tensor = self._encode(input_ids, attention_mask).last_hidden_state
        return states

    def every_layer(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """The embeddings and what each layer makes of them, each (texts, tokens, hidden).

        The last one, too: in some families the heads read it after a norm of its own.
        """
        config: Any = self.encoder.config
        config.tie_last_hidden_states = False  # where transformers looks, and nothing to be saved
        try:
            encoded = self._encode(input_ids, attention_mask, output_hidden_states=True)
        finally:
            del config.tie_last_hidden_states
        layers: tuple[Tensor, ...] = encoded.hidden_states
        return layers

    def _encode(self, input_ids: Tensor, attention_mask: Tensor, **extra: Any) -> Any:
        if getattr(self.encoder.config, "type_vocab_size", 0) > 1:
            # given explicitly, the exported graph needs no ops to look the buffer up
            extra["token_type_ids"] = text_numbers(input_ids, self.separator)
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask, **extra)

    @property
    def separator(self) -> int | None:
        """The token id after which the second text of a pair begins; None: there are no pairs."""
        found: int | None = getattr(self.encoder.config, SEPARATOR, None)
        return found

    @separator.setter
    def separator(self, token_id: int | None) -> None:
        setattr(self.encoder.config, SEPARATOR, token_id)

    @property
    def family(self) -> Family:
        return family_of(self.encoder.config.model_type)

    def blocks(self) -> list[Block]:
        return self.family.blocks(self.encoder)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())


def scratch(
    architecture: Architecture, vocabulary_size: int, pad_id: int, outputs: Sequence[Output]
) -> Network:
    """An untrained network of the given shape."""
    shape = family_of(architecture.family).shape(architecture, vocabulary_size, pad_id)
    return Network(encoder_of(AutoConfig.for_model(architecture.family, **shape)), outputs)


def encoder_of(config: PreTrainedConfig) -> PreTrainedModel:
    options = options_of(config.model_type)
    encoder: PreTrainedModel = AutoModel.from_config(config, **options)  # type: ignore[no-untyped-call]
    family_of(config.model_type).make_prunable(encoder)
    return encoder


def pretrained(path: str, outputs: Sequence[Output]) -> Network:
    """An encoder from a folder or the hub, in FP32. Never runs code from the hub.

    Its heads are untrained, but for that which a classifier of transformers' has for the labels of an output.
    """
    # its report on unused pooler weights says nothing here
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    config = AutoConfig.from_pretrained(path)
    if (positions := getattr(config, "position_embedding_type", "absolute")) != "absolute":
        raise ModelError(f"model.path: {path}: position_embedding_type={positions}; only absolute is read")
    options = options_of(config.model_type)
    encoder = imported(path, options)
    family_of(config.model_type).make_prunable(encoder)
    network = Network(encoder, outputs)
    if classifier := classifier_in(config, outputs):
        take_head(network, classifier, path)
    return network


def take_head(network: Network, classifier: Classifier, path: str) -> None:
    model, found = classifier.opened_by.from_pretrained(path, **TOLD)
    if found["missing_keys"]:
        return  # a class that was written into a config without its weights
    name = classifier.output.name
    head, between = head_of(classifier, model)
    network.heads[name] = head
    if between is not None:
        setattr(network.encoder.config, DENSE, {name: between})


def imported(path: str, options: Mapping[str, Any]) -> PreTrainedModel:
    """The encoder, with every one of its weights: from safetensors, else from a pickle of tensors only."""
    # or transformers asks a service to convert pickled weights on the hub
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    told = {**TOLD, **options}
    try:
        encoder, found = AutoModel.from_pretrained(path, **told)
        if prefix := prefix_of(found["missing_keys"], found["unexpected_keys"]):
            names = {f"^{re.escape(prefix)}": ""}
            encoder, found = AutoModel.from_pretrained(path, key_mapping=names, **told)
    except UnpicklingError:
        raise ModelError(
            f"model.path: {path}: its weights are a pickle of more than tensors, which may run any code "
            "and is not opened; save them as model.safetensors"
        ) from None
    except (OSError, RuntimeError, EOFError, SafetensorError) as e:
        reason = str(e).strip().splitlines()[0]
        raise ModelError(f"model.path: {path}: its weights cannot be read ({reason})") from None
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"model.path: {path} lacks {len(missing)} of the encoder's weights, such as {missing[0]}"
        )
    network: PreTrainedModel = encoder
    return network


def prefix_of(missing: Collection[str], there: Collection[str]) -> str | None:
    """What stands before the names of all weights, where an encoder was saved as part of something else."""
    for name in sorted(missing)[:1]:
        for longer in sorted(there):
            prefix = longer.removesuffix(name)
            if prefix != longer and all(prefix + other in there for other in missing):
                return prefix
    return None


def save(network: Network, folder: Path) -> None:
    """Weights and config, enough for `load` to rebuild the network, pruned or not."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    config = network.encoder.config.to_dict()
    config.pop("_name_or_path", None)  # where it was loaded from is no part of what it is
    write_json(folder / CONFIG, config)


def load(folder: Path, outputs: Sequence[Output]) -> Network:
    """Rebuilds a saved network; the widths of pruned layers are read from the tensors' shapes."""
    config = AutoConfig.from_pretrained(folder)
    network = Network(encoder_of(config), outputs)
    state = load_file(folder / WEIGHTS)
    fit_widths(network, state)
    network.load_state_dict(state)
    return network.eval()


def fit_widths(network: Network, state: Mapping[str, Tensor]) -> None:
    """Resizes the layers of a freshly built network to the shapes in `state`."""
    names = {id(module): name for name, module in network.named_modules()}
    for index, block in enumerate(network.blocks()):
        rows = state[f"{names[id(block.query)]}.weight"].shape[0]
        neurons = state[f"{names[id(block.intermediate)]}.weight"].shape[0]
        if (rows, neurons) != (block.query.out_features, block.neurons):
            network.family.resize_block(network.encoder, index, rows // block.head_size, neurons)


def describe(network: Network) -> dict[str, Any]:
    """The shape in numbers, for records."""
    blocks = network.blocks()
    return {
        "family": network.encoder.config.model_type,
        "layers": len(blocks),
        "tokens": network.family.longest_text(network.encoder),
        "hidden": int(network.encoder.config.hidden_size),
        "head_size": blocks[0].head_size,
        "gated": blocks[0].gate is not None,
        "heads": [block.heads for block in blocks],
        "ffn": [block.neurons for block in blocks],
    }


def is_decayed(name: str) -> bool:
    """Weight decay is for matrices, not for biases and normalisation."""
    return not re.search(r"(bias|LayerNorm|norm)", name)
