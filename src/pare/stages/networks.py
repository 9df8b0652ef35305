"""Networks and rows as torch stages use them: read from checkpoints and tasks, written as checkpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from pare.checkpoint import TOKENIZER, Checkpoint, write_record
from pare.encoders.model import Model
from pare.encoders.network import Network, describe, load, pretrained, save, scratch
from pare.errors import ModelError
from pare.outputs import Output
from pare.tasks.task import Split, Task
from pare.tasks.text import TextEncoder, train_wordpiece
from pare.training import Row


def open_network(checkpoint: Checkpoint) -> Network:
    return load(checkpoint.path, checkpoint.outputs)


def open_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    return TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)


def start_network(
    model: Model, task: Task, outputs: Sequence[Output], tokenizer: Tokenizer | None = None
) -> tuple[Network, TextEncoder]:
    """A network to train and its tokenizer: from `model.path`, or from scratch.

    tokenizer: one to share, where the network must read the same tokens as another.
    """
    if model.path is not None:
        source = str(model.folder() or model.path)
        network = pretrained(source, outputs)
        if tokenizer is None:
            tokenizer = pretrained_tokenizer(source)
    else:
        assert model.architecture is not None
        if tokenizer is None:
            texts = [*task.texts("train"), *task.texts("unlabelled")]
            tokenizer = train_wordpiece(texts, model.architecture.vocabulary)
        network = scratch(model.architecture, tokenizer.get_vocab_size(), outputs)
    words = int(network.encoder.config.vocab_size)
    if tokenizer.get_vocab_size() > words:
        raise ModelError(
            f"model: the tokenizer has {tokenizer.get_vocab_size()} tokens, the encoder only {words}"
        )
    positions = int(network.encoder.config.max_position_embeddings)
    return network, TextEncoder(tokenizer, min(task.max_length, positions))


def pretrained_tokenizer(source: str) -> Tokenizer:
    """The tokenizer.json of a folder as it is; else what transformers makes of a hub id or folder."""
    file = Path(source) / TOKENIZER
    if file.is_file():
        return Tokenizer.from_file(str(file))
    fast = AutoTokenizer.from_pretrained(source)
    if not fast.is_fast:
        raise ModelError(f"model.path: {source} has no fast tokenizer (tokenizer.json)")
    return fast.backend_tokenizer


def rows_of(task: Task, split: Split, encoder: TextEncoder) -> list[Row]:
    """The texts of a split as a model takes them; without labels for "unlabelled"."""
    encoded = encoder.encode(task.texts(split))
    if split == "unlabelled":
        return [Row(e.ids) for e in encoded]
    return [Row(e.ids, labels) for e, labels in zip(encoded, task.labels(split, encoded), strict=True)]


def write_network(
    folder: Path,
    network: Network,
    encoder: TextEncoder,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, float]] = (),
) -> None:
    """A torch checkpoint."""
    save(network, folder)
    write_record(
        folder,
        format="torch",
        outputs=network.outputs,
        tokenizer=encoder.tokenizer.to_str(),
        max_length=encoder.max_length,
        pad_id=encoder.pad_id,
        parameters=network.parameter_count(),
        facts={**facts, "shape": describe(network)},
        history=history,
    )
