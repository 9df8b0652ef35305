"""How answers are judged: plain values and pure functions, so that a judge can travel without its task.

Truths and answers are mappings of a head's name to what it says, one for each text, in the same order.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pare.metrics import (
    Answer,
    Share,
    Span,
    f1_share,
    label_rates,
    label_scores,
    matthews,
    span_scores,
)

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Judge(ABC):
    """primary: the metric that gates and tables use."""

    primary: str

    @abstractmethod
    def score(self, truths: Rows, answers: Rows) -> dict[str, float]:
        """Metrics of the answers: fractions, higher is better; holds `primary`."""

    def shares(self, truths: Rows, answers: Rows) -> list[Share] | None:
        """What each answer adds above and below the line, where the primary metric is a sum over another."""
        return None

    def as_json(self) -> dict[str, Any]:
        """What `pare.build` makes the judge of again."""
        values = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        return {"_target_": f"{type(self).__module__}.{type(self).__qualname__}", **values}


def plain(value: Any) -> Any:
    if isinstance(value, Judge):
        return value.as_json()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, (tuple, frozenset)) else value


@dataclass(frozen=True, kw_only=True)
class LabelJudge(Judge):
    """Accuracy, micro and macro precision, recall and F1; Matthews' correlation where there is one label.

    several: a text has any number of labels. positive: the label whose own rates are scores too.
    levels: of each label in a hierarchy, from 1; each level has an F1. above: all that hold wherever a label
    does; answers that name it are consistent.
    """

    several: bool = False
    positive: str | None = None
    levels: Mapping[str, int] | None = None
    above: Mapping[str, tuple[str, ...]] | None = None

    def score(self, truths: Rows, answers: Rows) -> dict[str, float]:
        pairs = self.pairs(truths, answers)
        scores = label_scores(pairs)
        if not self.several:
            scores["mcc"] = matthews(
                *([next(iter(side)) for side in column] for column in zip(*pairs, strict=True))
            )
        if self.positive is not None:
            names = ("precision", "recall", "f1")
            scores |= dict(zip(names, label_rates(pairs, self.positive), strict=True))
        if self.levels is not None:
            for level in range(1, 1 + max(self.levels.values())):
                there = [self.at(level, pair) for pair in pairs]
                scores[f"level{level}_f1"] = label_scores(there)["micro_f1"]
        if self.above is not None:
            above = self.above
            whole = (all(set(said).issuperset(above.get(x, ())) for x in said) for _, said in pairs)
            scores["consistent"] = sum(whole) / len(pairs)
        return scores

    def shares(self, truths: Rows, answers: Rows) -> list[Share] | None:
        pairs = self.pairs(truths, answers)
        if self.primary == "accuracy":
            return [(float(set(gold) == set(said)), 1.0) for gold, said in pairs]
        if self.primary == "micro_f1":
            return [f1_share(gold, said) for gold, said in pairs]
        if self.primary == "f1":
            wanted = {self.positive}
            return [f1_share(wanted & set(gold), wanted & set(said)) for gold, said in pairs]
        return None

    def pairs(self, truths: Rows, answers: Rows) -> list[Answer]:
        """What holds and what was said, for each text."""
        rows = zip(truths, answers, strict=True)
        if self.several:
            return [(truth["label"], answer["label"]) for truth, answer in rows]
        return [((truth["label"],), (answer["label"],)) for truth, answer in rows]

    def at(self, level: int, pair: Answer) -> Answer:
        """What of an answer lies on one level."""
        levels = self.levels or {}
        gold, said = ([label for label in side if levels.get(label) == level] for side in pair)
        return gold, said


@dataclass(frozen=True, kw_only=True)
class SpanJudge(Judge):
    """Precision, recall and F1 of spans with their kinds, and texts that are all right."""

    def score(self, truths: Rows, answers: Rows) -> dict[str, float]:
        return span_scores(self.pairs(truths, answers))

    def shares(self, truths: Rows, answers: Rows) -> list[Share] | None:
        pairs = self.pairs(truths, answers)
        if self.primary == "exact_match":
            return [(float(gold == said), 1.0) for gold, said in pairs]
        return [f1_share(gold, said) for gold, said in pairs] if self.primary == "f1" else None

    def pairs(self, truths: Rows, answers: Rows) -> list[tuple[set[Span], set[Span]]]:
        """The spans that are there and those that were said, for each text."""
        rows = zip(truths, answers, strict=True)
        return [(spans_in(truth["spans"]), spans_in(answer["spans"])) for truth, answer in rows]


@dataclass(frozen=True, kw_only=True)
class SluJudge(Judge):
    """Intent accuracy, slot F1, and the share of sentences in which everything is right."""

    def score(self, truths: Rows, answers: Rows) -> dict[str, float]:
        rows = self.rows(truths, answers)
        return {
            "exact_match": sum(right and gold == said for right, gold, said in rows) / len(rows),
            "intent_accuracy": sum(right for right, _, _ in rows) / len(rows),
            "slot_f1": span_scores([(gold, said) for _, gold, said in rows])["f1"],
        }

    def shares(self, truths: Rows, answers: Rows) -> list[Share] | None:
        rows = self.rows(truths, answers)
        if self.primary == "exact_match":
            return [(float(right and gold == said), 1.0) for right, gold, said in rows]
        if self.primary == "intent_accuracy":
            return [(float(right), 1.0) for right, _, _ in rows]
        return [f1_share(gold, said) for _, gold, said in rows]

    def rows(self, truths: Rows, answers: Rows) -> list[tuple[bool, set[Span], set[Span]]]:
        """Whether the intent is right, the slots that are there, and those that were said."""
        return [
            (answer["intent"] == truth["intent"], spans_in(truth["slots"]), spans_in(answer["slots"]))
            for truth, answer in zip(truths, answers, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class SeveralJudge(Judge):
    """The judges of several tasks by name: the scores of each, and the mean of their primary metrics.

    A truth is under the name of its task; of an answer only the heads of that task count.
    """

    parts: Mapping[str, Judge]
    primary: str = "mean"

    def score(self, truths: Rows, answers: Rows) -> dict[str, float]:
        scores: dict[str, float] = {}
        primaries = []
        for name, judge in self.parts.items():
            own = list(of_task(name, truths, answers))
            found = judge.score([truth for truth, _ in own], [answer for _, answer in own])
            scores |= {f"{name}_{metric}": value for metric, value in found.items()}
            primaries.append(found[judge.primary])
        return {"mean": sum(primaries) / len(primaries), **scores}


def of_task(name: str, truths: Rows, answers: Rows) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The truths of one task, and the answers to them as the task itself calls its heads."""
    start = f"{name}_"
    for truth, answer in zip(truths, answers, strict=True):
        if name in truth:
            yield truth[name], {head.removeprefix(start): said for head, said in answer.items()}


def spans_in(answer: Sequence[Mapping[str, Any]]) -> set[Span]:
    return {(span["start"], span["end"], span["label"]) for span in answer}
