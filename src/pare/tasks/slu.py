"""Joint intent and slots on one encoder: what the speaker wants, and the values they name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pare.ondemand import OnDemand
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.tasks.example import Encoded
from pare.tasks.metrics import span_scores
from pare.tasks.sourced import Sourced
from pare.tasks.spans import Way, span_labels, span_output, spans_said, spans_there
from pare.tasks.task import Split


@dataclass(frozen=True, kw_only=True)
class Slu(Sourced):
    """Intent accuracy, slot F1, and the share of sentences in which everything is right.

    by: how slots are told, as in `Spans`.
    """

    by: Way = "tags"
    primary: str = "exact_match"

    def outputs(self) -> tuple[Output, ...]:
        train = self.data["train"]
        intents = sorted({utterance.label for utterance in train})
        return (Output("intent", tuple(intents)), span_output("slots", train, self.by))

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> Sequence[Labels]:
        intent, slots = self.outputs()
        ids = {label: i for i, label in enumerate(intent.labels)}
        rows = self.data[split]

        def at(i: int) -> Labels:
            example = rows[i]
            said = ids.get(example.label, IGNORED_LABEL)
            return {"intent": said, "slots": span_labels(slots, example, encoded[i])}

        return OnDemand(len(rows), at)

    def right(self, split: Split, answers: Sequence[Any]) -> list[float] | None:
        if self.primary != "exact_match":
            return None
        return [
            float(answer["intent"] == u.label and spans_said(answer["slots"]) == spans_there(u))
            for u, answer in zip(self.data[split], answers, strict=True)
        ]

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        rows = list(zip(self.data[split], answers, strict=True))
        intents = [answer["intent"] == u.label for u, answer in rows]
        slots = [(spans_there(u), spans_said(answer["slots"])) for u, answer in rows]
        exact = [right and gold == said for right, (gold, said) in zip(intents, slots, strict=True)]
        return {
            "exact_match": sum(exact) / len(rows),
            "intent_accuracy": sum(intents) / len(rows),
            "slot_f1": span_scores(slots)["f1"],
        }
