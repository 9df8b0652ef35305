"""Spans asked for by name, as UIE does (Lu et al., 2022): one head for kinds it was never taught."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pare.errors import DataError
from pare.tasks.example import ANSWER, Example
from pare.tasks.sources import Source, Splits, told_at


@dataclass(frozen=True, kw_only=True)
class Prompts(Source):
    """Each text beside each question, whose answers are the spans of one kind.

    prompts: what to ask for a kind, its own name if it is not here. negatives: of the questions that a
    training text has no answer to, the share that is asked; dev and test are asked all, also for kinds that
    training lacks.
    """

    source: Source
    prompts: Mapping[str, str] | None = None
    negatives: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.negatives <= 1:
            raise ValueError(f"negatives={self.negatives}: must be in [0, 1]")

    def read(self) -> Splits:
        with told_at(f"{self.setting}.source", self.source.setting, self.source):
            splits = self.source.read()
        kinds = sorted({span.label for rows in splits.values() for example in rows for span in example.spans})
        self.check(splits, kinds)
        trained = {span.label for example in splits["train"] for span in example.spans}
        rng = random.Random(self.seed)
        asked: dict[str, list[Example]] = {}
        for split, rows in splits.items():
            training = split in ("train", "unlabelled")
            asked[split] = [
                self.question(example, kind)
                for example in rows
                for kind in kinds
                if any(span.label == kind for span in example.spans)
                or not training
                or (kind in trained and rng.random() < self.negatives)
            ]
        return asked

    def check(self, splits: Splits, kinds: Sequence[str]) -> None:
        if any(not isinstance(example.text, str) for rows in splits.values() for example in rows):
            raise DataError(f"{self.setting}.source: it has pairs; questions are asked of single texts")
        if strange := sorted(set(self.prompts or {}) - set(kinds)):
            raise DataError(f"{self.setting}.prompts.{strange[0]}: no such kind of span; there are {kinds}")
        said = [self.prompt(kind) for kind in kinds]
        if len(set(said)) < len(said):
            raise DataError(f"{self.setting}.prompts: two kinds of spans share a prompt: {sorted(said)}")

    def prompt(self, kind: str) -> str:
        return (self.prompts or {}).get(kind, kind)

    def question(self, example: Example, kind: str) -> Example:
        spans = tuple(replace(span, label=ANSWER) for span in example.spans if span.label == kind)
        return Example((self.prompt(kind), str(example.text)), spans=spans)
