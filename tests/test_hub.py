"""Data sets of the hub, read by `datasets` from a folder as it would from the network."""

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from pare.build import build
from pare.composition import parts
from pare.errors import DataError
from pare.tasks.annotated import Conll
from pare.tasks.classify import Classify
from pare.tasks.example import Example, Span
from pare.tasks.files import Files
from pare.tasks.formats import Lines
from pare.tasks.hub import Hub
from pare.tasks.objects import Json

LABELS = ClassLabel(names=["no", "yes"])


@pytest.fixture(autouse=True)
def quiet_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def folder(tmp_path: Path, splits: dict[str, dict[str, list[object]]], features: Features) -> str:
    """What `datasets` finds in a repository: one Parquet file for each split."""
    place = tmp_path / "set"
    place.mkdir()
    made = DatasetDict({name: Dataset.from_dict(rows, features=features) for name, rows in splits.items()})
    for name, rows in made.items():
        rows.to_parquet(place / f"{name}-00000-of-00001.parquet")
    return str(place)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    features = Features({"one": Value("string"), "two": Value("string"), "label": LABELS})
    rows = {
        "one": [f"a{i}" for i in range(20)],
        "two": ["b"] * 20,
        "label": [i % 2 for i in range(19)] + [-1],
    }
    few = {name: values[:4] for name, values in rows.items()}
    return folder(tmp_path, {"train": rows, "validation": few, "test": few}, features)  # type: ignore[dict-item]


def test_columns_become_examples_and_numbers_become_names(pairs: str) -> None:
    rows = Json(text="one", pair="two", leave_out=("-1",))
    source = Files(hub=Hub(id=pairs, test="test", format=rows))
    found = source.read()
    assert {split: len(part) for split, part in found.items()} == {
        "train": 19, "dev": 4, "test": 4, "unlabelled": 0,
    }  # fmt: skip
    assert found["train"][1] == Example(("a1", "b"), ("yes",))
    Classify(name="pairs", max_length=16, source=source).check()


def test_splits_that_there_are_not_are_cut(pairs: str) -> None:
    rows = Json(text="one", pair="two", leave_out=("-1",))
    found = Files(hub=Hub(id=pairs, dev=None, format=rows)).read()
    assert [len(found[split]) for split in ("train", "dev", "test")] == [13, 3, 3]


def test_a_folder_comes_before_the_hub(pairs: str, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "a\tx\nb\ty\n" * 10, encoding="utf-8")
    source = Files(folder=str(tmp_path), train="rows.tsv", hub=Hub(id=pairs))
    assert {e.text for e in source.read()["train"]} == {"a", "b"}


def test_words_with_numbered_tags_become_spans(tmp_path: Path) -> None:
    tags = Sequence(ClassLabel(names=["O", "B-city", "I-city"]))
    place = folder(
        tmp_path,
        {"train": {"tokens": [["in", "new", "york"]] * 5, "ner_tags": [[0, 1, 2]] * 5}},
        Features({"tokens": Sequence(Value("string")), "ner_tags": tags}),
    )
    found = Files(hub=Hub(id=place, dev=None, format=Conll(tags="ner_tags"))).read()
    assert found["train"][0] == Example("in new york", spans=(Span(3, 11, "city"),))


def test_commands_with_a_column_of_tags(tmp_path: Path) -> None:
    text = Value("string")
    place = folder(
        tmp_path,
        {"train": {"text": ["fly to rome"] * 5, "slots": ["O O B-city"] * 5, "intent": ["fly"] * 5}},
        Features({"text": text, "slots": text, "intent": text}),
    )
    rows = Lines(text="text", tags="slots", label="intent")
    found = Files(hub=Hub(id=place, dev=None, format=rows)).read()
    assert found["dev"][0] == Example("fly to rome", ("fly",), (Span(7, 11, "city"),))


@pytest.mark.parametrize(
    ("hub", "says"),
    [
        ({"train": "trial"}, ", trial: could not be loaded ("),
        (
            {"format": Json(text="one", label="kind")},
            ", train, row 1: no 'kind', only ['label', 'one', 'two']",
        ),
    ],
)
def test_what_is_wrong_is_named(pairs: str, hub: dict[str, object], says: str) -> None:
    with pytest.raises(DataError) as error:
        Files(hub=Hub(id=pairs, **hub)).read()  # type: ignore[arg-type]
    assert str(error.value).startswith(f"task.source.hub: {pairs}{says}")


def test_a_set_out_of_reach_says_how_to_use_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as error:
        Files(hub=Hub(id="somebody/some-set")).read()
    assert "without a network, set task.source.folder (or PARE_DATA) to a folder with its files" in str(
        error.value
    )


def test_without_a_file_or_a_hub_there_is_nothing_to_read() -> None:
    with pytest.raises(ValueError, match="train: missing; a file is needed, or a hub"):
        Files(folder="somewhere")


def test_cluener_is_read_as_its_copy_there_has_it(tmp_path: Path) -> None:
    """Columns, splits and ends, which are exclusive, as its card says."""
    text, number = Value("string"), Value("int64")
    span = {"id": number, "entity": text, "start_offset": number, "end_offset": number, "label": text}
    entity = {"id": 0, "entity": "浙商银行", "start_offset": 0, "end_offset": 4, "label": "company"}
    rows: dict[str, list[object]] = {"text": ["浙商银行的叶老桂"] * 5, "entities": [[entity]] * 5}
    features = Features({"text": text, "entities": [span]})
    place = folder(tmp_path, {"train": rows, "validation": rows}, features)
    read = Example("浙商银行的叶老桂", spans=(Span(0, 4, "company"),))
    for name in ("cluener", "cluener_prompts"):
        inner = "task.source.source" if name == "cluener_prompts" else "task.source"
        overrides = [f"task={name}", f"{inner}.folder=null", f"{inner}.hub.id={place}"]
        task = build(parts(overrides, "task")["task"], "task", [])
        files = task.source.source if name == "cluener_prompts" else task.source
        found = files.read()
        assert {split: len(part) for split, part in found.items()} == {
            "train": 4, "dev": 1, "test": 5, "unlabelled": 0,
        }  # fmt: skip
        assert found["test"][0] == read


def test_hwu64_is_read_as_its_copy_there_has_it(tmp_path: Path) -> None:
    names = ClassLabel(names=["alarm_query", "iot_hue_lightdim"])
    rows: dict[str, list[object]] = {
        "text": [f"dim the light {i}" for i in range(20)],
        "scenario": ["iot"] * 20,
        "label": [i % 2 for i in range(20)],
    }
    text = Value("string")
    place = folder(tmp_path, {"train": rows}, Features({"text": text, "scenario": text, "label": names}))
    hub = "task.source.hub"
    overrides = ["task=hwu64", "task.source.folder=null", f"{hub}.id={place}", f"{hub}.revision=null"]
    task = build(parts(overrides, "task")["task"], "task", [])
    task.check()
    assert {example.labels for example in task.examples("train")} == {
        ("alarm", "alarm_query"),
        ("iot", "iot_hue_lightdim"),
    }
