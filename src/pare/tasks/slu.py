"""Joint intent and slots on one encoder: what the speaker wants, and the values they name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pare.decoding import OUTSIDE
from pare.errors import DataError
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.provenance import digest
from pare.tasks.bio import tags_of
from pare.tasks.example import Example
from pare.tasks.sources import Source, Splits
from pare.tasks.task import Split, Task
from pare.tasks.text import Encoded


@dataclass(frozen=True, kw_only=True)
class Slu(Task):
    """Intent accuracy, slot F1, and the share of sentences in which everything is right."""

    source: Source
    primary: str = "exact_match"

    @cached_property
    def data(self) -> Splits:
        return self.source.read()

    def check(self) -> None:
        for split in ("train", "dev", "test"):
            if not self.data[split]:
                raise DataError(f"task.source: no rows for {split}")

    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        rows = {
            split: [[u.text, u.label, *[(s.start, s.end, s.label) for s in u.spans]] for u in rows]
            for split, rows in self.data.items()
        }
        return digest(rows)

    def examples(self, split: Split) -> Sequence[Example]:
        return self.data[split]

    def outputs(self) -> tuple[Output, ...]:
        intents = sorted({u.label for u in self.data["train"]})
        slots = sorted({s.label for u in self.data["train"] for s in u.spans})
        tags = (OUTSIDE, *(f"{prefix}-{slot}" for slot in slots for prefix in "BI"))
        return (Output("intent", tuple(intents)), Output("slots", tags, scope="token"))

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> list[Labels]:
        intent, slots = self.outputs()
        intent_ids = {label: i for i, label in enumerate(intent.labels)}
        tag_ids = {tag: i for i, tag in enumerate(slots.labels)}
        rows: list[Labels] = []
        for utterance, tokens in zip(self.data[split], encoded, strict=True):
            spans = [(s.start, s.end, s.label) for s in utterance.spans]
            tags = tags_of(spans, tokens.offsets)
            ids = [IGNORED_LABEL if tag is None else tag_ids.get(tag, IGNORED_LABEL) for tag in tags]
            rows.append({"intent": intent_ids.get(utterance.label, IGNORED_LABEL), "slots": ids})
        return rows

    def right(self, split: Split, answers: Sequence[Any]) -> list[float] | None:
        if self.primary != "exact_match":
            return None
        found = []
        for utterance, answer in zip(self.data[split], answers, strict=True):
            gold = {(s.start, s.end, s.label) for s in utterance.spans}
            said = {(s["start"], s["end"], s["label"]) for s in answer["slots"]}
            found.append(float(answer["intent"] == utterance.label and gold == said))
        return found

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        intents, found, expected, right, exact = 0, 0, 0, 0, 0
        for utterance, answer in zip(self.data[split], answers, strict=True):
            gold = {(s.start, s.end, s.label) for s in utterance.spans}
            said = {(s["start"], s["end"], s["label"]) for s in answer["slots"]}
            intent_right = answer["intent"] == utterance.label
            intents += intent_right
            found, expected, right = found + len(said), expected + len(gold), right + len(gold & said)
            exact += intent_right and gold == said
        rows = len(self.data[split])
        return {
            "exact_match": exact / rows,
            "intent_accuracy": intents / rows,
            "slot_f1": 2 * right / (found + expected) if found + expected else 1.0,
        }
