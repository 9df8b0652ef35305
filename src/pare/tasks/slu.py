"""Joint intent and slots on one encoder: what the speaker wants, and the values they name."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pare.errors import DataError
from pare.judging import Judge, SluJudge
from pare.ondemand import OnDemand
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.tasks.example import Encoded
from pare.tasks.sourced import Sourced
from pare.tasks.spans import Way, check_spans, span_labels, span_output
from pare.tasks.task import LABELLED, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Slu(Sourced):
    """Intent accuracy, slot F1, and the share of sentences in which everything is right.

    by: how slots are told, as in `Spans`.
    """

    by: Way = "tags"
    primary: str = "exact_match"

    def check_examples(self) -> None:
        for split in LABELLED:
            for row, utterance in enumerate(self.data[split]):
                count = len([label for label in utterance.labels if label])
                if count != 1:
                    place = self.source.place(split, row)
                    raise DataError(f"{place}: {count} intents; exactly one is needed")
        check_spans(self.data["train"], self.by, self.source.setting)
        for split in LABELLED[1:]:
            if not any(utterance.spans for utterance in self.data[split]):
                told = "%s: there are no slots in %s; each that a model finds there counts as wrong"
                log.warning(told, self.source.setting, split)

    def heads(self) -> tuple[Output, ...]:
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

    def judge(self) -> Judge:
        return SluJudge(primary=self.primary)
