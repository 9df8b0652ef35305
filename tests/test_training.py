"""The training loop: the same seed gives the same bits, a NaN stops it, every row is seen."""

from collections import Counter
from itertools import islice

import pytest
import torch

from pare.encoders.model import Model
from pare.encoders.network import Network
from pare.errors import NonFiniteLoss
from pare.losses import hard_loss
from pare.outputs import IGNORED_LABEL
from pare.progress import silent
from pare.stages.networks import rows_of, start_network
from pare.training import Batch, Row, Training, collate, fit, learning_rate_at, shuffled_batches
from small import ARCHITECTURE, TASK


def trained(seed: int, steps: int = 4, breaks_at: int | None = None) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    network, encoder = start_network(Model(architecture=ARCHITECTURE), TASK, TASK.outputs())
    calls = iter(range(steps))

    def loss_of(network: Network, batch: Batch) -> torch.Tensor:
        loss = hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs)
        return loss * float("nan") if next(calls) == breaks_at else loss

    rows = rows_of(TASK, "train", encoder)[:200]
    training = Training(steps=steps, batch_size=16)
    fit(network, rows, loss_of, training, pad_id=encoder.pad_id, seed=seed, progress=silent, title="test")
    return network.state_dict()


def test_the_same_seed_gives_the_same_bits() -> None:
    one, two, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_loss_that_is_no_number_stops_at_that_step() -> None:
    with pytest.raises(NonFiniteLoss, match="the loss is nan at step 3 of 4"):
        trained(0, breaks_at=2)


def test_every_row_is_seen_once_an_epoch_with_rows_of_its_length() -> None:
    lengths = [(i * 7) % 23 + 3 for i in range(200)]
    batches = list(islice(shuffled_batches(lengths, 16, seed=0), 13))
    assert Counter(i for batch in batches for i in batch) == Counter(range(200))
    widths = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(widths) / len(widths) < 5
    assert list(islice(shuffled_batches(lengths, 16, seed=0), 13)) == batches


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[0] == 0.1
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == 0


def test_padding_has_no_labels() -> None:
    rows = [Row([5, 6, 7], {"intent": 1, "slots": [0, 2, 1]}), Row([8])]
    batch = collate(rows, TASK.outputs(), 0, torch.device("cpu"))
    assert batch.ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.labels["intent"].tolist() == [1, IGNORED_LABEL]
    assert batch.labels["slots"].tolist() == [[0, 2, 1], [IGNORED_LABEL] * 3]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"epochs": 0.0}, {"learning_rate": 0.0}, {"warmup": 2.0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Training(**wrong)  # type: ignore[arg-type]
