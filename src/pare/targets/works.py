"""What the arms of a comparison are fed: the same texts for each, as its own tokenizer reads them."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pare.answering import padded
from pare.checkpoint import TOKENIZER, Checkpoint
from pare.decoding import Text
from pare.errors import StageFailed
from pare.targets.hardware import Hardware
from pare.targets.inputs import Pair, write_inputs
from pare.tasks.text import TextEncoder

LATENCY = "latency"
#: of each size throughput is taken from so many batches, and from so many texts at least
BATCHES, TEXTS = 4, 16


def padded_work(batch: int) -> str:
    return f"padded{batch}"


def bucketed_work(batch: int) -> str:
    return f"bucketed{batch}"


@dataclass(frozen=True)
class Works:
    """Files for one arm. counts: inputs by the name of the work; lengths: real tokens of the texts timed."""

    inputs: Path
    texts: Path
    counts: dict[str, int]
    lengths: tuple[int, ...]
    about: dict[str, Any]


def write_works(folder: Path, checkpoint: Checkpoint, texts: Sequence[Text], hardware: Hardware) -> Works:
    """Batches of `hardware.batch` texts for latency, of each throughput batch as they come and by length."""
    if misfits := hardware.misfits(len(texts), [checkpoint.longest], checkpoint.max_length):
        raise StageFailed(f"measuring: {'; '.join(misfits)}")
    folder.mkdir()
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    rows = [e.ids for e in encoder.encode(texts, places=False)]
    lengths = [min(len(row), hardware.length or len(row)) for row in rows]
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)  # a file sorted by length would make padding look cheap
    groups = {LATENCY: whole_batches(order, hardware.batch)}
    by_length = sorted(order, key=lengths.__getitem__)
    for batch in hardware.throughput_batches:
        groups[padded_work(batch)] = spread(whole_batches(order, batch), lengths)
        groups[bucketed_work(batch)] = spread(whole_batches(by_length, batch), lengths)

    def pair(batch: Sequence[int]) -> Pair:
        return padded([rows[i] for i in batch], checkpoint.pad_id, hardware.length)

    write_inputs(folder / "inputs.npz", {work: list(map(pair, batches)) for work, batches in groups.items()})
    batched = [[texts[i] for i in batch_rows] for batch_rows in groups[LATENCY]]
    (folder / "texts.json").write_text(json.dumps(batched), encoding="utf-8")
    return Works(
        inputs=folder / "inputs.npz",
        texts=folder / "texts.json",
        counts={name: len(batches) for name, batches in groups.items()},
        lengths=tuple(lengths[i] for batch_rows in groups[LATENCY] for i in batch_rows),
        about={key: checkpoint.record[key] for key in ("max_length", "pad_id", "outputs")},
    )


def spread(batches: Sequence[list[int]], lengths: Sequence[int]) -> list[list[int]]:
    """A few that stand for all: from those that are padded to little to those that are padded to much."""
    rising = sorted(batches, key=lambda batch: max(lengths[i] for i in batch))
    count = min(max(BATCHES, TEXTS // len(batches[0])), len(batches))
    return [rising[(2 * i + 1) * len(batches) // (2 * count)] for i in range(count)]


def whole_batches(order: Sequence[int], size: int) -> list[list[int]]:
    """Texts again from the first where there are fewer than one batch."""
    if len(order) < size:
        return [[order[i % len(order)] for i in range(size)]]
    return [list(order[i : i + size]) for i in range(0, len(order) - size + 1, size)]
