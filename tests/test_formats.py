"""Examples from tables and JSON, splits cut from one file, and what is said of files that make no sense."""

import json
from pathlib import Path

import pytest

from pare.errors import DataError
from pare.tasks.classify import Classify
from pare.tasks.example import Example, Span
from pare.tasks.files import Files, cut
from pare.tasks.formats import Format, Leading, Lines, Table
from pare.tasks.objects import Coreference, Json

LABELS = Example("a", ("x",)), Example("b", ("y",))


def examples(tmp_path: Path, name: str, content: str | bytes, format_: Format) -> list[Example]:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return [example for _, example in format_.read(file, "task.train")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "text\tlabel\na\tx\nb\ty\n"),
        ("a.csv", 'text,label\n"a",x\nb,y\n'),
        ("with a byte order mark.tsv", "\ufefftext\tlabel\na\tx\nb\ty\n"),
        ("windows.tsv", "text\tlabel\r\na\tx\r\nb\ty\r\n"),
        ("blank lines.tsv", "text\tlabel\n\na\tx\n   \nb\ty\n\n"),
        ("nothing at the end.tsv", "text\tlabel\na\tx\t\nb\ty\t\t\n"),
        ("more columns.tsv", "id\tlabel\ttext\n1\tx\ta\n2\ty\tb\n"),
    ],
)
def test_tables_are_read(tmp_path: Path, name: str, content: str) -> None:
    assert examples(tmp_path, name, content, Table()) == list(LABELS)


def test_a_table_without_a_header_gets_names(tmp_path: Path) -> None:
    table = Table(columns=("label", "aspect", "text"), text="aspect", pair="text")
    assert examples(tmp_path, "a.tsv", "1\t口味清淡\t口味很清淡，价格也比较公道\n", table) == [
        Example(("口味清淡", "口味很清淡，价格也比较公道"), ("1",))
    ]


def test_a_comma_file_may_have_any_name(tmp_path: Path) -> None:
    assert examples(tmp_path, "a.txt", "a,x\n", Table(columns=("text", "label"), delimiter="comma")) == [
        LABELS[0]
    ]


@pytest.mark.parametrize(
    "content",
    [
        '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n',
        '\ufeff{"text": "a", "label": "x"}\r\n\r\n{"text": "b", "label": "y"}',
        json.dumps([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], indent=1),
        '{"text": "a",\n "label": "x"}\n{\n"text": "b", "label": "y"}\n',
        '[{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]',
    ],
    ids=["lines", "windows", "laid out", "one after another", "list"],
)
def test_json_is_read_however_it_is_laid_out(tmp_path: Path, content: str) -> None:
    assert examples(tmp_path, "a.json", content, Json()) == list(LABELS)


def test_names_may_lead_inside_and_values_become_text(tmp_path: Path) -> None:
    rows = [
        {"in": {"words": ["a", "b"], "more": "c"}, "labels": [1, True]},
        {"in": {"words": [], "more": "d"}, "labels": []},
    ]
    assert examples(
        tmp_path, "a.json", json.dumps(rows), Json(text="in.words", pair="in.more", label="labels")
    ) == [
        Example(("a, b", "c"), ("1", "true")),
        Example(("", "d"), ()),
    ]


def test_a_pronoun_and_a_noun_are_marked(tmp_path: Path) -> None:
    row = {
        "target": {"span1_index": 0, "span1_text": "猫", "span2_index": 4, "span2_text": "它"},
        "text": "猫跑了，它饿", "label": "true",
    }  # fmt: skip
    found = examples(tmp_path, "a.json", json.dumps(row, ensure_ascii=False), Coreference())
    assert found == [Example("_猫_跑了，[它]饿", ("true",))]


def test_labels_are_a_set_of_names(tmp_path: Path) -> None:
    table = Table(separator=",")
    assert examples(tmp_path, "a.tsv", "text\tlabel\nt\ta, b,a,\n", table) == [Example("t", ("a", "b"))]
    row = '{"text": "t", "label": ["", "a", "a"]}'
    assert examples(tmp_path, "a.json", row, Json()) == [Example("t", ("a",))]


def test_a_row_may_be_a_list_and_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "c#"
    folder.mkdir()
    assert examples(folder, "a.json", '["a", "x"]\n["b", "y"]\n', Json(columns=("text", "label"))) == list(
        LABELS
    )
    assert examples(folder, "rows#1.json", '{"text": "a", "label": "x"}\n', Json()) == [LABELS[0]]


def test_a_line_is_where_a_record_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.csv:2: 1 columns"):
        examples(tmp_path, "a.csv", 'text,label\n"a\nb"\nc,y\n', Table())


def test_a_list_in_a_file_is_named_behind_it(tmp_path: Path) -> None:
    whole = {"data": {"train": [["a", "x"], ["b", "y"]]}, "dev": []}
    (tmp_path / "all.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    rows = Json(columns=("text", "label"))
    read = [e for _, e in rows.read(tmp_path / "all.json#data.train", "task.train")]
    assert read == list(LABELS)
    for part, says in (("dev", "has no rows"), ("test", "no 'test', only ['data.train', 'dev']")):
        with pytest.raises(DataError) as error:
            list(rows.read(tmp_path / f"all.json#{part}", "task.train"))
        assert says in str(error.value)


def test_lines_begin_with_their_label(tmp_path: Path) -> None:
    content = "LOC:city What county is Modesto in ?\n\nDESC:def What is caf\u00e9 ?\n".encode("latin-1")
    assert examples(tmp_path, "a.label", content, Leading(encoding="latin-1")) == [
        Example("What county is Modesto in ?", ("LOC:city",)),
        Example("What is caf\u00e9 ?", ("DESC:def",)),
    ]


def test_files_of_as_many_lines_are_one_table(tmp_path: Path) -> None:
    for name, content in {"one": "a b\nc\n", "two": "d\ne\n", "kind": "x\ny\n"}.items():
        (tmp_path / f"{name}.dev").write_text(content, encoding="utf-8")
    lines = Lines(text="one", pair="two", label="kind")
    assert [e for _, e in lines.read(tmp_path / "*.dev", "task.train")] == [
        Example(("a b", "d"), ("x",)),
        Example(("c", "e"), ("y",)),
    ]


def test_tags_of_a_pair_are_those_of_its_second_text(tmp_path: Path) -> None:
    files = {"asked": "where  to\n", "said": "to  new york\n", "tags": "O B-city I-city\n"}
    for name, content in files.items():
        (tmp_path / f"{name}.dev").write_text(content, encoding="utf-8")
    lines = Lines(text="asked", pair="said", label=None, tags="tags")
    assert [e for _, e in lines.read(tmp_path / "*.dev", "task.train")] == [
        Example(("where to", "to new york"), spans=(Span(3, 11, "city"),)),
    ]


@pytest.mark.parametrize("name", ["latin-99", "hex", "base64", "rot13", "undefined"])
def test_an_encoding_that_is_none_of_text_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"encoding={name}: there is no such encoding of text"):
        Table(encoding=name)


def test_labels_that_are_none_are_left_out(tmp_path: Path) -> None:
    assert examples(tmp_path, "a.tsv", "text\tlabel\na\tx\nc\t-\nb\ty\n", Table(leave_out=("-",))) == list(
        LABELS
    )


@pytest.mark.parametrize(
    ("format_", "name", "content", "says"),
    [
        (Table(), "a.tsv", "", "a.tsv is empty; its first line must name the columns"),
        (Table(), "a.tsv", "text\tlabel\n", "a.tsv has a header but no rows"),
        (
            Table(),
            "a.tsv",
            "text\tkind\na\tx\n",
            "a.tsv has no column 'label'; its columns are ['text', 'kind']",
        ),
        (Table(), "a.tsv", "text\tlabel\na\tx\nb\n", "a.tsv:3: 1 columns, but the header names 2"),
        (Table(columns=("text", "label")), "a.tsv", "a\n", "a.tsv:1: 1 columns, but the task names 2"),
        (Table(), "a.tsv", "text\tlabel\na\ttab\tx\n", "a.tsv:2: 3 columns, but the header names 2"),
        (Table(), "a.tsv", b"text\tlabel\n\xff\tx\n", "a.tsv:2: not UTF-8 (invalid start byte)"),
        (
            Table(),
            "a.csv",
            'text,label\n"' + "a" * 200_000 + '",x\n',
            "a.csv:2: field larger than field limit",
        ),
        (
            Table(),
            "a.tsv",
            "text" + "a" * 200_000 + "\tlabel\na\tx\n",
            "a.tsv:1: field larger than field limit",
        ),
        (Coreference(), "a.json", '{"text": "a", "label": "x"}\n', "a.json:1: no 'target.span1_index', only"),
        (Json(), "a.json", "", "a.json has no rows"),
        (Json(), "a.json", '{"text": "a"}\n', "a.json:1: no 'label', only ['text']"),
        (
            Json(),
            "a.json",
            '{"text": "a", "label": "x"}\n\n{"text": }\n',
            "a.json:3: not JSON: Expecting value",
        ),
        (Json(), "a.json", "3\n", "a.json:1: found '3'; an object is needed"),
        (
            Json(columns=("text", "label")),
            "a.json",
            '[["a"]]',
            "found \"['a']\"; a list of text, label is needed",
        ),
        (Json(), "a.json", '{"text": "\\ud83d", "label": "x"}', "a.json:1: '\\ud83d' has half a character"),
        (
            Table(leave_out=("x",)),
            "a.tsv",
            "text\tlabel\na\tx\n",
            "has no rows with other labels than",
        ),
        (Leading(), "a.txt", "LOC:city where\nHUM\n", "a.txt:2: 'HUM' alone; a label, a space and a text"),
        (Lines(), "a.txt", "a\n", "a * must stand for the names of the files, which are ['text', 'label']"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, format_: Format, name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(DataError) as error:
        examples(tmp_path, name, content, format_)
    assert says in str(error.value)
    assert str(error.value).startswith("task.train: ")


@pytest.mark.parametrize(
    ("encoding", "wrong", "says"),
    [
        ("utf-8", "空".encode("gbk"), "not UTF-8 (invalid start byte)"),
        ("utf-16-le", b"\x00\xdc", "not UTF-16-LE (illegal encoding)"),
    ],
)
def test_the_line_that_is_not_of_its_encoding_is_named(
    tmp_path: Path, encoding: str, wrong: bytes, says: str
) -> None:
    """Wherever it lies: what a stream tells of is the place in the piece that it read last."""
    before, after = "text\tlabel\n" + "ä\tx\n" * 9000, "\tx\na\ty\n"
    content = before.encode(encoding) + wrong + after.encode(encoding)
    with pytest.raises(DataError) as error:
        examples(tmp_path, "a.tsv", content, Table(encoding=encoding))
    assert str(error.value) == f"task.train: {tmp_path}/a.tsv:9002: {says}"


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="there is no /proc here")
@pytest.mark.parametrize("format_", [Table(), Json(), Leading()])
def test_a_file_that_cannot_be_read_is_told_of_in_one_line(format_: Format) -> None:
    """Which it is not to root, either."""
    with pytest.raises(DataError, match=r"^task\.train: /proc/self/mem: \w+"):
        list(format_.read(Path("/proc/self/mem"), "task.train"))


def test_of_several_files_the_one_that_is_not_of_its_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.dev").write_bytes(b"a\nb\n")
    (tmp_path / "label.dev").write_bytes(b"x\n\xff\n")
    with pytest.raises(DataError, match=r"label\.dev:2: not UTF-8 \(invalid start byte\)$"):
        list(Lines().read(tmp_path / "*.dev", "task.train"))


@pytest.fixture
def file(tmp_path: Path) -> str:
    rows = [f"text {i}\t{'xyz'[i % 3]}\n" for i in range(100)]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    return str(tmp_path / "rows.tsv")


def test_splits_are_cut_four_to_one_by_the_seed(file: str) -> None:
    found = Files(train=file).read()
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 64,
        "dev": 16,
        "test": 20,
        "unlabelled": 0,
    }
    texts = [{e.text for e in found[split]} for split in ("train", "dev", "test")]
    assert len(set().union(*texts)) == 100
    assert found == Files(train=file).read()
    assert found["test"] != Files(train=file, seed=1).read()["test"]


def test_no_more_than_ten_thousand_rows_are_cut() -> None:
    rows = [Example("a", ("x",))] * 60_000
    train, test = cut(rows, range(60_000), seed=0)
    assert (len(train), len(test)) == (50_000, 10_000)
    assert [len(part) for part in cut(rows, train, seed=0)] == [40_000, 10_000]
    assert [len(part) for part in cut(rows, range(50_000), seed=0)] == [40_000, 10_000]
    assert [len(part) for part in cut(rows, range(40_000), seed=0)] == [32_000, 8_000]


def test_a_given_split_is_not_cut(file: str) -> None:
    found = Files(train=file, dev=file, test=file).read()
    assert found["train"] == found["dev"] == found["test"]


def test_the_only_row_of_a_label_stays_in_training(tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    file.write_text("text\tlabel\n" + "".join(f"t{i}\tl{min(i, 30)}\n" for i in range(60)), encoding="utf-8")
    task = Classify(name="rare", max_length=16, source=Files(train=str(file)))
    task.check()
    assert len(task.names) == 31


def test_few_shots_are_so_many_of_each_label(file: str) -> None:
    found = Files(train=file, dev=file, test=file, shots=4).read()
    assert sorted(e.label for e in found["train"]) == ["x"] * 4 + ["y"] * 4 + ["z"] * 4
    assert len(found["dev"]) == 100
    assert len(Files(train=file, dev=file, test=file, shots=4, rows=5).read()["train"]) == 5


def test_folds_are_other_shots_with_the_same_test(file: str) -> None:
    one, other = (Files(train=file, shots=4, fold=fold).read() for fold in (0, 1))
    assert one["train"] != other["train"]
    assert (one["dev"], one["test"]) == (other["dev"], other["test"])


def test_a_label_that_training_lacks_is_named_with_its_line(file: str, tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "w"}\n')
    (tmp_path / "train.json").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n')
    source = Files(
        train=str(tmp_path / "train.json"),
        dev=str(tmp_path / "dev.json"),
        test=str(tmp_path / "train.json"),
        format=Json(),
    )
    with pytest.raises(DataError) as error:
        Classify(name="a", max_length=16, source=source).check()
    assert f"task.source.dev: {tmp_path}/dev.json:2: label 'w' is not in task.source.train" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"text": "b", "label": ["x", "y"]}', ":2: 2 labels; exactly one"),
        ('{"text": "b", "label": ""}', ":2: 0 labels"),
    ],
)
def test_one_label_is_one_label(tmp_path: Path, row: str, says: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{"text": "a", "label": "x"}\n' + row + '\n{"text": "c", "label": "y"}\n')
    source = Files(train=str(file), dev=str(file), test=str(file), format=Json())
    with pytest.raises(DataError) as error:
        Classify(name="a", max_length=16, source=source).check()
    assert f"task.source.train: {file}{says}" in str(error.value)
