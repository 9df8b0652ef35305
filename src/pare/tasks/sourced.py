"""Tasks whose examples come from a source."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pare.errors import DataError
from pare.provenance import digest, digest_of_rows
from pare.tasks.example import Example
from pare.tasks.sources import Source, Splits
from pare.tasks.task import Split, Task

LABELLED: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class Sourced(Task):
    source: Source

    @cached_property
    def data(self) -> Splits:
        return self.read()

    def read(self) -> Splits:
        """What the source has, as the task sees it."""
        return self.source.read()

    def check(self) -> None:
        for split in LABELLED:
            if not self.data[split]:
                raise DataError(f"task.source: no rows for {split}")

    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return digest({split: digest_of_rows(map(plain, rows)) for split, rows in self.data.items()})

    def examples(self, split: Split) -> Sequence[Example]:
        return self.data[split]


def plain(example: Example) -> list[object]:
    spans = [[span.start, span.end, span.label] for span in example.spans]
    return [example.text, list(example.labels), spans]
