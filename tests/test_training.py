"""The training loop: same seed, same bits; a NaN stops it; dev chooses; a killed run goes on."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pare import parallel
from pare.batches import Batch, Row, collate, shuffled_batches
from pare.checkpoint import Checkpoint
from pare.encoders.model import Model
from pare.encoders.network import Network
from pare.errors import ConfigError, NonFiniteLoss, StageFailed
from pare.fitting import fit, learning_rate_at
from pare.losses import balanced_weights, hard_loss
from pare.outputs import IGNORED_LABEL, Output
from pare.pipeline import Pipeline
from pare.progress import Advance, Progress, silent
from pare.resuming import Standing
from pare.stages.finetune import Finetune
from pare.stages.networks import open_network, rows_of, start_network
from pare.store import Store
from pare.sweeps.work import error_of
from pare.tasks.mine import Mine
from pare.training import Training, looks_in_vain, resolve_device
from small import ARCHITECTURE, HARDWARE, TASK, Broken, breaking_after


def trained(seed: int, steps: int = 4, breaks_at: int | None = None) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    network, encoder = start_network(Model(architecture=ARCHITECTURE), TASK, TASK.outputs())
    calls = iter(range(steps))

    def loss_of(batch: Batch) -> torch.Tensor:
        loss = hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs)
        return loss * float("nan") if next(calls) == breaks_at else loss

    rows = rows_of(TASK, "train", encoder)[:200]
    training = Training(steps=steps, batch_size=16)
    fit(
        [network], network.outputs, rows, loss_of, training,
        pad_id=encoder.pad_id, seed=seed, progress=silent, title="test",
    )  # fmt: skip
    return network.state_dict()


def test_the_same_seed_gives_the_same_bits() -> None:
    one, two, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_learns(precision: str) -> None:
    training = Training(steps=12, learning_rate=2e-3, precision=precision)  # type: ignore[arg-type]
    network, curve = fitted(training)
    assert curve[-1]["loss"] < 0.9 * curve[0]["loss"]
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_a_loss_that_is_no_number_stops_at_that_step() -> None:
    with pytest.raises(NonFiniteLoss, match="the loss is nan at step 3 of 4"):
        trained(0, breaks_at=2)


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"batch_size": 8}, "8 texts of 12 .*; batch_size=4 accumulate=2 of its train takes half of them"),
        ({"batch_size": 1, "accumulate": 2}, "1 texts of 12 .*; a smaller task.max_length may"),
    ],
)
def test_a_batch_that_is_too_large_is_one_line_with_what_to_do(train: dict[str, int], says: str) -> None:
    def loss_of(batch: Batch) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    network, encoder = start_network(Model(architecture=ARCHITECTURE), TASK, TASK.outputs())
    lesson = Row([5] * 12, {})
    with pytest.raises(StageFailed, match=f"^test: a batch of {says}") as failed:
        fit(
            [network], network.outputs, [lesson] * 8, loss_of, Training(steps=2, **train),
            pad_id=encoder.pad_id, seed=0, progress=silent, title="test",
        )  # fmt: skip
    assert "\n" not in str(failed.value)
    assert error_of(failed.value)["kind"] == "OutOfMemory"  # which is tried again, it may have been another's


@pytest.mark.parametrize("most", [1.0, None])
def test_a_gradient_that_is_no_number_is_not_learned_from(most: float | None) -> None:
    """In the last step nobody would see it: the loss is finite, and the network all NaN."""
    network, encoder = start_network(Model(architecture=ARCHITECTURE), TASK, TASK.outputs())
    weight = network.blocks()[0].query.weight
    with pytest.raises(NonFiniteLoss, match="the norm of its gradient is inf at step 1 of 1"):
        fit(
            [network], network.outputs, rows_of(TASK, "train", encoder)[:16],
            lambda batch: (weight - weight.detach()).sum().sqrt(),  # 0, and infinitely steep
            Training(steps=1, max_gradient_norm=most, precision="fp32"),
            pad_id=encoder.pad_id, seed=0, progress=silent, title="test",
        )  # fmt: skip
    assert all(parameter.isfinite().all() for parameter in network.parameters())


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


def fitted(
    training: Training,
    judge: Callable[[Network], float] | None = None,
    scratch: Path | None = None,
    rows: int = 200,
    starts_well: bool = False,
    dropout: float = 0.0,
    progress: Progress = silent,
) -> tuple[Network, list[dict[str, float]]]:
    torch.manual_seed(0)
    model = Model(architecture=replace(ARCHITECTURE, dropout=dropout))
    network, encoder = start_network(model, TASK, TASK.outputs())

    def loss_of(batch: Batch) -> torch.Tensor:
        return hard_loss(network(batch.ids, batch.mask), batch.labels, network.outputs)

    lessons = rows_of(TASK, "train", encoder)[:rows]
    curve = fit(
        [network], network.outputs, lessons, loss_of, training,
        pad_id=encoder.pad_id, seed=0, progress=progress, title="test",
        judge=None if judge is None else lambda: judge(network), scratch=scratch, starts_well=starts_well,
    )  # fmt: skip
    return network, curve


def test_the_network_that_was_best_on_dev_is_kept() -> None:
    scores = iter([0.1, 0.9, 0.2, 0.3])
    seen: list[dict[str, torch.Tensor]] = []

    def judge(network: Network) -> float:
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return next(scores)

    network, curve = fitted(Training(steps=8, evaluate_every=2, precision="fp32"), judge)
    assert [point["dev"] for point in curve if "dev" in point] == [0.1, 0.9, 0.2, 0.3]
    found = network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in seen[1].items())
    assert not all(torch.equal(found[name], tensor) for name, tensor in seen[3].items())


def test_a_network_that_starts_well_is_kept_if_training_only_harms_it() -> None:
    start, _ = fitted(Training(steps=0))
    scores = iter([0.9, 0.5, 0.4])
    network, _ = fitted(
        Training(steps=4, evaluate_every=2, precision="fp32"), lambda network: next(scores), starts_well=True
    )
    pairs = zip(network.parameters(), start.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_training_ends_when_dev_has_not_risen_for_long_enough() -> None:
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.9])
    training = Training(steps=100, evaluate_every=2, patience=2, precision="fp32")
    _, curve = fitted(training, lambda network: next(scores))
    assert curve[-1]["step"] == 8


@pytest.mark.parametrize(
    ("told", "starts_well", "vain"),
    [
        ({}, False, []),
        ({"evaluate_every": 9}, False, []),
        ({"evaluate_every": 10}, False, ["evaluate_every=10"]),
        ({"evaluate_every": 10}, True, []),  # the start and the end are looked at, however long it is
        ({"patience": 1}, False, ["patience=1"]),
        ({"patience": 1, "evaluate_every": 4}, False, []),
        ({"patience": 2, "evaluate_every": 3}, False, ["patience=2"]),
        ({"patience": 2, "evaluate_every": 4}, True, []),
        ({"patience": 1, "evaluate_every": 10}, False, ["evaluate_every=10", "patience=1"]),
        ({"patience": 1, "steps": 0}, False, []),  # a checkpoint is taken as it is
        ({"patience": 2, "steps": None, "epochs": 3.0}, False, ["patience=2"]),
        ({"patience": 1, "steps": None, "epochs": 3.0}, False, []),
    ],
)
def test_looks_at_dev_that_change_nothing_are_refused(
    told: dict[str, Any], starts_well: bool, vain: list[str]
) -> None:
    """Of 9 steps, or epochs of 5."""
    training = Training(**{"steps": 9, "batch_size": 20, **told})
    found = looks_in_vain(training, lambda: 100, "train", starts_well)
    assert [line.partition(":")[0] for line in found] == [f"train.{setting}" for setting in vain]


def test_training_without_a_better_look_ends_no_earlier_than_is_said() -> None:
    training = Training(steps=9, evaluate_every=4, patience=1, precision="fp32")
    _, curve = fitted(training, lambda network: 0.5)
    assert curve[-1]["step"] == 8


def test_batches_that_are_accumulated_are_one_step_on_all_of_them() -> None:
    settings = {"steps": 1, "precision": "fp32", "max_gradient_norm": 1e9}
    start, _ = fitted(Training(steps=0), rows=32)
    whole, _ = fitted(Training(batch_size=32, **settings), rows=32)
    parts, _ = fitted(Training(batch_size=16, accumulate=2, **settings), rows=32)
    half, _ = fitted(Training(batch_size=16, **settings), rows=32)
    assert similarity(start, whole, parts) > 0.95 > 0.85 > similarity(start, whole, half)
    assert Training(epochs=1, batch_size=16, accumulate=2).total_steps(200) == 7


def test_gradients_are_clipped_or_left_as_they_are() -> None:
    settings = {"steps": 3, "precision": "fp32", "threads": 1}
    norms: list[float | None] = [None, 1e9, 1e-9]
    free, high, low = (fitted(Training(max_gradient_norm=norm, **settings))[0] for norm in norms)
    pairs = list(zip(free.parameters(), high.parameters(), low.parameters(), strict=True))
    assert all(torch.equal(one, other) for one, other, _ in pairs)
    assert not all(torch.equal(one, other) for one, _, other in pairs)


def similarity(start: Network, one: Network, two: Network) -> float:
    """The cosine between what two networks learned."""
    steps = [
        torch.cat([(a - b).flatten() for a, b in zip(n.parameters(), start.parameters(), strict=True)])
        for n in (one, two)
    ]
    return torch.nn.functional.cosine_similarity(*steps, dim=0).item()


def test_a_killed_run_goes_on_at_the_same_step_to_the_same_bits(tmp_path: Path) -> None:
    training = Training(steps=12, evaluate_every=4, precision="fp32")
    code = (
        "import os, pathlib, pare.fitting, test_training as t\n"
        "pare.fitting.SAVE_EVERY_S = 0.0\n"
        "looks = iter([0.5, None])\n"
        "def judge(network):\n"
        "    return next(looks) or os.kill(os.getpid(), 9)\n"
        f"t.fitted({training!r}, judge, pathlib.Path({str(tmp_path)!r}))\n"
    ).replace("Training(", "t.Training(")
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=here, check=False)
    assert done.returncode == -9
    scores = iter([0.2, 0.6])
    resumed, curve = fitted(training, lambda network: next(scores), tmp_path)
    assert [point["dev"] for point in curve if "dev" in point] == [0.5, 0.2, 0.6]
    scores = iter([0.5, 0.2, 0.6])
    straight, other = fitted(training, lambda network: next(scores))
    assert curve == other
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))


def test_a_run_that_is_asked_to_end_in_a_look_at_dev_ends_there_and_begins_with_it(tmp_path: Path) -> None:
    """However long the look takes: whoever asks kills what has not ended in time."""
    training = Training(steps=10, evaluate_every=4, patience=1, precision="fp32")
    code = (
        "import os, pathlib, signal, pare.stopping, test_training as t\n"
        "pare.stopping.listen()\n"
        "looks = iter([0.5, None])\n"
        "def judge(network):\n"
        "    score = next(looks)\n"
        "    for number in () if score else (signal.SIGTERM, signal.SIGKILL):\n"
        "        os.kill(os.getpid(), number)\n"
        "    return score\n"
        f"t.fitted({training!r}, judge, pathlib.Path({str(tmp_path)!r}))\n"
    ).replace("Training(", "t.Training(")
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=here, check=False)
    assert done.returncode == 143
    steps: list[int] = []

    @contextmanager
    def watched(title: str, total: int) -> Iterator[Advance]:
        yield lambda more, state: steps.append(more)

    _, curve = fitted(training, lambda network: 0.4, tmp_path, progress=watched)
    assert steps == [8, 0]  # it was out of patience
    scores = iter([0.5, 0.4])
    assert curve == fitted(training, lambda network: next(scores))[1]


@pytest.mark.parametrize("rank", [0, 1])
def test_what_is_dropped_after_a_break_is_what_would_have_been_and_another_part_in_each_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    monkeypatch.setattr("pare.fitting.SAVE_EVERY_S", 0.0)
    training = Training(steps=8, precision="fp32", threads=1)
    straight, curve = fitted(training, dropout=0.3)
    with pytest.raises(Broken):
        fitted(training, None, tmp_path, dropout=0.3, progress=breaking_after(4))
    monkeypatch.setenv("PARE_RANK", str(rank))
    resumed, again = fitted(training, None, tmp_path, dropout=0.3)
    assert again[:4] == curve[:4]
    assert (again[4:] == curve[4:]) is (rank == 0)
    same = all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))
    assert same is (rank == 0)


@pytest.mark.parametrize("place", [0, 8, 40, -1])
def test_a_run_whose_checkpoint_has_changed_starts_anew_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    """place: of the byte: how long the header is, the header itself, or the last weight."""
    monkeypatch.setattr("pare.fitting.SAVE_EVERY_S", 0.0)
    training = Training(steps=4, precision="fp32", threads=1)
    with pytest.raises(Broken):
        fitted(training, None, tmp_path, progress=breaking_after(2))
    file = tmp_path / "training.safetensors"
    damaged = bytearray(file.read_bytes())
    damaged[place] ^= 1
    file.write_bytes(damaged)
    names = (".tmpUo1B9M", ".tmpxY3k20", "training.safetensors.0123abcd")
    killed, *others = (tmp_path / name for name in names)
    for unfinished in (killed, *others):
        unfinished.touch()
    os.utime(killed, (0, 0))
    network, curve = fitted(training, None, tmp_path)
    assert caplog.messages == [f"{file} is damaged; training starts anew"]
    straight, other = fitted(training)
    assert curve == other
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), straight.parameters(), strict=True))
    assert {*tmp_path.iterdir()} == {file, *others}  # which another machine may be writing


def test_a_run_goes_on_where_another_machine_has_published_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes away, at any moment, the folder that says where it stands."""
    monkeypatch.setattr("pare.fitting.SAVE_EVERY_S", 0.0)
    scratch, over = tmp_path / "scratch", threading.Event()

    def publish() -> None:
        while not over.is_set():
            with suppress(FileNotFoundError):
                shutil.rmtree(scratch.rename(tmp_path / os.urandom(4).hex()))

    other = threading.Thread(target=publish)
    other.start()
    try:
        _, curve = fitted(Training(steps=20, precision="fp32", threads=1), None, scratch)
    finally:
        over.set()
        other.join()
    assert curve[-1]["step"] == 20


@pytest.mark.parametrize(("takes", "noted"), [(0, [4, 8, 12, 16, 20]), (5, [4, 15])])
def test_what_takes_long_to_note_is_noted_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: int, noted: list[int]
) -> None:
    """A step takes ten seconds here."""
    now, steps = 0, []

    def save(folder: Path, standing: Standing, *rest: object) -> None:
        nonlocal now
        now += takes
        steps.append(standing.step)

    @contextmanager
    def lasting(title: str, total: int) -> Iterator[Advance]:
        def advance(more: int, state: str) -> None:
            nonlocal now
            now += 10 * more

        yield advance

    monkeypatch.setattr("pare.fitting.save_standing", save)
    monkeypatch.setattr("pare.fitting.time", SimpleNamespace(monotonic=lambda: now))
    fitted(Training(steps=20, precision="fp32", threads=1), None, tmp_path, progress=lasting)
    assert steps == noted


def test_a_run_that_hit_a_nan_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss):
        fitted(
            Training(steps=3, learning_rate=1e30, max_gradient_norm=1e30, precision="fp32"), None, tmp_path
        )
    assert not list(tmp_path.iterdir())


def test_rare_labels_count_as_much_as_frequent_ones() -> None:
    weights = balanced_weights([0, 0, 0, 1], 2)
    assert torch.allclose(weights, torch.tensor([4 / 6, 2.0]))
    logits = {"intent": torch.tensor([[2.0, 0.0]] * 4)}
    labels = {"intent": torch.tensor([0, 0, 0, 1])}
    output = Output("intent", ("a", "b"))
    each = torch.nn.functional.cross_entropy(logits["intent"], labels["intent"], reduction="none")
    wanted = (each[0] + each[3]) / 2
    assert torch.allclose(hard_loss(logits, labels, [output], {"intent": weights}), wanted)


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    rows = [
        (f"{word} {i}", number) for i in range(60) for number, word in enumerate(("open", "close", "stop"))
    ]
    (tmp_path / "names.txt").write_text("open\nclose\nstop\n", encoding="utf-8")
    file = tmp_path / "rows.tsv"
    file.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    task = Mine(name="words", max_length=16, train=str(file), labels_file=str(tmp_path / "names.txt"))
    model = Model(architecture=ARCHITECTURE)
    train = Training(steps=20, batch_size=16, precision="fp32", device="cpu", threads=1)
    found = []
    for processes in (1, 2):
        stage = Finetune(model=model, train=replace(train, processes=processes))
        there = Pipeline(Store(tmp_path / str(processes)), task, 0, HARDWARE, silent)
        entry, _ = there.produce(stage, {})
        found.append(Checkpoint(entry.path, entry.digest))
    one, two = ([point["loss"] for point in checkpoint.history()] for checkpoint in found)
    assert len(one) == 20
    assert one == pytest.approx(two, rel=2e-3, abs=1e-5)
    weights = [dict(open_network(checkpoint).named_parameters()) for checkpoint in found]
    assert all(torch.allclose(weights[0][n], weights[1][n], atol=2e-3) for n in weights[0])


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setenv("PARE_RANK", "1")
    assert resolve_device("cuda") == torch.device("cuda", 1)
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    setting = "compression.qat.train.processes"
    for processes, device in ((1, "auto"), (2, "cpu")):
        parallel.check(processes, device, setting)
    with pytest.raises(ConfigError, match=f"^{setting}: 2 processes need a GPU each, found 1; .*device=cpu"):
        parallel.check(2, "auto", setting)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    parallel.check(2, "auto", setting)  # on the CPU


SIGNALLED = """
import pathlib, sys
from contextlib import contextmanager
from pare.encoders.model import Model
from pare.pipeline import Pipeline
from pare.stages.finetune import Finetune
from pare.stopping import listen
from pare.store import Store
from pare.training import Training
from small import ARCHITECTURE, HARDWARE, TASK

@contextmanager
def progress(title, total):
    yield lambda more, state: more and print("a step", flush=True)

if __name__ == "__main__":
    listen()
    train = Training(steps=100_000, precision="fp32", device="cpu", threads=1, processes=2)
    stage = Finetune(model=Model(architecture=ARCHITECTURE), train=train)
    Pipeline(Store(pathlib.Path(sys.argv[1])), TASK, 0, HARDWARE, progress).produce(stage, {})
"""


@pytest.mark.slow
def test_two_processes_that_are_told_to_end_keep_their_checkpoint(tmp_path: Path) -> None:
    """Both hear of it, as all that a terminal, a scheduler or a sweep has started."""
    script = tmp_path / "script.py"
    script.write_text(SIGNALLED, "utf-8")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "a step\n"
            os.killpg(process.pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 143, errors
    assert list(tmp_path.glob("tmp/*.scratch/training.safetensors"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"patience": 0},
        {"epochs": 0.0},
        {"learning_rate": 0.0},
        {"warmup": 2.0},
        {"weight_decay": -0.01},
        {"max_gradient_norm": 0.0},
        {"max_gradient_norm": -1.0},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Training(**wrong)  # type: ignore[arg-type]
