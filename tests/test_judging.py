"""Judges are values: they travel as JSON, and say of answers what the task at home would."""

import json
import subprocess
import sys
from typing import Any

import pytest

from pare.build import build
from pare.judging import Judge, LabelJudge, SeveralJudge, SluJudge, SpanJudge


def spans(*found: tuple[int, int, str]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label, "value": "?"} for start, end, label in found]


LABELS = LabelJudge(
    primary="micro_f1",
    several=True,
    positive="owl",
    levels={"animal": 1, "bird": 2, "owl": 3},
    above={"bird": ("animal",), "owl": ("animal", "bird")},
)
ONE = LabelJudge(primary="accuracy")
SLU = SluJudge(primary="exact_match")
SPANS = SpanJudge(primary="f1")
SEVERAL = SeveralJudge(parts={"a": ONE, "a_b": SLU, "c": LABELS})


@pytest.mark.parametrize("judge", [LABELS, ONE, SLU, SPANS, SEVERAL], ids=lambda j: type(j).__name__)
def test_a_judge_comes_back_from_json(judge: Judge) -> None:
    problems: list[str] = []
    text = json.dumps(judge.as_json(), allow_nan=False)
    assert build(json.loads(text), "judge", problems, Judge) == judge
    assert not problems


def test_nothing_but_a_judge_is_built() -> None:
    problems: list[str] = []
    build({"_target_": "pare.targets.hardware.Hardware", "name": "here"}, "judge.json", problems, Judge)
    assert problems == ["judge.json._target_: pare.targets.hardware.Hardware is not a Judge"]


def test_one_label() -> None:
    truths = [{"label": label} for label in "xxyz"]
    answers = [{"label": label} for label in "xyyx"]
    scores = ONE.score(truths, answers)
    assert (scores["accuracy"], scores["micro_f1"]) == (0.5, 0.5)
    assert -1 < scores["mcc"] < 1
    assert ONE.shares(truths, answers) == [(1, 1), (0, 1), (1, 1), (0, 1)]


def test_labels_in_labels() -> None:
    truths = [{"label": ["animal", "bird", "owl"]}, {"label": ["animal"]}]
    answers = [{"label": ["animal", "owl"]}, {"label": ["animal"]}]  # an owl, but no bird
    scores = LABELS.score(truths, answers)
    assert (scores["level1_f1"], scores["level2_f1"], scores["level3_f1"]) == (1, 0, 1)
    assert scores["consistent"] == 0.5
    assert scores["f1"] == 1
    assert LABELS.shares(truths, answers) == [(4, 5), (2, 2)]
    assert "mcc" not in scores


def test_spans_and_intents() -> None:
    there, said = spans((0, 2, "city"), (3, 5, "food")), spans((0, 2, "city"))
    assert SPANS.score([{"spans": there}], [{"spans": said}])["recall"] == 0.5
    assert SPANS.shares([{"spans": there}], [{"spans": said}]) == [(2, 3)]
    truths = [{"intent": "go", "slots": there}, {"intent": "eat", "slots": []}]
    answers = [{"intent": "go", "slots": said}, {"intent": "eat", "slots": []}]
    assert SLU.score(truths, answers) == {"exact_match": 0.5, "intent_accuracy": 1, "slot_f1": 2 / 3}
    assert SLU.shares(truths, answers) == [(0, 1), (1, 1)]


def test_several_tasks_are_judged_each_by_its_own() -> None:
    """A row has answers of all heads; those of other tasks count nothing."""
    others = {"a_label": "x", "a_b_intent": "go", "a_b_slots": [], "c_label": []}
    truths = [
        {"a": {"label": "x"}},
        {"a": {"label": "y"}},
        {"a_b": {"intent": "go", "slots": []}},
        {"c": {"label": []}},
    ]
    scores = SEVERAL.score(truths, [others] * 4)
    assert (scores["a_accuracy"], scores["a_b_exact_match"], scores["c_micro_f1"]) == (0.5, 1, 1)
    assert scores["mean"] == 2.5 / 3
    assert SEVERAL.shares(truths, [others] * 4) is None


def test_answers_and_truths_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ONE.score([{"label": "x"}], [])


def test_judging_needs_no_package() -> None:
    code = "import sys, pare.judging; sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'yaml')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
