"""Classification of texts from files that the command line names."""

from dataclasses import dataclass, field
from typing import ClassVar

from pare.tasks.files import Files
from pare.tasks.formats import Table
from pare.tasks.multilabel import Multilabel
from pare.tasks.sources import Source


class OwnFiles(Files):
    """Files that the task names itself."""

    setting: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True)
class Mine(Multilabel):
    """Your own TSV or CSV files with a header; text, pair and label are columns.

    separator: what stands between labels where a text has any number of them; with `path` or `taxonomy`
    they lie in one another.
    """

    train: str
    dev: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    text: str = "text"
    pair: str | None = None
    label: str = "label"
    separator: str | None = None
    split_seed: int = 0
    rows: int | None = None
    shots: int | None = None
    fold: int = 0
    path: str | None = None
    primary: str = "accuracy"
    source: Source = field(init=False)
    several: bool = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        table = Table(text=self.text, pair=self.pair, label=self.label, separator=self.separator)
        source = OwnFiles(
            train=self.train, dev=self.dev, test=self.test, unlabelled=self.unlabelled,
            format=table, seed=self.split_seed, rows=self.rows, shots=self.shots, fold=self.fold,
        )  # fmt: skip
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "several", self.separator is not None or not self.flat)
