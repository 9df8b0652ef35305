"""Joint intent and slots on one encoder: what the speaker wants, and the values they name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pare.decoding import OUTSIDE
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.provenance import digest
from pare.tasks.bio import tags_of
from pare.tasks.car import generate
from pare.tasks.task import Split, Task
from pare.tasks.text import Encoded
from pare.tasks.utterance import Utterance


@dataclass(frozen=True, kw_only=True)
class Generated:
    """The embedded in-car commands, from the project's own grammar."""

    language: Literal["zh", "en"] = "zh"
    seed: int = 0
    train: int = 24000
    dev: int = 1000
    test: int = 2000
    unlabelled: int = 24000

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            if getattr(self, split) < 1:
                raise ValueError(f"{split}={getattr(self, split)}: at least one row is needed")
        if self.unlabelled < 0:
            raise ValueError(f"unlabelled={self.unlabelled}: cannot be negative")

    def read(self) -> dict[str, list[Utterance]]:
        sizes = {"train": self.train, "dev": self.dev, "test": self.test, "unlabelled": self.unlabelled}
        return generate(self.language, self.seed, sizes)


@dataclass(frozen=True, kw_only=True)
class Slu(Task):
    """Intent accuracy, slot F1, and the share of sentences in which everything is right."""

    source: Generated
    primary: str = "exact_match"

    @cached_property
    def data(self) -> dict[str, list[Utterance]]:
        return self.source.read()

    def check(self) -> None:
        """The grammar's fields were checked when the source was built; nothing is read."""

    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        rows = {
            split: [[u.text, u.intent, *[(s.start, s.end, s.label) for s in u.slots]] for u in rows]
            for split, rows in self.data.items()
        }
        return digest(rows)

    def texts(self, split: Split) -> Sequence[str]:
        return [u.text for u in self.data[split]]

    def outputs(self) -> tuple[Output, ...]:
        intents = sorted({u.intent for u in self.data["train"]})
        slots = sorted({s.label for u in self.data["train"] for s in u.slots})
        tags = (OUTSIDE, *(f"{prefix}-{slot}" for slot in slots for prefix in "BI"))
        return (Output("intent", tuple(intents)), Output("slots", tags, scope="token"))

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> list[Labels]:
        intent, slots = self.outputs()
        intent_ids = {label: i for i, label in enumerate(intent.labels)}
        tag_ids = {tag: i for i, tag in enumerate(slots.labels)}
        rows: list[Labels] = []
        for utterance, tokens in zip(self.data[split], encoded, strict=True):
            spans = [(s.start, s.end, s.label) for s in utterance.slots]
            tags = tags_of(spans, tokens.offsets)
            ids = [IGNORED_LABEL if tag is None else tag_ids[tag] for tag in tags]
            rows.append({"intent": intent_ids[utterance.intent], "slots": ids})
        return rows

    def score(self, split: Split, answers: Sequence[Any]) -> dict[str, float]:
        intents, found, expected, right, exact = 0, 0, 0, 0, 0
        for utterance, answer in zip(self.data[split], answers, strict=True):
            gold = {(s.start, s.end, s.label) for s in utterance.slots}
            said = {(s["start"], s["end"], s["label"]) for s in answer["slots"]}
            intent_right = answer["intent"] == utterance.intent
            intents += intent_right
            found, expected, right = found + len(said), expected + len(gold), right + len(gold & said)
            exact += intent_right and gold == said
        rows = len(self.data[split])
        return {
            "exact_match": exact / rows,
            "intent_accuracy": intents / rows,
            "slot_f1": 2 * right / (found + expected) if found + expected else 1.0,
        }
