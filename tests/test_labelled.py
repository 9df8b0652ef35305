"""Labelled texts of one's own, as `pare evaluate … --data` reads them."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pare.errors import DataError
from pare.judging import Judge, LabelJudge, SeveralJudge, SluJudge, SpanJudge
from pare.labelled import read_labelled
from pare.outputs import Output

INTENT = Output("intent", ("play", "stop"))
SLOTS = Output("slots", ("O", "B-song", "I-song"), scope="token")
LABEL = Output("label", ("bad", "good"))
TOPICS = Output("label", ("art", "film", "law"), choice="any")
POINTED = Output("spans", ("start-who", "end-who"), scope="token", choice="any")
SLU = SluJudge(primary="exact_match")
SONG = {"start": 5, "end": 10, "label": "song"}


def written(folder: Path, *rows: Any, name: str = "own.jsonl") -> Path:
    file = folder / name
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_spans_and_labels_are_read_as_a_model_answers(tmp_path: Path) -> None:
    row = {"text": "play Hello", "intent": "play", "slots": [{**SONG, "value": "Hello"}]}
    found = read_labelled(
        written(tmp_path, row, {"text": "stop", "intent": "stop", "slots": []}), (INTENT, SLOTS), SLU, {1}
    )
    assert found.texts == ["play Hello", "stop"]
    assert found.truths == [{"intent": "play", "slots": [SONG]}, {"intent": "stop", "slots": []}]
    assert SLU.score(found.truths, found.truths)["exact_match"] == 1


def test_a_table_has_a_column_for_each_head(tmp_path: Path) -> None:
    judge = LabelJudge(primary="accuracy")
    tabs = written(tmp_path, "label\ttext\tseen", 'good\tso "fine"\tx', "bad\tno\ty", name="own.tsv")
    found = read_labelled(tabs, (LABEL,), judge, {1})
    assert (found.texts, found.truths) == (['so "fine"', "no"], [{"label": "good"}, {"label": "bad"}])
    commas = written(tmp_path, "text,pair,label", '"a, b",c,good', name="own.csv")
    assert read_labelled(commas, (LABEL,), judge, {2}).texts == [("a, b", "c")]


def test_spans_of_a_pair_lie_in_its_second_text(tmp_path: Path) -> None:
    row = {"text": ["who", "Ann sings"], "spans": [{"start": 0, "end": 3, "label": "who", "value": "Ann"}]}
    found = read_labelled(written(tmp_path, row), (POINTED,), SpanJudge(primary="f1"), {2})
    assert found.texts == [("who", "Ann sings")]
    assert found.truths == [{"spans": [{"start": 0, "end": 3, "label": "who"}]}]


def test_a_label_counts_once_and_with_those_that_the_model_says_wherever_it_does(tmp_path: Path) -> None:
    """Where it says each for itself (`task.close=false`), so is the truth."""
    judge = LabelJudge(primary="micro_f1", several=True, above={"film": ("art",)})
    file = written(tmp_path, {"text": "x", "label": ["film", "film"]})
    assert read_labelled(file, (TOPICS,), judge, {1}).truths == [{"label": ["film"]}]
    closed = replace(TOPICS, implied=((), (0,), ()))
    assert read_labelled(file, (closed,), judge, {1}).truths == [{"label": ["film", "art"]}]


def test_with_several_tasks_a_row_is_of_those_whose_answers_it_has(tmp_path: Path) -> None:
    heads = (
        Output("mood_label", ("bad", "good")),
        Output("say_intent", ("play", "stop")),
        Output("say_slots", SLOTS.labels, scope="token"),
    )
    judge = SeveralJudge(parts={"mood": LabelJudge(primary="accuracy"), "say": SLU})
    rows = (
        {"text": "x", "mood_label": "good"},
        {"text": "play Hello", "say_intent": "play", "say_slots": [SONG]},
    )
    found = read_labelled(written(tmp_path, *rows), heads, judge, {1})
    assert found.truths == [{"mood": {"label": "good"}}, {"say": {"intent": "play", "slots": [SONG]}}]
    with pytest.raises(DataError, match=r"own\.jsonl: no row has the answers of say$"):
        read_labelled(written(tmp_path, rows[0]), heads, judge, {1})
    for lacking, told in (
        ({"text": "x"}, "none of mood_label, say_intent, say_slots"),
        ({"text": "x", "say_intent": "play"}, "no say_slots"),
    ):
        with pytest.raises(DataError, match=rf"own\.jsonl:1: {told}$"):
            read_labelled(written(tmp_path, lacking), heads, judge, {1})


def test_a_task_whose_name_begins_as_anothers_has_its_own_rows(tmp_path: Path) -> None:
    """Some of single texts, some of pairs."""
    heads = (Output("say_intent", INTENT.labels), Output("say_all_label", LABEL.labels))
    judge = SeveralJudge(parts={name: LabelJudge(primary="accuracy") for name in ("say", "say_all")})
    file = written(
        tmp_path, {"text": ["x", "y"], "say_intent": "play"}, {"text": "z", "say_all_label": "good"}
    )
    found = read_labelled(file, heads, judge, {1, 2})
    assert found.texts == [("x", "y"), "z"]
    assert found.truths == [{"say": {"intent": "play"}}, {"say_all": {"label": "good"}}]
    table = written(tmp_path, "text\tsay_intent", "x\tplay", name="own.tsv")
    with pytest.raises(
        DataError, match=r"a table has no form for say_intent, say_all_label; JSON lines have$"
    ):
        read_labelled(table, heads, judge, {1})


def test_labels_that_the_model_never_says_are_told_and_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge = LabelJudge(primary="accuracy")
    rows = [{"text": "x", "label": "good"}, {"text": "y", "label": "fine"}]
    with caplog.at_level(logging.WARNING):
        found = read_labelled(written(tmp_path, *rows), (LABEL,), judge, {1})
    assert found.truths[1] == {"label": "fine"}
    assert caplog.messages == [
        f"--data: {tmp_path}/own.jsonl: label: 1 of 2 labels are none that the model says, "
        "and count as missed: 'fine'"
    ]
    with pytest.raises(
        DataError, match=r"label: 'fine': the model says none of them, but \['bad', 'good'\]$"
    ):
        read_labelled(written(tmp_path, rows[1]), (LABEL,), judge, {1})


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"text": "play Hello", "intent": "play"}, ":1: no slots"),
        ({"intent": "play", "slots": []}, ":1: text: found None; a text is needed"),
        ({"text": ["a", "b"], "intent": "play", "slots": []}, ":1: text: found ['a', 'b']; a text is needed"),
        ({"text": "play Hello", "intent": "", "slots": []}, ":1: intent: found ''; a label is needed"),
        (
            {"text": "play Hello", "intent": "play", "slots": "Hello"},
            ":1: slots: found 'Hello'; a list of spans is needed",
        ),
        (
            {"text": "play Hello", "intent": "play", "slots": [[5, 10]]},
            ":1: slots: found [5, 10]; start, end and label are needed",
        ),
        ({"text": "play", "intent": "play", "slots": [SONG]}, ": the text has 4 characters"),
        (
            {"text": "play Hello", "intent": "play", "slots": [{**SONG, "value": "play"}]},
            ":1: slots: 'play' is not what lies from 5 to 10: 'Hello'",
        ),
        ('{"text": "a\\ud800", "intent": "play", "slots": []}', "has half a character (a lone surrogate)"),
        ("[1, 2]", "an object is needed"),
        ("{", ": not JSON: "),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_its_line(tmp_path: Path, row: Any, told: str) -> None:
    file = written(tmp_path, row)
    with pytest.raises(DataError) as refused:
        read_labelled(file, (INTENT, SLOTS), SLU, {1})
    (line,) = refused.value.problems
    assert line.startswith(f"--data: {file}")
    assert told in line


@pytest.mark.parametrize(
    ("head", "judge", "row", "told"),
    [
        (SLOTS, SLU, "text\tslots", "a table has no form for slots; JSON lines have"),
        (
            TOPICS,
            LabelJudge(primary="micro_f1", several=True),
            "text\tlabel",
            "a table has no form for label; JSON",
        ),
        (
            LABEL,
            LabelJudge(primary="accuracy"),
            "text\tmood",
            "has no column 'label'; its columns are ['text', 'mood']",
        ),
        (LABEL, LabelJudge(primary="accuracy"), "text\tlabel", "has a header but no rows"),
    ],
)
def test_what_a_table_cannot_hold_is_told(
    tmp_path: Path, head: Output, judge: Judge, row: str, told: str
) -> None:
    file = written(tmp_path, row, name="own.tsv")
    with pytest.raises(DataError) as refused:
        read_labelled(file, (head,), judge, {1})
    (line,) = refused.value.problems
    assert line.startswith(f"--data: {file}")
    assert told in line
