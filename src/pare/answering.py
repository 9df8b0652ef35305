"""From token ids to the answers of a model, whatever runs it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pare.decoding import Text, decode
from pare.outputs import Output
from pare.tasks.example import Encoded

#: by output name
Logits = Mapping[str, np.ndarray]
#: (ids, mask) as int64 arrays, (texts, tokens), to logits
Run = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


def answers_of_run(
    run: Run, outputs: Sequence[Output], texts: Sequence[Text], encoded: Sequence[Encoded], pad_id: int
) -> list[dict[str, Any]]:
    """One answer for each text, in order."""
    return answers_of_logits(logits_of_run(run, encoded, pad_id), outputs, texts, encoded)


def answers_of_logits(
    found: Iterable[tuple[int, Logits]],
    outputs: Sequence[Output],
    texts: Sequence[Text],
    encoded: Sequence[Encoded],
) -> list[dict[str, Any]]:
    """One answer for each text, in order. found: the number of each text and its logits."""
    plain = [asdict(output) for output in outputs]
    answers: list[dict[str, Any]] = [{}] * len(texts)
    for i, logits in found:
        answers[i] = decode(plain, texts[i], encoded[i].offsets, logits)
    return answers


def logits_of_run(run: Run, encoded: Sequence[Encoded], pad_id: int) -> Iterator[tuple[int, Logits]]:
    """The number of each text and its logits; texts of similar length run together."""
    for rows in batches_by_length([len(e.ids) for e in encoded], 32):
        logits = run(*padded([encoded[i].ids for i in rows], pad_id))
        for place, i in enumerate(rows):
            yield i, {name: values[place] for name, values in logits.items()}


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
