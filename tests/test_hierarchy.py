"""Labels that lie in one another: trees and graphs, scores by level, tuned thresholds, up to a bundle."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pare.bundle import write_bundle
from pare.decoding import decode, held_labels
from pare.errors import DataError
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.finetune import Finetune
from pare.store import Store
from pare.tasks.mine import Mine
from pare.tasks.taxonomy import Graph, Paths, Taxonomy, graph_of
from pare.thresholds import best_threshold, closed
from pare.training import Training
from small import FINETUNE, HARDWARE, halved_int8, ignore

#: a mule has two parents; what is named in the text says which leaves hold
ANIMALS = {
    "animal": ["horse", "donkey", "bird"],
    "horse": ["mule", "pony"],
    "donkey": ["mule"],
    "bird": ["owl"],
}
LEAVES = ("mule", "pony", "owl")


def test_paths_lie_below_their_beginnings() -> None:
    tree = Paths("->")
    assert tree.above("1->1.2->1.2.1") == {"1", "1->1.2"}
    assert [tree.level(label) for label in ("1", "1->1.2", "1->1.2->1.2.1")] == [1, 2, 3]
    assert tree.closed(["1->1.2->1.2.1", "2"]) == ("1", "2", "1->1.2", "1->1.2->1.2.1")
    assert Paths("_", 2).parents("iot_hue_lightdim") == ("iot",)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "animals.json"
    file.write_text(json.dumps(ANIMALS), encoding="utf-8")
    return file


def test_a_graph_has_several_parents_whatever_its_file(tmp_path: Path, graph: Path) -> None:
    lines = tmp_path / "animals.txt"
    pairs = [(parent, child) for parent, children in ANIMALS.items() for child in children]
    lines.write_text("\n".join(f"{parent}\t{child}" for parent, child in pairs), encoding="utf-8")
    for file in (graph, lines):
        tree: Taxonomy = graph_of(file, "task.taxonomy", {})
        assert tree.parents("mule") == ("horse", "donkey")
        assert tree.above("mule") == {"animal", "horse", "donkey"}
        assert (tree.level("animal"), tree.level("mule")) == (1, 3)


def test_a_label_may_stand_alone_and_a_chain_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"top": ["a"], "alone": []}', encoding="utf-8")
    assert graph_of(tmp_path / "a.json", "task.taxonomy", {}).labels == ("top", "a", "alone")
    (tmp_path / "a.txt").write_text("".join(f"{i}\t{i + 1}\n" for i in range(900)), encoding="utf-8")
    graph_of(tmp_path / "a.txt", "task.taxonomy", {})


def test_many_ways_up_are_walked_once() -> None:
    layers = {f"{n}.{i}": tuple(f"{n - 1}.{j}" for j in range(3) if n) for n in range(40) for i in range(3)}
    assert Graph(layers).level("39.0") == 40  # 3 to the 39th ways
    assert len(Graph(layers).above("39.0")) == 39 * 3


def test_blanks_in_paths_are_no_steps(tmp_path: Path) -> None:
    rows = "".join(f"t{i}\t{label}\n" for i, label in enumerate(["/Arts/Music", "Arts / Film"] * 10))
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + rows, encoding="utf-8")
    task = Mine(name="paths", max_length=16, train=str(tmp_path / "rows.tsv"), path="/", primary="micro_f1")
    task.check()
    assert task.names == ("Arts", "Arts/Film", "Arts/Music")


@pytest.mark.parametrize("field", ["path", "separator"])
def test_nothing_stands_between_nothing(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}: empty"):
        Mine(name="a", max_length=16, train="a.tsv", **{field: ""})  # type: ignore[arg-type]


def test_a_label_that_the_taxonomy_lacks_is_named(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("top\tmule\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"is not in task.taxonomy, which has \['mule', 'top'\]"):
        animals(rows, tmp_path / "other.txt").check()


def test_the_lowest_parent_counts_for_the_level() -> None:
    tree = Graph({"a": (), "b": ("a",), "c": ("a", "b")})
    assert tree.level("c") == 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "x\ty\ny\tx\n", "'x' lies above itself"),
        ("a.txt", "x\ty\tz\n", "a.txt:1: 'x\\ty\\tz'; parent, tab, child are needed"),
        ("a.txt", "\n", "a.txt names no labels"),
        ("a.json", '{"top": "ab"}', "'top' has 'ab'; a list or an object is needed"),
        ("a.txt", "x\ty\nz\n", "a.txt:2: 'z'; parent, tab, child are needed"),
        ("a.json", "[1]", "is not an object of parents with their children"),
        ("a.json", "{", "is not an object of parents with their children"),
    ],
)
def test_a_taxonomy_that_makes_no_sense_is_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as error:
        graph_of(tmp_path / name, "task.taxonomy", {})
    assert says in str(error.value)
    assert str(error.value).startswith("task.taxonomy: ")


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_scores_better_than_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(40, 6)).round(1)  # with equals
    truth = (logits + rng.normal(size=logits.shape)) > 0.5
    found = f1_score(truth, logits > best_threshold(logits, truth), average="micro")
    tried = [f1_score(truth, logits > cut, average="micro") for cut in np.unique(logits) - 0.05]
    assert found == pytest.approx(max(tried))


def test_where_all_or_nothing_holds_the_threshold_is_below_or_above() -> None:
    logits = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert best_threshold(logits, np.ones((2, 2), dtype=bool)) < 1
    assert best_threshold(logits, np.zeros((2, 2), dtype=bool)) > 4


def test_what_is_said_below_is_said_above() -> None:
    implied = ((), (0,), (0, 1), ())
    logits = np.array([-3.0, -2.0, 1.0, -1.0])
    assert held_labels(logits, implied).tolist() == [True, True, True, False]
    assert (closed(logits[None], implied)[0] > 0).tolist() == [True, True, True, False]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    rng = random.Random(0)
    lines = ["text\tlabel"]
    for _ in range(900):
        there = [leaf for leaf in LEAVES if rng.random() < 0.4]
        words = [*there, *rng.choices(["one", "more", "thing", "here"], k=3)]
        rng.shuffle(words)
        lines.append(f"{' '.join(words)}\t{','.join(there)}")
    file = tmp_path / "rows.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def animals(rows: Path, graph: Path, **fields: object) -> Mine:
    return Mine(
        name="animals", max_length=24, train=str(rows), separator=",", taxonomy=str(graph),
        primary="micro_f1", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_scores_by_level_and_consistency(rows: Path, graph: Path) -> None:
    task = animals(rows, graph, close=False)
    task.check()
    assert task.names == ("animal", "bird", "donkey", "horse", "mule", "owl", "pony")
    gold = [{"label": list(e.labels)} for e in task.data["dev"]]
    holding = [bool(e.labels) for e in task.data["dev"]]
    scores = task.score("dev", gold)
    assert (scores["micro_f1"], scores["level3_f1"]) == (1, 1)
    assert scores["consistent"] == pytest.approx(
        1 - sum(holding) / len(holding)
    )  # leaves alone name nothing above
    whole = animals(rows, graph)
    scores = whole.score("dev", gold)
    assert (scores["level1_f1"], scores["level2_f1"], scores["level3_f1"]) == (0, 0, 1)
    assert whole.score("dev", [{"label": list(e.labels)} for e in whole.data["dev"]])["consistent"] == 1
    assert not {label for e in whole.data["train"] for label in e.labels} - set(whole.names)


def test_a_graph_of_labels_all_the_way_to_a_bundle(rows: Path, graph: Path, tmp_path: Path) -> None:
    task = animals(rows, graph)
    task.check()
    there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
    train = Training(steps=150, learning_rate=2e-3, precision="fp32", threads=1)
    outcome = there.execute(Finetune(model=FINETUNE.model, train=train), halved_int8(train), ignore)
    assert outcome.steps[0].scores["level3_f1"] > 0.97
    assert outcome.steps[-1].scores["micro_f1"] > 0.95
    assert outcome.steps[-1].scores["consistent"] == 1
    write_bundle(tmp_path / "bundle", outcome.final, False, {}, HARDWARE)
    outputs = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))["outputs"]
    only_mule = np.where(np.array(task.names) == "mule", 1.0, -1.0)
    assert decode(outputs, "a text", [], {"label": only_mule}) == {
        "label": ["animal", "donkey", "horse", "mule"]
    }
    command = [sys.executable, str(tmp_path / "bundle" / "predict.py"), "here mule thing", "one more"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    said = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert said == [["animal", "donkey", "horse", "mule"], []]


def test_a_network_that_dares_nothing_is_tuned_to_speak(rows: Path, tmp_path: Path) -> None:
    """After a few steps labels that two texts of five have are below one half everywhere."""
    train = Training(steps=12, learning_rate=5e-4, precision="fp32", threads=1)
    scores = []
    for tuned in (False, True):
        task = Mine(
            name="flat", max_length=24, train=str(rows), separator=",", primary="micro_f1", tuned=tuned
        )
        there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
        step = there.execute(Finetune(model=FINETUNE.model, train=train), (), ignore).steps[0]
        scores.append(step.scores["micro_f1"])
    assert scores[0] < 0.1
    assert scores[1] > 0.5


@pytest.mark.parametrize("path", ["->", None])
def test_an_empty_cell_is_no_label(tmp_path: Path, path: str | None) -> None:
    """Nor is a path without steps."""
    file = tmp_path / "rows.tsv"
    empty = " " if path is None else "->"
    file.write_text(f"text\tlabel\na\tx\nb\ty\nc\t\nd\t{empty}\n", encoding="utf-8")
    files = {split: str(file) for split in ("train", "dev", "test")}
    task = Mine(name="empty", max_length=16, path=path, **files)
    if path is None:
        with pytest.raises(DataError, match=r"rows.tsv:4: 0 labels; exactly one is needed"):
            task.check()
    else:
        task.check()
        assert task.names == ("x", "y")
        assert {(e.text, e.labels) for e in task.data["train"]} == {
            ("a", ("x",)), ("b", ("y",)), ("c", ()), ("d", ()),
        }  # fmt: skip


def test_a_label_holds_once_by_whatever_names(tmp_path: Path) -> None:
    """By its id and by its name: or a right answer would seem to miss one of two."""
    (tmp_path / "names.txt").write_text("owl\npony\n", encoding="utf-8")
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "a\t0,owl\nb\t1\n" * 10, encoding="utf-8")
    files = {split: str(tmp_path / "rows.tsv") for split in ("train", "dev", "test")}
    labels_file = str(tmp_path / "names.txt")
    task = Mine(
        name="ids", max_length=16, **files, labels_file=labels_file, separator=",", primary="micro_f1"
    )
    task.check()
    right = [{"label": ["owl"]}, {"label": ["pony"]}] * 10
    assert task.score("test", right)["micro_f1"] == 1.0


def test_ids_get_the_names_that_a_file_has(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "a\t0\nb\t1\n" * 10, encoding="utf-8")
    for name, content in {
        "names.txt": "owl\npony\n",
        "ids.txt": "1\tpony\n0\towl\n",
        "names.json": '["owl", "pony"]',
        "object.json": '{"0": "owl", "1": "pony"}',
        "lines.json": '{"label": "0", "label_desc": "owl"}\n{"label": 1, "label_des": "pony"}\n',
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        task = Mine(
            name="ids", max_length=16, train=str(tmp_path / "rows.tsv"), labels_file=str(tmp_path / name)
        )
        task.check()
        assert sorted(task.names) == ["owl", "pony"], name
        assert {(e.text, e.label) for e in task.data["train"]} == {("a", "owl"), ("b", "pony")}, name


def test_a_label_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "a\t0\nb\t7\n" * 10, encoding="utf-8")
    (tmp_path / "names.txt").write_text("owl\npony\n", encoding="utf-8")
    task = Mine(
        name="ids", max_length=16, train=str(tmp_path / "rows.tsv"), labels_file=f"{tmp_path}/names.txt"
    )
    with pytest.raises(DataError, match=r"label '7' is not in task.labels_file, which has \['owl', 'pony'\]"):
        task.check()


def test_labels_that_training_lacks_may_be_counted_as_missed(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "a\tx\nb\ty\n" * 10, encoding="utf-8")
    (tmp_path / "test.tsv").write_text("text\tlabel\na\tx\nb\tz\n", encoding="utf-8")
    files = {split: f"{tmp_path}/{split}.tsv" for split in ("train", "test")}
    task = Mine(name="unseen", max_length=16, **files, unseen="count")
    task.check()
    assert task.score("test", [{"label": "x"}, {"label": "y"}])["accuracy"] == 0.5


def test_a_metric_that_the_task_lacks_is_named_before_training(rows: Path) -> None:
    with pytest.raises(DataError, match=r"task.primary: found 'f1'; one of \['accuracy', .*'micro_f1'"):
        Mine(name="a", max_length=16, train=str(rows), separator=",", primary="f1").check()
