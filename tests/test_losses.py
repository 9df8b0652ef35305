"""The losses against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from pare.losses import hard_loss, hidden_loss, soft_cross_entropy, soft_loss
from pare.outputs import IGNORED_LABEL, Output

TEXT, TOKENS = Output("intent", ("a", "b", "c")), Output("slots", ("O", "B-x", "I-x"), scope="token")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_soft_cross_entropy_is_the_kl_divergence(temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    wanted = (p * np.log(p / q)).sum(-1) * temperature**2
    found = soft_cross_entropy(torch.tensor(student), torch.tensor(teacher), temperature)
    assert np.allclose(found.numpy(), wanted)
    same = soft_cross_entropy(torch.tensor(student), torch.tensor(student), temperature)
    assert same.abs().max() < 1e-12


def test_padding_counts_for_nothing() -> None:
    student, teacher = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    before = soft_loss({"slots": student}, {"slots": teacher}, mask, (TOKENS,), 1.0)
    hidden = hidden_loss(student, teacher, mask)
    student[0, 3:] += 100
    assert torch.equal(soft_loss({"slots": student}, {"slots": teacher}, mask, (TOKENS,), 1.0), before)
    assert torch.equal(hidden_loss(student, teacher, mask), hidden)


def test_hidden_loss_is_the_mean_square() -> None:
    found = hidden_loss(torch.zeros(1, 2, 4), torch.full((1, 2, 4), 3.0), torch.tensor([[1, 0]]))
    assert found.item() == 9.0


def test_missing_labels_are_passed_over() -> None:
    logits = {"intent": torch.randn(3, 3, requires_grad=True)}
    labels = {"intent": torch.tensor([1, IGNORED_LABEL, 2])}
    found = hard_loss(logits, labels, (TEXT,))
    both = torch.nn.functional.cross_entropy(logits["intent"][[0, 2]], torch.tensor([1, 2]))
    assert torch.allclose(found, both)
    none = hard_loss(logits, {"intent": torch.full((3,), IGNORED_LABEL)}, (TEXT,))
    assert none.item() == 0
    none.backward()
    assert logits["intent"].grad is not None
    assert torch.equal(logits["intent"].grad, torch.zeros(3, 3))
