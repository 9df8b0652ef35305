"""Networks and rows as torch stages use them: read from checkpoints and tasks, written as checkpoints."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig

from pare.answering import Logits, answers_of_logits, logits_of_run
from pare.batches import Row
from pare.checkpoint import RECORD, TOKENIZER, Checkpoint, write_record
from pare.encoders.heads import answers_all
from pare.encoders.model import Model
from pare.encoders.network import Network, describe, load, pretrained, save, scratch
from pare.encoders.tokenizer import pretrained_tokenizer
from pare.errors import ModelError, StageFailed
from pare.fitting import Judge
from pare.forwarding import network_run
from pare.ondemand import OnDemand, changed, drawn, one_after_another
from pare.outputs import Output, has_places
from pare.tasks.columns import Answers, Ragged
from pare.tasks.example import singly
from pare.tasks.task import Split, Task
from pare.tasks.text import TextEncoder, train_wordpiece, wordpiece_from
from pare.thresholds import best_threshold, closed
from pare.training import Device, resolve_device

log = logging.getLogger(__name__)


def open_network(checkpoint: Checkpoint) -> Network:
    return load(checkpoint.path, checkpoint.outputs)


def open_text_encoder(checkpoint: Checkpoint) -> TextEncoder:
    return TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)


def start_network(
    model: Model, task: Task, outputs: Sequence[Output], tokenizer: Tokenizer | None = None
) -> tuple[Network, TextEncoder]:
    """A network to train and its tokenizer: from `model.path`, or from scratch.

    tokenizer: of a new model, that of another whose tokens it is to read.
    """
    folder = model.folder()
    if folder is not None and (folder / RECORD).is_file():
        network, tokenizer = continued(Checkpoint(folder, ""), outputs)
    else:
        tokenizer = tokenizer or tokenizer_for(model, task)
        if model.path is not None:
            network = pretrained(str(folder or model.path), outputs)
        else:
            assert model.architecture is not None
            pad_id = TextEncoder(tokenizer, task.max_length).pad_id
            network = scratch(model.architecture, tokenizer.get_vocab_size(), pad_id, outputs)
    words = int(network.encoder.config.vocab_size)
    if tokenizer.get_vocab_size() > words:
        raise ModelError(
            f"model: the tokenizer has {tokenizer.get_vocab_size()} tokens, the encoder only {words}"
        )
    if task.pairs:
        network.separator = TextEncoder(tokenizer, task.max_length).separator_id
    positions = network.family.longest_text(network.encoder)
    if positions < task.max_length:
        whole = TextEncoder(tokenizer, task.max_length)
        lengths = [len(e.ids) for e in whole.encode(task.texts("train"), places=False)]
        if cut := sum(length > positions for length in lengths):
            log.warning(
                "task.max_length=%d: %s reads at most %d tokens; %d of %d training texts are cut to that",
                task.max_length, model.name, positions, cut, len(lengths),
            )  # fmt: skip
    return network, TextEncoder(tokenizer, min(task.max_length, positions))


def tokenizer_for(model: Model, task: Task) -> Tokenizer:
    """The model's own; for a new model its vocabulary's, or one made for the task's texts."""
    if model.path is not None:
        return pretrained_tokenizer(str(model.folder() or model.path))
    assert model.architecture is not None
    if model.architecture.vocabulary_file is not None:
        return wordpiece_from(Path(model.architecture.vocabulary_file).expanduser())
    texts = [*task.texts("train"), *task.texts("unlabelled")]
    return train_wordpiece(list(singly(texts)), model.architecture.vocabulary)


def continued(checkpoint: Checkpoint, outputs: Sequence[Output]) -> tuple[Network, Tokenizer]:
    """A network of Pare's own: its encoder, and those of its heads that answer the very same."""
    found = open_network(checkpoint)
    network = Network(found.encoder, outputs)
    for output in outputs:
        if output in found.outputs:
            network.heads[output.name] = found.heads[output.name]
    return network, open_text_encoder(checkpoint).tokenizer


def is_fine_tuned(model: Model, task: Task) -> bool:
    """Whether the model is a checkpoint of Pare's, or of transformers', that answers this very task."""
    if model.path is None:
        return False
    folder = model.folder()
    if folder is not None and (folder / RECORD).is_file():
        return set(task.outputs()) <= set(Checkpoint(folder, "").outputs)
    return answers_all(AutoConfig.from_pretrained(folder or model.path), task.outputs())


def start_student(model: Model, task: Task, encoder: TextEncoder) -> Network:
    """A network for a task that reads the tokens of its teacher's `encoder`, as far as that does."""
    if model.path is None and model.architecture is not None:
        positions = max(model.architecture.positions, encoder.max_length)
        model = replace(model, architecture=replace(model.architecture, positions=positions))
        own = deepcopy(encoder.tokenizer)  # whose truncation is set to another length
        student, _ = start_network(model, task, task.outputs(), own)
    else:
        student, its = start_network(model, task, task.outputs())
        read_alike(student, its, encoder, "student", "teacher")
    check_positions(student, model, encoder, "student", "teacher")
    return student


def check_positions(network: Network, model: Model, others: TextEncoder, name: str, other: str) -> None:
    """Whether it reads all that the other one does. name, other: as for `read_alike`."""
    longest = network.family.longest_text(network.encoder)
    if longest < others.max_length:
        raise ModelError(
            f"{name}: {model.name} has {longest} positions, fewer than the {other}'s "
            f"{others.max_length} tokens"
        )


def taught_by(teacher: Literal["baseline", "previous"] | Model) -> str:
    """The role of the checkpoint that teaches, or with a model of its own has the tokenizer."""
    return "model" if teacher == "previous" else "baseline"


def teacher_of(checkpoint: Checkpoint, encoder: TextEncoder) -> Network:
    """The network of a checkpoint, made to read the tokens of its student's `encoder`."""
    teacher = open_network(checkpoint)
    read_alike(teacher, open_text_encoder(checkpoint), encoder, "teacher", "student")
    return teacher


def read_alike(network: Network, its: TextEncoder, others: TextEncoder, name: str, other: str) -> None:
    """Renumbers a network's tokens as the other one has them, where a vocabulary was cut.

    name, other: which of teacher and student each of them is.
    """
    known, wanted = its.tokenizer.get_vocab(), others.tokenizer.get_vocab()
    if known == wanted:
        return
    if missing := sorted(wanted.keys() - known.keys()):
        raise ModelError(
            f"{name}: it cannot read the {other}'s tokens; {len(missing)} are unknown to it, "
            f"such as {missing[:3]}"
        )
    network.family.keep_tokens(
        network.encoder, [known[token] for token in sorted(wanted, key=wanted.__getitem__)]
    )


def rows_of(task: Task, split: Split, encoder: TextEncoder) -> Sequence[Row]:
    """The texts of a split as a model takes them; without labels for "unlabelled"."""
    if split == "unlabelled":
        return changed(encoder.encode(task.texts(split), places=False), lambda e: Row(e.ids))
    encoded = encoder.encode(task.texts(split), places=has_places(task.outputs()))
    labels = Answers(task.outputs(), task.labels(split, encoded))
    ids = Ragged()  # alone: where tokens lie is in the labels now
    for text in encoded:
        ids.add(text.ids)
    return OnDemand(len(ids), lambda i: Row(ids[i].tolist(), labels[i]))


def lessons_of(task: Task, encoder: TextEncoder, unlabelled: bool) -> Sequence[Row]:
    """The training texts with their labels and, if wanted, the task's texts without."""
    labelled = rows_of(task, "train", encoder)
    return one_after_another(labelled, rows_of(task, "unlabelled", encoder)) if unlabelled else labelled


def lesson_count(task: Task, unlabelled: bool) -> int:
    """How many `lessons_of` has."""
    splits: tuple[Split, ...] = ("train", "unlabelled") if unlabelled else ("train",)
    return sum(len(task.texts(split)) for split in splits)


def some_rows(task: Task, encoder: TextEncoder, count: int, seed: int) -> list[Row]:
    """So many training rows from all over the file."""
    texts = task.texts("train")
    numbers = drawn(range(len(texts)), count, seed)
    found = encoder.encode([texts[i] for i in numbers], places=has_places(task.outputs()))
    encoded = dict(zip(numbers, found, strict=True))
    labels = task.labels("train", OnDemand(len(texts), encoded.__getitem__))
    return [Row(encoded[i].ids, labels[i]) for i in numbers]


def supernet_widths(checkpoint: Checkpoint, stage: str) -> Sequence[float]:
    """Those that a supernet before the stage has trained; without one StageFailed."""
    if "widths" not in checkpoint.facts:
        raise StageFailed(
            f"{stage}.importance: order keeps the first heads and neurons, and only a supernet before it "
            "makes those the best ones; take another, such as taylor"
        )
    found: Sequence[float] = checkpoint.facts["widths"]
    return found


def judge_of(network: Network, task: Task, encoder: TextEncoder) -> Judge:
    """The task's primary metric of the network on dev, thresholds where they would be put."""
    texts = task.texts("dev")
    encoded = encoder.encode(texts, places=has_places(network.outputs))
    labels = task.labels("dev", encoded)

    def judge() -> float:
        found: Iterable[tuple[int, Logits]] = logits_of_run(network_run(network), encoded, encoder.pad_id)
        if any(output.tuned for output in network.outputs):
            held = dict(found)
            cuts = thresholds_of(network.outputs, labels, held)
            found = ((i, lowered(logits, cuts)) for i, logits in held.items())
        answers = answers_of_logits(found, network.outputs, texts, encoded)
        return task.score("dev", answers)[task.primary]

    return judge


def tune_thresholds(network: Network, task: Task, encoder: TextEncoder, device: Device) -> None:
    """Moves the biases of heads that ask for it: what then lies above 0 gives the best micro F1 on dev."""
    if not any(output.tuned for output in network.outputs):
        return
    encoded = encoder.encode(task.texts("dev"), places=has_places(network.outputs))
    found = dict(logits_of_run(network_run(network.to(resolve_device(device))), encoded, encoder.pad_id))
    network.cpu()
    for name, cut in thresholds_of(network.outputs, task.labels("dev", encoded), found).items():
        head = network.heads[name]
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            head.bias.sub_(cut)


def thresholds_of(
    outputs: Sequence[Output], labels: Sequence[Mapping[str, Any]], found: Mapping[int, Logits]
) -> dict[str, float]:
    """Of each output that asks for one, the logit above which its labels hold. found: logits by text."""
    cuts = {}
    for output in outputs:
        if not output.tuned:
            continue
        rows = [i for i, row in enumerate(labels) if output.name in row]
        logits = np.stack([found[i][output.name] for i in rows])
        truth = np.zeros(logits.shape, dtype=bool)
        for row, i in zip(truth, rows, strict=True):
            row[labels[i][output.name]] = True
        cuts[output.name] = best_threshold(closed(logits, output.implied), truth)
    return cuts


def lowered(logits: Logits, cuts: Mapping[str, float]) -> Logits:
    """What is above its cut is above 0."""
    return {name: values - cuts.get(name, 0.0) for name, values in logits.items()}


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
