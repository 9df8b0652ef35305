"""Rows of token ids and labels, and padded batches of them, texts of similar length together."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pare.outputs import IGNORED_LABEL, Labels, Output


@dataclass(frozen=True)
class Row:
    """One text as a model takes it: token ids, and label ids by output name where the text has labels."""

    ids: Sequence[int]
    labels: Labels | None = None


@dataclass(frozen=True)
class Batch:
    """Padded tensors: ids and mask (texts, tokens), labels by output name.

    Labels are (texts,), (texts, tokens), or 1 where a label holds and else 0, (texts, labels).
    """

    ids: Tensor
    mask: Tensor
    labels: Mapping[str, Tensor]
    numbers: Sequence[int] = ()  # of the rows in what is trained on


def collate(
    rows: Sequence[Row],
    outputs: Sequence[Output],
    pad_id: int,
    device: torch.device,
    numbers: Sequence[int] = (),
) -> Batch:
    """Pads to the longest row. Missing labels, like those of padding, are IGNORED_LABEL."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    labels = {o.name: torch.full(label_shape(o, len(rows), width), IGNORED_LABEL) for o in outputs}
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
        for output in outputs:
            if row.labels is None or output.name not in row.labels:
                continue
            value = row.labels[output.name]
            if isinstance(value, int):
                labels[output.name][i] = value
            elif output.choice == "any":
                labels[output.name][i] = 0
                labels[output.name][i, value] = 1
            else:
                labels[output.name][i, : len(value)] = torch.tensor(value)
    moved = {name: tensor.to(device) for name, tensor in labels.items()}
    return Batch(ids.to(device), mask.to(device), moved, tuple(numbers))


def label_shape(output: Output, texts: int, tokens: int) -> tuple[int, ...]:
    if output.choice == "any":
        return texts, len(output.labels)
    return (texts, tokens) if output.scope == "token" else (texts,)


def shuffled_batches(lengths: Sequence[int], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of row numbers: shuffled, then sorted by length within windows to save padding."""
    rng = random.Random(seed)
    order = list(range(len(lengths)))
    window = batch_size * 32
    while True:
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), window):
            part = sorted(order[start : start + window], key=lengths.__getitem__)
            batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
        rng.shuffle(batches)
        yield from batches
