"""Tasks whose examples come from a source."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any

from pare.errors import DataError
from pare.ondemand import changed
from pare.outputs import Output
from pare.provenance import digest_of_rows
from pare.tasks.example import Example
from pare.tasks.sources import Source, Splits
from pare.tasks.task import LABELLED, Split, Task


@dataclass(frozen=True, kw_only=True)
class Sourced(Task):
    source: Source

    @cached_property
    def data(self) -> Splits:
        return self.read()

    def __getstate__(self) -> dict[str, Any]:
        """Its settings: another process reads the data itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def read(self) -> Splits:
        """What the source has, as the task sees it."""
        return self.source.read()

    def check(self) -> None:
        for split in LABELLED:
            if not self.data[split]:
                raise DataError(f"{self.source.setting}: no rows for {split}")
        self.check_examples()
        if self.primary not in (known := self.metrics()):
            raise DataError(f"task.primary: found {self.primary!r}; one of {known} is needed")

    @abstractmethod
    def check_examples(self) -> None:
        """Raises DataError for examples that the task can make nothing of."""

    def outputs(self) -> tuple[Output, ...]:
        return self._outputs

    @cached_property
    def _outputs(self) -> tuple[Output, ...]:
        return self.heads()

    @abstractmethod
    def heads(self) -> tuple[Output, ...]:
        """The outputs, from what is in the data."""

    def fingerprint(self, split: Split) -> str:
        return self._fingerprints[split]

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {split: digest_of_rows(map(plain, rows)) for split, rows in self.data.items()}

    def examples(self, split: Split) -> Sequence[Example]:
        return self.data[split]

    def truths(self, split: Split) -> Sequence[Mapping[str, Any]]:
        return changed(self.data[split], partial(truth, self.outputs()))


def truth(outputs: Sequence[Output], example: Example) -> dict[str, Any]:
    """The answer of a model that is right."""
    spans = [{"start": s.start, "end": s.end, "label": s.label} for s in example.spans]
    return {
        o.name: spans if o.scope == "token" else list(example.labels) if o.choice == "any" else example.label
        for o in outputs
    }


def plain(example: Example) -> list[object]:
    spans = [[span.start, span.end, span.label] for span in example.spans]
    return [example.text, list(example.labels), spans]
