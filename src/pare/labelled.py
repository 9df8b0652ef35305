"""Labelled texts of one's own, in the terms in which a model answers: for `pare evaluate … --data FILE`."""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pare.decoding import ENDS, STARTS, Text
from pare.errors import DataError
from pare.judging import Judge, SeveralJudge
from pare.outputs import Output
from pare.tasks.example import Example, Unfit, singly
from pare.tasks.formats import Format, Table, as_text, checked
from pare.tasks.objects import Json

log = logging.getLogger(__name__)

Answers = Mapping[str, Any]  # by head

TABLES = (".tsv", ".csv")


@dataclass(frozen=True)
class Labelled:
    """Texts, and what is true of them as the judge takes it."""

    texts: Sequence[Text]
    truths: Sequence[Answers]


def read_labelled(file: Path, outputs: Sequence[Output], judge: Judge, sizes: Set[int]) -> Labelled:
    """JSON lines as `predict.py` prints them, or a table with the columns text, in pairs pair, and the head.

    Raises DataError. sizes: 1 where the model reads single texts, 2 where it reads pairs.
    """
    where = f"--data: {file}"
    table = file.suffix.lower() in TABLES
    if table and (
        isinstance(judge, SeveralJudge) or any(o.scope == "token" or o.choice == "any" for o in outputs)
    ):
        raise DataError(
            f"{where}: a table has no form for {', '.join(o.name for o in outputs)}; JSON lines have"
        )
    form: Format = Table() if table else Json()
    texts: list[Text] = []
    answers: list[Answers] = []
    truths: list[Answers] = []
    columns = ["text", "pair"] if 2 in sizes else ["text"]
    for line, row in form.rows(file, where, [*columns, *(o.name for o in outputs)]):
        try:
            text = text_in([row[name] for name in columns] if table else row.get("text"), sizes)
            answers.append({o.name: answer_in(row[o.name], o, text) for o in outputs if o.name in row})
            truths.append(truth_of(answers[-1], [o.name for o in outputs], judge))
        except Unfit as e:
            raise DataError(f"{where}:{line}: {e}") from None
        texts.append(text)
    tasks = judge.parts if isinstance(judge, SeveralJudge) else ()
    if without := [name for name in tasks if not any(name in truth for truth in truths)]:
        raise DataError(f"{where}: no row has the answers of {', '.join(without)}")
    for output in outputs:
        look_for_strangers([row[output.name] for row in answers if output.name in row], output, where)
    return Labelled(texts, truths)


def text_in(value: Any, sizes: Set[int]) -> Text:
    parts = value if isinstance(value, list) else [value]
    if len(parts) not in sizes or not all(isinstance(part, str) for part in parts):
        needed = " or ".join("a text" if size == 1 else "a list of two texts" for size in sorted(sizes))
        raise Unfit(f"text: found {value!r}; {needed} is needed")
    return checked(Example(parts[0] if len(parts) == 1 else (parts[0], parts[1]))).text


def answer_in(value: Any, output: Output, text: Text) -> Any:
    """What a head says when it is right."""
    if output.scope == "token":
        *_, spanned = singly([text])
        if not isinstance(value, list):
            raise Unfit(f"{output.name}: found {value!r}; a list of spans is needed")
        return [span_in(span, output.name, spanned) for span in value]
    if output.choice == "any":
        if not isinstance(value, list):
            raise Unfit(f"{output.name}: found {value!r}; a list of labels is needed")
        return with_implied([as_text(label) for label in value], output)
    if value in (None, "") or isinstance(value, (list, dict)):
        raise Unfit(f"{output.name}: found {value!r}; a label is needed")
    return as_text(value)


def with_implied(labels: Sequence[str], output: Output) -> list[str]:
    """Each once, and those that hold wherever they do."""
    above = dict(zip(output.labels, output.implied, strict=False))
    implied = (output.labels[place] for label in labels for place in above.get(label, ()))
    return list(dict.fromkeys([*labels, *implied]))


def span_in(value: Any, head: str, text: str) -> dict[str, Any]:
    """start, end: in characters, of the text that spans lie in. value: what lies there, if it is given."""
    try:
        start, end, label = value["start"], value["end"], value["label"]
        if not 0 <= start < end <= len(text):
            raise Unfit(f"{head}: {value}: the text has {len(text)} characters")
        said = value.get("value", text[start:end])
    except (TypeError, KeyError, AttributeError):
        raise Unfit(f"{head}: found {value!r}; start, end and label are needed") from None
    if said != text[start:end]:
        raise Unfit(f"{head}: {said!r} is not what lies from {start} to {end}: {text[start:end]!r}")
    return {"start": start, "end": end, "label": as_text(label)}


def truth_of(answers: Answers, heads: Sequence[str], judge: Judge) -> Answers:
    """The answers of one row; with several tasks on one encoder, of each task of which all are there."""
    if not isinstance(judge, SeveralJudge):
        if missing := [head for head in heads if head not in answers]:
            raise Unfit(f"no {', '.join(missing)}")
        return answers
    found: dict[str, dict[str, Any]] = {}
    tasks = {head: task_of(head, judge) for head in heads}
    for head, said in answers.items():
        found.setdefault(tasks[head], {})[head.removeprefix(f"{tasks[head]}_")] = said
    if not found:
        raise Unfit(f"none of {', '.join(heads)}")
    for task in found:
        if missing := [head for head in heads if tasks[head] == task and head not in answers]:
            raise Unfit(f"no {', '.join(missing)}")
    return found


def task_of(head: str, judge: SeveralJudge) -> str:
    """That of `a_b_label` is `a_b`, even if there is an `a`."""
    return max((name for name in judge.parts if head.startswith(f"{name}_")), key=len)


def look_for_strangers(answers: Sequence[Any], output: Output, where: str) -> None:
    """Warns of labels that the model never says; where there are no others, the file is of another task."""
    known = kinds(output)
    found = [label for answer in answers for label in labels_in(answer)]
    strange = [label for label in found if label not in known]
    if not strange:
        return
    some = ", ".join(map(repr, list(dict.fromkeys(strange))[:5]))
    if len(strange) == len(found):
        raise DataError(
            f"{where}: {output.name}: {some}: the model says none of them, but {sorted(known)[:20]}"
        )
    log.warning(
        "%s: %s: %d of %d labels are none that the model says, and count as missed: %s",
        where, output.name, len(strange), len(found), some,
    )  # fmt: skip


def kinds(output: Output) -> set[str]:
    """The labels of a head as its answers have them."""
    if output.scope == "text":
        return set(output.labels)
    starts = (STARTS, ENDS) if output.choice == "any" else ("B-", "I-")
    return {
        label.removeprefix(start) for label in output.labels for start in starts if label.startswith(start)
    }


def labels_in(answer: Any) -> list[str]:
    if isinstance(answer, list):
        return [part["label"] if isinstance(part, dict) else part for part in answer]
    return [answer]
