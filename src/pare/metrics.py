"""Scores of what was said against what holds: labels as scikit-learn has them, spans as seqeval."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence, Set
from typing import TypeVar

Share = tuple[
    float, float
]  # what a row adds above and below the line of a metric that is one sum over another
Answer = tuple[Collection[str], Collection[str]]  # the labels that hold, and those that were said
Span = tuple[int, int, str]  # start, end, kind
T = TypeVar("T", bound=Hashable)


def label_scores(answers: Sequence[Answer]) -> dict[str, float]:
    """Accuracy (everything right), and precision, recall and F1 over all labels and as means over labels."""
    wanted = Counter(label for gold, _ in answers for label in gold)
    found = Counter(label for _, said in answers for label in said)
    right = Counter(label for gold, said in answers for label in said if label in gold)
    labels = sorted(wanted | found)
    each = [rates(right[label], found[label], wanted[label]) for label in labels] or [(1.0, 1.0, 1.0)]
    scores = {"accuracy": sum(set(gold) == set(said) for gold, said in answers) / len(answers)}
    over_all = rates(right.total(), found.total(), wanted.total())
    for i, name in enumerate(("precision", "recall", "f1")):
        scores[f"micro_{name}"] = over_all[i]
        scores[f"macro_{name}"] = sum(one[i] for one in each) / len(each)
    return scores


def rates(right: int, found: int, wanted: int) -> tuple[float, float, float]:
    """Precision, recall, F1; 1 where there was nothing to find and nothing was found."""
    if not found and not wanted:
        return 1.0, 1.0, 1.0
    return right / found if found else 0.0, right / wanted if wanted else 0.0, 2 * right / (found + wanted)


def f1_share(gold: Collection[T], said: Collection[T]) -> Share:
    """What one text adds to F1 over all texts: twice what is right, over what is there and what was said."""
    return 2.0 * len(set(gold) & set(said)), float(len(gold) + len(said))


def label_rates(answers: Sequence[Answer], label: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of one label."""
    found = sum(label in said for _, said in answers)
    wanted = sum(label in gold for gold, _ in answers)
    return rates(sum(label in gold and label in said for gold, said in answers), found, wanted)


def span_scores(answers: Sequence[tuple[Set[Span], Set[Span]]]) -> dict[str, float]:
    """Precision, recall and F1 over all spans, F1 as a mean over kinds, and texts in which all are right."""
    wanted = Counter(kind for gold, _ in answers for *_, kind in gold)
    found = Counter(kind for _, said in answers for *_, kind in said)
    right = Counter(kind for gold, said in answers for *_, kind in gold & said)
    precision, recall, f1 = rates(right.total(), found.total(), wanted.total())
    each = [rates(right[kind], found[kind], wanted[kind])[2] for kind in wanted | found] or [1.0]
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "macro_f1": sum(each) / len(each),
        "exact_match": sum(gold == said for gold, said in answers) / len(answers),
    }


def matthews(gold: Sequence[str], said: Sequence[str]) -> float:
    """Correlation of two columns of classes (Gorodkin, 2004); 0 where one of them never varies."""
    rows = len(gold)
    right = sum(a == b for a, b in zip(gold, said, strict=True))
    wanted, found = Counter(gold), Counter(said)
    covariance = right * rows - sum(count * found[label] for label, count in wanted.items())
    spread = [rows * rows - sum(n * n for n in counts.values()) for counts in (wanted, found)]
    return covariance / (spread[0] * spread[1]) ** 0.5 if all(spread) else 0.0
