"""Rows of token ids and labels, and padded batches of them, texts of similar length together."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

    Labels are (texts,) or (texts, tokens); where any may hold, 1 or 0 along one more axis of labels.
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
            write_labels(labels[output.name][i], row.labels[output.name], output)
    moved = {name: tensor.to(device) for name, tensor in labels.items()}
    return Batch(ids.to(device), mask.to(device), moved, tuple(numbers))


def write_labels(into: Tensor, value: Any, output: Output) -> None:
    """One text's labels into its row of a batch; None is a token without any."""
    if output.choice == "one":
        (into[: len(value)] if output.scope == "token" else into)[...] = torch.tensor(value)
        return
    parts = [(into, value)] if output.scope == "text" else zip(into, value, strict=False)
    for row, ids in parts:
        if ids is not None:
            row[:] = 0
            row[ids] = 1


def label_shape(output: Output, texts: int, tokens: int) -> tuple[int, ...]:
    one = (texts, tokens) if output.scope == "token" else (texts,)
    return (*one, len(output.labels)) if output.choice == "any" else one


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
