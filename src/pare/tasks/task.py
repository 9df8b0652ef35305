"""A task: data, what the model must answer, and how an answer is judged. Knows nothing of compression."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from pare.decoding import Text
from pare.judging import Judge
from pare.metrics import Share
from pare.outputs import Labels, Output
from pare.provenance import digest_of_rows, split_digest
from pare.tasks.columns import texts_of
from pare.tasks.example import Encoded, Example

Split = Literal["train", "dev", "test", "unlabelled"]
LABELLED: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """Data + what to answer + metrics. `primary` is the metric that gates and tables use."""

    name: str
    primary: str
    max_length: int

    def __post_init__(self) -> None:
        if self.max_length < 8:
            raise ValueError(f"max_length={self.max_length}: at least 8 tokens are needed")

    @abstractmethod
    def check(self) -> None:
        """Reads what there is to read; raises DataError for what a run would trip over later."""

    @abstractmethod
    def fingerprint(self, split: Split) -> str:
        """A digest of the rows of a split: other rows, other fingerprint."""

    def identity(self) -> dict[str, Any]:
        """All that results depend on besides rows: other values, other keys in the store."""
        return {
            "max_length": self.max_length,
            "primary": self.primary,
            "outputs": [asdict(output) for output in self.outputs()],
        }

    @abstractmethod
    def examples(self, split: Split) -> Sequence[Example]:
        """What there is, with its labels; "unlabelled" is empty where there are none."""

    def texts(self, split: Split) -> Sequence[Text]:
        """The raw texts, or pairs, of a split."""
        return texts_of(self.examples(split))

    @cached_property
    def pairs(self) -> bool:
        """Whether there are pairs among the texts."""
        return any(not isinstance(text, str) for text in self.texts("train"))

    @cached_property
    def test_rows(self) -> str:
        """The name of the rows of test: what is scored on others is no comparison."""
        return split_digest(self.texts("test"), self.truths("test"))

    @cached_property
    def test_texts(self) -> str:
        """The name of the texts of test, whatever is true of them."""
        return digest_of_rows(self.texts("test"))

    @abstractmethod
    def outputs(self) -> tuple[Output, ...]:
        """The heads a model for this task needs."""

    @abstractmethod
    def labels(self, split: Split, encoded: Sequence[Encoded]) -> Sequence[Labels]:
        """Label ids for each text of a labelled split, aligned with its tokens."""

    @abstractmethod
    def truths(self, split: Split) -> Sequence[Mapping[str, Any]]:
        """What holds of each text of a labelled split, as the judge takes it."""

    @abstractmethod
    def judge(self) -> Judge:
        """Tells how good answers are; knows labels, but no rows."""

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        """Metrics of the answers that `pare.decoding` made: fractions, higher is better; holds `primary`."""
        return self.judge().score(self.truths(split), answers)

    def metrics(self) -> list[str]:
        """The names of its scores."""
        return sorted(self.score("dev", self.commonest("dev")))

    def floor(self, split: Split) -> float:
        """The primary metric of who gives the commonest answer of the split to every text."""
        return self.score(split, self.commonest(split))[self.primary]

    def commonest(self, split: Split) -> list[Mapping[str, Any]]:
        """For every text of the split the answer that is right most often."""
        truths = list(self.truths(split))
        ((often, _),) = Counter(map(repr, truths)).most_common(1)
        return [next(truth for truth in truths if repr(truth) == often)] * len(truths)

    def shares(self, split: Split, answers: Sequence[Any]) -> list[Share] | None:
        """What each answer adds above and below the line, where the primary metric is a sum over another."""
        return self.judge().shares(self.truths(split), answers)
