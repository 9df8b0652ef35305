"""What is pruned and how much: importance, allocation, widths of a supernet, layers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pare.batches import Row, collate
from pare.checkpoint import Checkpoint
from pare.distillation import Distillation
from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.importance import Importance, Scores, importance_of
from pare.losses import hard_loss
from pare.pipeline import Outcome
from pare.progress import Progress, silent
from pare.pruning import Narrowing, by_global_rank, flops_each, parameters_each, shrink, sort, uniform
from pare.reconstruction import reconstruct
from pare.stages.depth import Depth, block_influence, placed
from pare.stages.distill import Distill
from pare.stages.networks import open_network, open_text_encoder, rows_of, some_rows
from pare.stages.stage import Context, Stage
from pare.stages.supernet import Supernet
from pare.stages.width import Width
from pare.tasks.several import Several
from pare.training import Training
from small import FINETUNE, QUICK, TASK, Broken, breaking_after, ignore, pipeline

IDS, MASK = torch.arange(5, 17).reshape(2, 6), torch.ones(2, 6, dtype=torch.long)


def executed(root: Path, *strategy: tuple[str, Stage]) -> Outcome:
    return pipeline(root).execute(FINETUNE, strategy, ignore)


def answers(network: Network) -> torch.Tensor:
    with torch.no_grad():
        return network(IDS, MASK)["slots"]


def rows(checkpoint: Checkpoint, count: int = 24) -> list[Row]:
    return rows_of(TASK, "train", open_text_encoder(checkpoint))[:count]


@pytest.mark.parametrize("kind", ["magnitude", "taylor", "fisher", "dynabert"])
def test_what_does_nothing_matters_least(finetuned: Checkpoint, kind: str) -> None:
    network = open_network(finetuned)
    block = network.blocks()[1]
    with torch.no_grad():
        block.attention_output.weight[:, 2 * block.head_size : 3 * block.head_size] = 0
        block.query.weight[2 * block.head_size : 3 * block.head_size] = 0
        block.key.weight[2 * block.head_size : 3 * block.head_size] = 0
        block.value.weight[2 * block.head_size : 3 * block.head_size] = 0
        block.output.weight[:, 40] = 0
        block.intermediate.weight[40] = 0
    scores = importance_of(network, kind, rows(finetuned), 0)[1]  # type: ignore[arg-type]
    assert int(scores.heads.argmin()) == 2
    assert int(scores.neurons.argmin()) == 40
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("kind", ["fisher", "dynabert"])
def test_the_gradients_of_masks_need_none_of_weights(finetuned: Checkpoint, kind: Importance) -> None:
    network = open_network(finetuned)
    made: list[tuple[int, ...]] = []
    for weight in network.parameters():
        weight.register_post_accumulate_grad_hook(lambda weight: made.append(tuple(weight.shape)))
    importance_of(network, kind, rows(finetuned, 2), 0)
    assert made == []
    assert all(weight.requires_grad for weight in network.parameters())


def test_mask_gradients_are_those_of_scaling_a_head(finetuned: Checkpoint) -> None:
    """The derivative by a mask, against the difference it stands for."""
    network = open_network(finetuned).double()
    one = rows(finetuned, 1)
    found = importance_of(network, "dynabert", one, 0)[0].heads

    def loss(scale: float) -> float:
        block = network.blocks()[0]
        columns = slice(block.head_size, 2 * block.head_size)
        with torch.no_grad():
            block.attention_output.weight[:, columns] *= scale
            batch = collate(one, network.outputs, 0, torch.device("cpu"))
            value = hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs).item()
            block.attention_output.weight[:, columns] /= scale
        return value

    step = 1e-3
    slope = (loss(1 + step) - loss(1 - step)) / (2 * step)
    assert float(found[1]) == pytest.approx(abs(slope), rel=0.02)


def test_a_sorted_network_computes_what_it_did(finetuned: Checkpoint) -> None:
    network = open_network(finetuned)
    before = answers(network)
    scores = importance_of(network, "taylor", rows(finetuned), 0)
    sort(network, scores)
    assert torch.allclose(answers(network), before, atol=1e-5)
    again = importance_of(network, "taylor", rows(finetuned), 0)
    for score in again:
        assert torch.equal(score.neurons.argsort(descending=True), torch.arange(len(score.neurons)))


@pytest.mark.parametrize("keep", [0.25, 0.5, 0.75])
def test_a_narrowed_network_is_the_pruned_one(finetuned: Checkpoint, keep: float) -> None:
    network = open_network(finetuned)
    sort(network, importance_of(network, "magnitude", [], 0))
    whole = answers(network)
    narrowing = Narrowing(network)
    with narrowing.to(keep, 16):
        narrow = answers(network)
    assert torch.equal(answers(network), whole)
    shrink(network, uniform(network.blocks(), importance_of(network, "order", [], 0), keep, keep, 16))
    assert torch.allclose(answers(network), narrow, atol=1e-5)


def test_widths_may_be_numbers_or_shares_of_their_own(root: Path) -> None:
    final = executed(root, ("width", Width(heads=1, ffn=48, importance="magnitude"))).final
    assert (final.facts["shape"]["heads"], final.facts["shape"]["ffn"]) == ([1, 1], [48, 48])
    final = executed(root, ("width", Width(heads=0.75, ffn=0.25, importance="magnitude"))).final
    assert (final.facts["shape"]["heads"], final.facts["shape"]["ffn"]) == ([3, 3], [32, 32])


def test_more_than_there_is_cannot_be_kept(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"width.heads: 12 asked for, a layer has only 4"):
        executed(root, ("width", Width(heads=12)))


@pytest.mark.parametrize("budget", ["parameters", "flops"])
@pytest.mark.parametrize("keep", [0.3, 0.6])
def test_a_global_ranking_keeps_to_its_budget(
    root: Path, finetuned: Checkpoint, budget: str, keep: float
) -> None:
    stage = Width(keep=keep, allocation="global", budget=budget, importance="taylor", rows=64)  # type: ignore[arg-type]
    network = open_network(executed(root, ("width", stage)).final)
    whole = open_network(finetuned)
    tokens = sum(len(row.ids) for row in rows(finetuned, 64)) / 64

    def spent(of: Network) -> float:
        total = 0.0
        for block in of.blocks():
            head, neuron = parameters_each(block) if budget == "parameters" else flops_each(block, tokens)
            total += block.heads * head + block.neurons * neuron
        return total

    assert keep - 0.12 < spent(network) / spent(whole) <= keep
    assert all(block.heads >= 1 and block.neurons % 16 == 0 for block in network.blocks())


def test_a_global_ranking_takes_from_the_layer_that_matters_less(finetuned: Checkpoint) -> None:
    blocks = open_network(finetuned).blocks()
    weak, strong = (Scores(torch.full((4,), 32 * x), torch.full((128,), x)) for x in (1.0, 9.0))
    (few, _), (many, _) = by_global_rank(blocks, [weak, strong], 0.6, 16, parameters_each)
    assert len(few) < len(many) == 4


def planted(checkpoint: Checkpoint) -> Network:
    """The second half of the heads and neurons of each layer reads and says what the first does."""
    network = open_network(checkpoint)
    with torch.no_grad():
        for block in network.blocks():
            for linear in (*block.into_heads, *block.into_neurons):
                for tensor in (linear.weight, linear.bias):
                    tensor[len(tensor) // 2 :] = tensor[: len(tensor) // 2].clone()
    return network


def test_what_stays_makes_up_for_what_left(finetuned: Checkpoint) -> None:
    whole, network = planted(finetuned), planted(finetuned)
    shrink(network, [([0, 1], list(range(64)))] * 2)
    lost = (answers(network) - answers(whole)).abs().max()
    reconstruct(network, whole, rows(finetuned, 256), 0)
    assert (answers(network) - answers(whole)).abs().max() < 0.01 * lost


def test_a_narrow_network_that_is_reconstructed_is_better(root: Path) -> None:
    def score(again: bool) -> float:
        outcome = executed(root, ("width", Width(keep=0.5, rows=256, reconstruct=again)))
        return outcome.steps[-1].scores["slot_f1"]

    assert score(True) > score(False) + 0.01


def test_a_supernet_is_trained_once_for_all_its_widths(root: Path) -> None:
    supernet = Supernet(widths=(0.25, 0.5), rows=32, train=QUICK)
    kept = []
    for keep in (0.25, 0.5):
        width = Width(keep=keep, importance="order")
        outcome = executed(root, ("supernet", supernet), ("width", width))
        kept.append((outcome.steps[1].cached, outcome.final.facts["shape"]["heads"]))
    assert kept == [(False, [1, 1]), (True, [2, 2])]


@pytest.mark.parametrize("choice", [{"sample": 1}, {"in_place": True}, {}])
def test_every_width_of_a_supernet_learns(root: Path, choice: dict[str, object]) -> None:
    train = Training(steps=120, learning_rate=2e-3, precision="fp32", threads=1)
    supernet = Supernet(widths=(0.25, 0.5, 0.75), rows=32, train=train, **choice)  # type: ignore[arg-type]
    for keep in (0.25, 0.75):
        width = Width(keep=keep, importance="order")
        trained = executed(root, ("supernet", supernet), ("width", width)).steps[-1]
        sliced = executed(root, ("width", Width(keep=keep, importance="dynabert", rows=32))).steps[-1]
        assert trained.scores["slot_f1"] > sliced.scores["slot_f1"] + 0.01


def test_the_order_of_a_network_that_was_not_sorted_says_nothing(root: Path) -> None:
    with pytest.raises(StageFailed, match="order keeps the first heads and neurons, and only a supernet"):
        executed(root, ("width", Width(keep=0.5, importance="order")))


@pytest.mark.parametrize(
    ("width", "says"),
    [
        ({"keep": 0.5}, None),
        ({"keep": 0.51}, None),  # of 4 heads and 8 times 16 neurons as many
        ({"keep": 0.4}, "2 heads, 48 neurons"),
        ({"heads": 0.75}, "3 heads, 64 neurons"),
        ({"heads": 0.25, "ffn": 0.5}, "1 heads, 64 neurons"),  # each was, but not together
        ({"heads": 2, "ffn": 64}, None),
        ({"heads": 3, "ffn": 64}, "3 heads, 64 neurons"),
        ({"heads": 2, "ffn": 80}, "2 heads, 80 neurons"),
        ({"keep": 0.25, "multiple_of": 32}, None),  # 32, as in multiples of 16
        ({"keep": 0.25, "multiple_of": 48}, "1 heads, 48 neurons"),
    ],
)
def test_a_width_that_was_not_trained_is_doubted(
    root: Path, caplog: pytest.LogCaptureFixture, width: dict[str, Any], says: str | None
) -> None:
    found = executed(root, ("supernet", Supernet(widths=(0.25, 0.5), rows=32, train=QUICK))).final
    Width(importance="order", **width).hold_to(found, open_network(found).blocks())
    said = [m for record in caplog.records if (m := record.getMessage()).startswith("width: ")]
    trained = "it was at 1 heads, 32 neurons, at 2 heads, 64 neurons"
    assert said == ([] if says is None else [f"width: the supernet was not trained at {says}; {trained}"])


def test_the_widest_teaches_each_layer_what_its_own_has_learned(
    finetuned: Checkpoint, tmp_path: Path
) -> None:
    """Two as wide as each other have nothing to learn from each other, whichever layers are compared."""

    def first_loss(in_place: bool) -> float:
        stage = Supernet(
            widths=(0.999, 1.0), in_place=in_place, importance="magnitude",
            distillation=Distillation(hard_weight=0, layers=((1, 2), (2, 2))),
            train=Training(steps=1, precision="fp32", threads=1),
        )  # fmt: skip
        context = Context(TASK, 0, tmp_path, silent)
        stage.run({"model": finetuned, "baseline": finetuned}, context)
        return Checkpoint(tmp_path, "").history()[0]["loss"]

    assert first_loss(in_place=True) == pytest.approx(0.5 * first_loss(in_place=False), rel=0.01)


def test_a_supernet_draws_on_where_it_was_broken_off(
    finetuned: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pare.fitting.SAVE_EVERY_S", 0.0)
    train = Training(steps=12, precision="fp32", threads=1)
    stage = Supernet(widths=(0.25, 0.5, 0.75, 1.0), sample=1, importance="magnitude", rows=8, train=train)

    def trained(progress: Progress, scratch: str) -> Network:
        context = Context(TASK, 0, tmp_path, progress, tmp_path / scratch)
        stage.run({"model": finetuned, "baseline": finetuned}, context)
        return open_network(Checkpoint(tmp_path, ""))

    straight = trained(silent, "straight")
    with pytest.raises(Broken):
        trained(breaking_after(5), "broken")
    resumed = trained(silent, "broken")
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize(
    ("keep", "count", "kept"), [("every_other", 3, [1, 3, 5]), ("first", 2, [0, 1]), ("last", 2, [4, 5])]
)
def test_layers_are_placed(keep: str, count: int, kept: list[int]) -> None:
    assert placed(keep, 6, count) == kept  # type: ignore[arg-type]


def test_a_layer_that_does_nothing_goes_first(finetuned: Checkpoint) -> None:
    network = open_network(finetuned)
    influence = block_influence(network, rows(finetuned), 0)
    block = network.blocks()[1]
    with torch.no_grad():
        for linear in (block.attention_output, block.output):
            linear.weight.zero_()
            linear.bias.zero_()
    idle = block_influence(network, rows(finetuned), 0)
    assert idle[1] < 0.2 * influence[1]


def test_depth_halves_the_layers_and_a_student_starts_from_them(root: Path, finetuned: Checkpoint) -> None:
    cut = executed(root, ("depth", Depth())).final
    assert cut.facts["shape"]["layers"] == 1
    assert cut.facts["layers_kept"] == [1]
    whole, half = open_network(finetuned).state_dict(), open_network(cut).state_dict()
    name = "layer.{}.intermediate.dense.weight"
    assert torch.equal(half[f"encoder.encoder.{name.format(0)}"], whole[f"encoder.encoder.{name.format(1)}"])
    taught = executed(root, ("depth", Depth()), ("distill", Distill(train=QUICK))).final
    assert taught.facts["shape"]["layers"] == 1


def test_layers_that_are_not_there_are_named(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"depth.keep: \[7\] asked for, the network has layers 0…1"):
        executed(root, ("depth", Depth(keep=(0, 7))))


def test_rows_are_drawn_from_all_over_the_file(finetuned: Checkpoint) -> None:
    """Files are often sorted by label: their first rows know a few of them."""
    encoder = open_text_encoder(finetuned)
    whole = rows_of(TASK, "train", encoder)
    found = some_rows(TASK, encoder, 12, seed=1)
    places = [max(i for i, row in enumerate(whole) if row == some) for some in found]
    assert len(found) == 12
    assert max(places) > len(whole) // 2
    assert found == some_rows(TASK, encoder, 12, seed=1) != some_rows(TASK, encoder, 12, seed=2)
    assert len(some_rows(TASK, encoder, 10 * len(whole), seed=1)) == len(whole)


def test_rows_drawn_of_several_tasks_keep_their_own_labels(finetuned: Checkpoint) -> None:
    both = Several(name="both", max_length=TASK.max_length, tasks={"one": TASK, "other": TASK})
    encoder = open_text_encoder(finetuned)
    whole = list(rows_of(both, "train", encoder))
    for row in some_rows(both, encoder, 12, seed=1):
        assert row in whole
