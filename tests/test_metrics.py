"""Scores of labels are those of scikit-learn."""

import random

import pytest
from sklearn import metrics
from sklearn.preprocessing import MultiLabelBinarizer

from pare.metrics import label_rates, label_scores, matthews

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize("seed", range(5))
def test_one_label_a_text(seed: int) -> None:
    rng = random.Random(seed)
    gold = rng.choices(NAMES, weights=[5, 3, 1, 1], k=60)
    said = [label if rng.random() < 0.6 else rng.choice(NAMES[: seed + 1]) for label in gold]
    pairs = [((g,), (s,)) for g, s in zip(gold, said, strict=True)]
    found = label_scores(pairs)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(gold, said))
    for average in ("micro", "macro"):
        wanted = metrics.precision_recall_fscore_support(gold, said, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), wanted, strict=False):
            assert found[f"{average}_{name}"] == pytest.approx(value), f"{average} {name}"
    assert matthews(gold, said) == pytest.approx(metrics.matthews_corrcoef(gold, said))
    own = metrics.precision_recall_fscore_support(gold, said, labels=["a"], zero_division=0)
    assert label_rates(pairs, "a") == pytest.approx([float(column[0]) for column in own[:3]])


@pytest.mark.parametrize("seed", range(5))
def test_any_number_of_labels_a_text(seed: int) -> None:
    rng = random.Random(seed)
    gold = [{name for name in NAMES if rng.random() < 0.4} for _ in range(60)]
    said = [{name for name in NAMES if (name in row) == (rng.random() < 0.8)} for row in gold]
    found = label_scores(list(zip(gold, said, strict=True)))
    binary = MultiLabelBinarizer(classes=NAMES).fit(gold)
    tables = binary.transform(gold), binary.transform(said)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(*tables))
    for average in ("micro", "macro"):
        assert found[f"{average}_f1"] == pytest.approx(metrics.f1_score(*tables, average=average))
        assert found[f"{average}_recall"] == pytest.approx(metrics.recall_score(*tables, average=average))


def test_a_column_that_never_varies_correlates_with_nothing() -> None:
    assert matthews(["a", "b"], ["a", "a"]) == metrics.matthews_corrcoef(["a", "b"], ["a", "a"]) == 0
