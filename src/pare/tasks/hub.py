"""Data sets of the Hugging Face hub, or folders that the `datasets` library reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pare.errors import DataError
from pare.offline import offline_without_a_network
from pare.tasks.example import Example
from pare.tasks.formats import Format
from pare.tasks.objects import Json


@dataclass(frozen=True, kw_only=True)
class Hub:
    """id: of the data set, or a folder. config: which of its parts. train, dev, test: names of its splits.

    format: the names of its columns, as for a file of that format. Numbers of classes become their names.
    """

    id: str
    config: str | None = None
    revision: str | None = None
    train: str = "train"
    dev: str | None = "validation"
    test: str | None = None
    unlabelled: str | None = None
    format: Format = Json()

    def rows(self, split: str, setting: str, labelled: bool = True) -> Iterator[tuple[int, Example]]:
        """Examples with their numbers, from 1 on. setting: the config key of the source, for messages."""
        where = self.place(split, setting)
        table = self._load(split, setting)
        classes = {column: names for column, kind in table.features.items() if (names := names_of(kind))}
        records = ((number, named(row, classes)) for number, row in enumerate(table, 1))
        return self.format.examples(records, f"{where}, row ", labelled)

    def place(self, split: str, setting: str) -> str:
        """Where a split is, to begin a message with."""
        return f"{setting}.hub: {self.id}, {getattr(self, split)}"

    def _load(self, split: str, setting: str) -> Any:
        where = self.place(split, setting)
        try:
            import datasets
        except ImportError:
            raise DataError(
                f"{where}: the hub is read with `datasets`, which is not installed: pip install -e .[hub]"
            ) from None
        datasets.disable_progress_bars()
        offline_without_a_network()
        try:
            part = getattr(self, split)
            return datasets.load_dataset(self.id, self.config, split=part, revision=self.revision)
        except Exception as e:  # whatever the network, the hub or a file has to say
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
            told = f"{where}: could not be loaded ({reason})"
            if isinstance(e, ConnectionError):
                told += f"; without a network, set {setting}.folder (or PARE_DATA) to a folder with its files"
            raise DataError(told) from None


def names_of(kind: Any) -> list[str] | None:
    """The names of the classes of a column, or of what its lists hold."""
    inner = getattr(kind, "feature", kind)
    names: list[str] | None = getattr(inner, "names", None)
    return names


def named(row: Mapping[str, Any], classes: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row with names for numbers of classes; a number that names none stays."""
    return {
        column: value if column not in classes else name_of(value, classes[column])
        for column, value in row.items()
    }


def name_of(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [name_of(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
