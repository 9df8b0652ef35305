"""What is in a task's data: sizes, labels, lengths, texts that come twice, labels that training lacks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pare.decoding import Text
from pare.tasks.example import Example
from pare.tasks.task import LABELLED, Split, Task
from pare.tasks.text import TextEncoder

PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class Survey:
    """By split; disputed are texts of train that come with different labels.

    labels, spans: how often each occurs. lengths: tokens at PERCENTILES, 0 without rows.
    cut: texts longer than max_length. seen: texts that are in train too; in train, those that come again.
    in_both: texts of test and of dev.
    """

    rows: Mapping[Split, int]
    labels: Mapping[Split, Counter[str]]
    spans: Mapping[Split, Counter[str]]
    lengths: Mapping[Split, Sequence[int]]
    cut: Mapping[Split, int]
    seen: Mapping[Split, int]
    in_both: int
    disputed: int
    max_length: int
    suggested: int

    def unknown(self, split: Split) -> list[str]:
        """Labels of a split that training lacks."""
        both = (self.labels, self.spans)
        return [label for counts in both for label in sorted(counts[split].keys() - counts["train"].keys())]


def survey(task: Task, encoder: TextEncoder) -> Survey:
    """encoder: must cut nothing."""
    examples = {split: task.examples(split) for split in LABELLED}
    encoded = {split: encoder.encode(task.texts(split), places=False) for split in LABELLED}
    tokens = {split: [len(e.ids) for e in rows] for split, rows in encoded.items()}
    known: dict[Text, set[object]] = {}
    for example in examples["train"]:
        known.setdefault(example.text, set()).add((frozenset(example.labels), frozenset(example.spans)))
    seen = {split: sum(e.text in known for e in examples[split]) for split in LABELLED}
    return Survey(
        rows={split: len(rows) for split, rows in examples.items()},
        labels={s: Counter(label for e in rows for label in e.labels) for s, rows in examples.items()},
        spans={s: Counter(span.label for e in rows for span in e.spans) for s, rows in examples.items()},
        lengths={split: lengths_at(counts, PERCENTILES) for split, counts in tokens.items()},
        cut={split: sum(n > task.max_length for n in counts) for split, counts in tokens.items()},
        seen={**seen, "train": len(examples["train"]) - len(known)},
        in_both=len(shared(examples["dev"], examples["test"])),
        disputed=sum(len(ways) > 1 for ways in known.values()),
        max_length=task.max_length,
        suggested=suggested_length(tokens["train"]),
    )


def shared(first: Sequence[Example], second: Sequence[Example]) -> list[Text]:
    """The texts of the second that are in the first, as often as they come."""
    there = {example.text for example in first}
    return [example.text for example in second if example.text in there]


def lengths_at(tokens: Sequence[int], percentiles: Sequence[int]) -> list[int]:
    if not tokens:
        return [0] * len(percentiles)
    return [int(length) for length in np.percentile(tokens, percentiles, method="higher")]


def suggested_length(tokens: Sequence[int]) -> int:
    """The multiple of 8 that cuts at most one text of a hundred."""
    (enough,) = lengths_at(tokens, [99])
    return -(-enough // 8) * 8
