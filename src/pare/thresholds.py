"""Where to cut: how sure a head must be of a label, one of any number, to say it."""

from collections.abc import Sequence

import numpy as np


def best_threshold(logits: np.ndarray, truth: np.ndarray) -> float:
    """The logit above which saying "it holds" gives the best micro F1; between two logits that are there.

    Where nothing holds, it lies above all of them. logits, truth: (texts, labels).
    """
    order = np.argsort(-logits, axis=None, kind="stable")
    sure, right = logits.ravel()[order], truth.ravel()[order].astype(bool)
    if not right.any():
        return float(sure[0]) + 1.0
    said = np.arange(1, len(sure) + 1)
    f1 = 2 * right.cumsum() / (said + right.sum())
    f1[:-1][sure[:-1] == sure[1:]] = -1.0  # equal logits are on one side together
    best = int(f1.argmax())
    below = sure[best + 1] if best + 1 < len(sure) else sure[best] - 1.0
    return float((sure[best] + below) / 2)


def closed(logits: np.ndarray, implied: Sequence[Sequence[int]]) -> np.ndarray:
    """Logits that follow from one another: a label is at least as sure as all that imply it.

    logits: (texts, labels). implied: for each label the places of those that hold wherever it does.
    """
    found = logits.copy()
    for label, others in enumerate(implied):
        for other in others:
            found[:, other] = np.maximum(found[:, other], logits[:, label])
    return found
