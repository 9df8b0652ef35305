"""Texts with the values that they name, in the layouts that people have them in."""

import json
from pathlib import Path

import pytest

from pare.build import build
from pare.composition import parts
from pare.errors import DataError
from pare.tasks.annotated import Annotated, Answers, ByKind, Conll, Marked, Rasa
from pare.tasks.example import Example, Span
from pare.tasks.formats import Format

FLIGHT = Example("fly to new york", spans=(Span(7, 15, "city"),))


def examples(tmp_path: Path, content: object, format_: Format) -> list[Example]:
    file = tmp_path / "rows.txt"
    written = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
    file.write_text(written, encoding="utf-8")
    return [example for _, example in format_.read(file, "task.train")]


@pytest.mark.parametrize(
    ("row", "format_"),
    [
        ({"entities": [{"start": 7, "end": 15, "label": "city"}]}, Annotated()),
        ({"entities": [{"from": 7, "to": 14, "what": "city"}]},
         Annotated(start="from", end="to", kind="what", inclusive=True)),
        ({"label": [[7, 15, "city"]]}, Annotated(spans_in="label")),
        ({"entities": [{"slot": "city", "value": {"start": 7, "end": 15}}]},
         Annotated(start="value.start", end="value.end", kind="slot")),
        ({"label": {"city": {"new york": [[7, 14]]}}}, ByKind()),
    ],
    ids=["objects", "other names", "lists", "inside", "by kind"],
)  # fmt: skip
def test_spans_in_json(tmp_path: Path, row: dict[str, object], format_: Format) -> None:
    assert examples(tmp_path, [{"text": FLIGHT.text, **row}], format_) == [FLIGHT]


def test_texts_may_have_no_spans(tmp_path: Path) -> None:
    assert examples(tmp_path, [{"text": FLIGHT.text}], Annotated()) == [Example(FLIGHT.text)]


@pytest.mark.parametrize("left_out", [{}, {"start": None}])
def test_a_start_may_be_left_out_where_it_is_said_that_0_is(
    tmp_path: Path, left_out: dict[str, object]
) -> None:
    rows = [{"text": " ab", "entities": [{"end": 3, "label": "x", **left_out}, [1, 3, "y"]]}]
    found = examples(tmp_path, rows, Annotated(zero_left_out=True))
    assert found == [Example(" ab", spans=(Span(0, 3, "x"), Span(1, 3, "y")))]


def test_rasa_files_have_intents_too(tmp_path: Path) -> None:
    entity = {"start": 7, "end": 15, "value": "new york", "entity": "city"}
    rows = {"rasa_nlu_data": {"common_examples": [
        {"text": FLIGHT.text, "intent": "book", "entities": [entity]}]}}  # fmt: skip
    assert examples(tmp_path, rows, Rasa()) == [Example(FLIGHT.text, ("book",), FLIGHT.spans)]


def test_uie_reads_a_prompt_and_a_text(tmp_path: Path) -> None:
    row = {"content": "fly to new york", "prompt": "city", "result_list": [
        {"text": "new york", "start": 7, "end": 15}]}  # fmt: skip
    assert examples(tmp_path, json.dumps(row), Answers()) == [
        Example(("city", "fly to new york"), spans=(Span(7, 15, "answer"),))
    ]


@pytest.mark.parametrize(
    "tags",
    [
        ("O", "O", "B-city", "I-city"),
        ("O", "O", "I-city", "I-city"),
        ("O", "O", "B-city", "E-city"),
        ("O", "O", "B-city", "M-city"),
    ],
    ids=["BIO", "IOB1", "BIOES", "BMES"],
)
def test_words_with_tags(tmp_path: Path, tags: tuple[str, ...]) -> None:
    words = FLIGHT.text.split()  # type: ignore[union-attr]
    lines = "".join(f"{word} NN {tag}\n" for word, tag in zip(words, tags, strict=True))
    content = f"-DOCSTART- -X- O\n\n{lines}\t\nhome\tO\n\n\n"
    assert examples(tmp_path, content, Conll()) == [FLIGHT, Example("home")]


def test_chinese_words_need_no_space_between(tmp_path: Path) -> None:
    content = "北\tB-LOC\n京\tE-LOC\n好\tS-X\n"
    assert examples(tmp_path, content, Conll(joiner="")) == [
        Example("北京好", spans=(Span(0, 2, "LOC"), Span(2, 3, "X")))
    ]


def test_the_place_of_a_character_in_its_word_is_no_part_of_it(tmp_path: Path) -> None:
    content = "我0\tO\n在0\tO\n北0\tB-GPE.NAM\n京1\tI-GPE.NAM\n\n5\u20e30\tO\n"
    assert examples(tmp_path, content, Conll(joiner="", numbered=True)) == [
        Example("我在北京", spans=(Span(2, 4, "GPE.NAM"),)),
        Example("5\u20e3"),
    ]


def test_weibo_ner_is_read_without_the_places_that_its_files_have(tmp_path: Path) -> None:
    """Its copy on the hub has them too."""
    for split in ("train", "dev", "test"):
        file = tmp_path / f"weiboNER_2nd_conll.{split}"
        file.write_text("口0\tO\n腔1\tO\n老0\tB-PER.NOM\n爸1\tI-PER.NOM\n", encoding="utf-8")
    read = Example("口腔老爸", spans=(Span(2, 4, "PER.NOM"),))
    config = parts(["task=weibo_ner", f"task.source.folder={tmp_path}"], "task")
    task = build(config["task"], "task", [])
    assert [list(task.examples(split)) for split in ("train", "dev", "test")] == [[read]] * 3
    tokens, tags = ["口0", "腔1", "老0", "爸1"], ["O", "O", "B-PER.NOM", "I-PER.NOM"]
    records = [(1, {"tokens": tokens, "ner_tags": tags})]
    assert list(task.source.hub.format.examples(records, "row ")) == [(1, read)]


def test_marks_in_a_table(tmp_path: Path) -> None:
    content = "text\tlabel\n来一首<singer>周华健</singer>的<song-name>花心||花芯</song-name>\tplay\n"
    spans = (Span(3, 6, "singer"), Span(7, 9, "song-name"))
    assert examples(tmp_path, content, Marked()) == [Example("来一首周华健的花心", ("play",), spans)]


def test_marks_may_lie_in_each_other(tmp_path: Path) -> None:
    content = "text\tlabel\nplay <song>love <artist>bob</artist></song> now\tx\n"
    spans = (Span(5, 13, "song"), Span(10, 13, "artist"))
    assert examples(tmp_path, content, Marked()) == [Example("play love bob now", ("x",), spans)]


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        ([{"q": " where to? ", "text": FLIGHT.text, "entities": [[7, 15, "city"]]}],
         Annotated(text="q", pair="text")),
        ([{"q": ["where to?"], "text": FLIGHT.text, "label": {"city": {"new york": [[7, 14]]}}}],
         ByKind(text="q", pair="text")),
        ("q\tlabel\ttext\nwhere <asked>to</asked>?\tx\tfly to <city>new york</city>\n",
         Marked(text="q", pair="text", label=None)),
    ],
    ids=["objects", "by kind", "marks"],
)  # fmt: skip
def test_spans_of_a_pair_lie_in_its_second_text(tmp_path: Path, content: object, format_: Format) -> None:
    assert examples(tmp_path, content, format_) == [
        Example(("where to?", "fly to new york"), spans=FLIGHT.spans)
    ]


def test_the_first_text_of_a_pair_may_be_shorter_than_where_a_span_ends(tmp_path: Path) -> None:
    rows = [{"question": "who", "content": "  bob went", "entities": [[2, 5, "name"]]}]
    (found,) = examples(tmp_path, rows, Annotated(text="question", pair="content"))
    assert [found.text[1][span.start : span.end] for span in found.spans] == ["bob"]


def test_words_with_tags_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="pair=question: words with tags come without a second text"):
        Conll(pair="question")


def test_places_count_from_where_the_text_begins(tmp_path: Path) -> None:
    row = {"content": "  bob went", "prompt": "who", "result_list": [{"start": 2, "end": 5}]}
    (found,) = examples(tmp_path, json.dumps(row), Answers())
    assert [found.text[1][span.start : span.end] for span in found.spans] == ["bob"]


def test_a_wide_space_may_be_a_word(tmp_path: Path) -> None:
    assert examples(tmp_path, "a O\n\u3000 O\nb O\n", Conll(joiner="")) == [Example("a\u3000b")]


@pytest.mark.parametrize(
    ("content", "format_", "says"),
    [
        ([{"text": "abc", "entities": [{"start": 1, "end": 9, "label": "x"}]}], Annotated(),
         "rows.txt:1: a span 'x' from 1 to 9, but the text has 3 characters"),
        ([{"text": "abc", "entities": [{"start": 2, "end": 2, "label": "x"}]}], Annotated(), "from 2 to 2"),
        ([{"text": "abc", "entities": {"x": 1}}], Annotated(), "rows.txt:1: 'entities' is not a list"),
        ([{"text": "abc", "entities": ["x"]}], Annotated(), "found 'x'; an object or a list of start, end"),
        ([{"text": "abc", "entities": [{"start": 0, "end": 2}]}], Annotated(), "no 'label', only"),
        (
            [{"text": "abcdefgh", "entities": [{"start_offset": 5, "end_offset": 8, "label": "x"}]}],
            Annotated(end="end_offset"),
            "rows.txt:1: no 'start', only ['end_offset', 'label', 'start_offset']",
        ),
        ([{"text": "abc"}], Rasa(), "rows.txt: no 'rasa_nlu_data.common_examples', only ['text']"),
        ("new B-city\nyork\n", Conll(), "rows.txt:2: 'york'; a word and a tag are needed"),
        ("\nnew B-city\nyork I\n", Conll(), "rows.txt:3: found 'I' as a tag"),
        ([{"text": "abc", "entities": [["0", 2, "x"]]}], Annotated(), "from '0' to 2"),
        ([{"text": "abc", "label": {"x": {"ab": [0, 1]}}}], ByKind(), "rows.txt:1: 'label' is "),
        ("text\tlabel\nplay <song>love\tx\n", Marked(), "rows.txt:2: the mark <song> in"),
        ("text\tlabel\nplay</song> it\tx\n", Marked(), "rows.txt:2: </song> ends no mark that is open"),
        ("text\tlabel\n<song></song>\tx\n", Marked(), "<song> in '<song></song>' is empty"),
        ("口0 O\n腔 O\n", Conll(numbered=True), "rows.txt:1: the word '腔' does not end with a digit"),
        ("\n\n", Conll(), "rows.txt has no rows"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named_with_its_line(
    tmp_path: Path, content: object, format_: Format, says: str
) -> None:
    with pytest.raises(DataError) as error:
        examples(tmp_path, content, format_)
    assert says in str(error.value)
    assert str(error.value).startswith("task.train: ")
