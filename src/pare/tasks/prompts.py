"""Spans asked for by name, as UIE does (Lu et al., 2022): one head for kinds it was never taught."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pare.tasks.example import ANSWER, Example
from pare.tasks.sources import Source, Splits


@dataclass(frozen=True, kw_only=True)
class Prompts(Source):
    """Each text beside each question, whose answers are the spans of one kind.

    prompts: what to ask for a kind, its own name if it is not here. negatives: of the questions that a
    training text has no answer to, the share that is asked; dev and test are asked all.
    """

    source: Source
    prompts: Mapping[str, str] | None = None
    negatives: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.negatives <= 1:
            raise ValueError(f"negatives={self.negatives}: must be in [0, 1]")

    def read(self) -> Splits:
        splits = self.source.read()
        kinds = sorted({span.label for e in splits["train"] for span in e.spans})
        rng = random.Random(self.seed)
        asked: dict[str, list[Example]] = {}
        for split, rows in splits.items():
            share = self.negatives if split in ("train", "unlabelled") else 1.0
            asked[split] = [
                self.question(example, kind)
                for example in rows
                for kind in kinds
                if any(span.label == kind for span in example.spans) or rng.random() < share
            ]
        return asked

    def question(self, example: Example, kind: str) -> Example:
        spans = tuple(replace(span, label=ANSWER) for span in example.spans if span.label == kind)
        return Example(((self.prompts or {}).get(kind, kind), str(example.text)), spans=spans)
