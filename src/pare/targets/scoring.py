"""The answers of a checkpoint on a split, from the very artifact that would be deployed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from pare.checkpoint import ONNX_MODEL, TOKENIZER, Checkpoint
from pare.decoding import decode
from pare.encoders.network import load
from pare.targets.hardware import Hardware
from pare.targets.onnx_session import OnnxSession
from pare.tasks.task import Split, Task
from pare.tasks.text import TextEncoder

Run = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


def answers_of(checkpoint: Checkpoint, task: Task, split: Split, hardware: Hardware) -> list[dict[str, Any]]:
    """One answer for each text of the split, in order."""
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    texts = task.texts(split)
    encoded = encoder.encode(texts)
    run = runner(checkpoint, hardware)
    outputs = [{"name": o.name, "labels": o.labels, "scope": o.scope} for o in checkpoint.outputs]
    answers: list[dict[str, Any]] = [{}] * len(texts)
    for rows in batches_by_length([len(e.ids) for e in encoded], 32):
        logits = run(*padded([encoded[i].ids for i in rows], checkpoint.pad_id))
        for place, i in enumerate(rows):
            one = {name: values[place] for name, values in logits.items()}
            answers[i] = decode(outputs, texts[i], encoded[i].offsets, one)
    return answers


def runner(checkpoint: Checkpoint, hardware: Hardware) -> Run:
    """Runs graphs in the target's runtime, and networks in PyTorch."""
    if checkpoint.format == "onnx":
        session = OnnxSession(str(checkpoint.path / ONNX_MODEL), hardware.device, hardware.threads)
        return session.run
    network = load(checkpoint.path, checkpoint.outputs)

    def run(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = network(torch.from_numpy(ids), torch.from_numpy(mask))
        return {name: value.numpy() for name, value in found.items()}

    return run


def batches_by_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def padded(
    rows: Sequence[Sequence[int]], pad_id: int, width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(ids, mask) as int64, padded or cut to `width` (None: the longest row)."""
    width = width or max(len(row) for row in rows)
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        cut = row[:width]
        ids[i, : len(cut)] = cut
        mask[i, : len(cut)] = 1
    return ids, mask
