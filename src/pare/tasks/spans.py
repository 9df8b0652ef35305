"""Entities and other stretches of text: by tags of tokens, or by pointing at where they begin and end."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

from pare.decoding import OUTSIDE
from pare.errors import DataError
from pare.judging import Judge, SpanJudge
from pare.ondemand import OnDemand
from pare.outputs import IGNORED_LABEL, Labels, Output
from pare.tasks.bio import Labelled, tags_of
from pare.tasks.example import Encoded, Example
from pare.tasks.pointers import pointer_labels, pointers_of
from pare.tasks.sourced import Sourced
from pare.tasks.task import LABELLED, Split

log = logging.getLogger(__name__)

Way = Literal["tags", "pointers"]


@dataclass(frozen=True, kw_only=True)
class Spans(Sourced):
    """Precision, recall and F1 of spans with their kinds, as seqeval has them, and texts that are all right.

    by: a BIO tag for each token, or for each kind of span the tokens that begin and end one, as UIE does: the
    only way to tell spans that lie in each other. A pair's spans lie in its second text.
    """

    by: Way = "tags"
    primary: str = "f1"

    def check_examples(self) -> None:
        check_spans(self.data["train"], self.by, self.source.setting)
        for split in LABELLED[1:]:
            if not any(example.spans for example in self.data[split]):
                raise DataError(f"{self.source.setting}: there are no spans in {split}")

    def heads(self) -> tuple[Output, ...]:
        return (span_output("spans", self.data["train"], self.by),)

    def labels(self, split: Split, encoded: Sequence[Encoded]) -> Sequence[Labels]:
        (output,) = self.outputs()
        rows = self.data[split]
        return OnDemand(len(rows), lambda i: {output.name: span_labels(output, rows[i], encoded[i])})

    def judge(self) -> Judge:
        return SpanJudge(primary=self.primary)


def span_output(name: str, examples: Sequence[Example], by: Way) -> Output:
    """A head that tells the kinds of spans that there are."""
    kinds = sorted({span.label for example in examples for span in example.spans})
    if by == "pointers":
        return Output(name, pointer_labels(kinds), scope="token", choice="any")
    return Output(name, (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")), scope="token")


def check_spans(examples: Sequence[Example], by: Way, setting: str) -> None:
    """Says what training will not see. setting: of the source."""
    if not any(example.spans for example in examples):
        raise DataError(f"{setting}: there are no spans in train")
    crossed = sum(a.end > b.start for e in examples for a, b in pairwise(sorted(e.spans)))
    if crossed and by == "tags":
        log.warning(
            "%d spans of train lie in others, which tags cannot say; task.by=pointers can, of other kinds",
            crossed,
        )


def span_labels(output: Output, example: Example, tokens: Encoded) -> list[int] | list[list[int] | None]:
    """What the head should say of each token."""
    spans = sorted(spans_there(example))
    if output.choice == "any":
        text = example.text if isinstance(example.text, str) else example.text[1]
        return pointers_of(text, spans, tokens.offsets, output.labels)
    ids = places_of(output.labels)
    tags = tags_of(spans, tokens.offsets)
    return [IGNORED_LABEL if tag is None else ids.get(tag, IGNORED_LABEL) for tag in tags]


@cache
def places_of(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: i for i, label in enumerate(labels)}


def spans_there(example: Example) -> set[Labelled]:
    return {(span.start, span.end, span.label) for span in example.spans}
