"""Utterances from files: SNIPS' three columns, NLPCC's marks; several tasks on one encoder."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from pare.errors import ConfigError, DataError
from pare.outputs import IGNORED_LABEL
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.finetune import Finetune
from pare.stages.networks import open_text_encoder
from pare.store import Store
from pare.tasks.classify import Classify
from pare.tasks.example import Span
from pare.tasks.files import Files
from pare.tasks.formats import Lines
from pare.tasks.prompts import Prompts
from pare.tasks.several import Several
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated, Source, Tagged
from pare.tasks.text import TextEncoder, train_wordpiece
from small import FINETUNE, HARDWARE, TASK, ignore

MARKED = (
    "1\t来一首周华健的花心\tmusic.play\t来一首<singer>周华健</singer>的<song>花心</song>\n"
    "1\t播放体验\tmusic.play\t播放<song>体验||体面</song>\n"
    "\n"
    "2\t回家\tnavigation\t回家\n"
)


def slu(source: Source) -> Slu:
    return Slu(name="files", max_length=32, source=source)


def triples(folder: Path | str) -> Files:
    """As SNIPS and ATIS are handed around."""
    splits = {
        split: f"{part}/*" for split, part in {"train": "train", "dev": "valid", "test": "test"}.items()
    }
    return Files(folder=str(folder), **splits, format=Lines(text="seq.in", tags="seq.out", label="label"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "valid", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "seq.in").write_text("play blue moon \nfly to new york\n", encoding="utf-8")
        (tmp_path / part / "seq.out").write_text("O B-song I-song \nO O B-city I-city\n", encoding="utf-8")
        (tmp_path / part / "label").write_text("Play\nFly\n", encoding="utf-8")
    return tmp_path


def test_words_and_tags_become_spans_of_characters(folder: Path) -> None:
    rows = triples(folder).read()
    assert {split: len(part) for split, part in rows.items()} == {
        "train": 2, "dev": 2, "test": 2, "unlabelled": 0,
    }  # fmt: skip
    second = rows["test"][1]
    assert (second.text, second.label) == ("fly to new york", "Fly")
    assert [second.text[s.start : s.end] for s in second.spans] == ["new york"]


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("seq.in", "", "different numbers of lines: seq.in 0, label 2, seq.out 2"),
        ("seq.out", "O B-song\nO O B-city I-city\n", "train/*:1: 3 words, 2 tags"),
        ("label", "Play\n", "different numbers of lines: seq.in 2, label 1, seq.out 2"),
    ],
)
def test_columns_that_do_not_match_are_named(folder: Path, file: str, content: str, says: str) -> None:
    (folder / "train" / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as error:
        slu(triples(folder)).check()
    assert says in str(error.value)


def test_marks_become_spans_of_what_was_heard(tmp_path: Path) -> None:
    file = tmp_path / "corpus.txt"
    file.write_text(MARKED, encoding="utf-8")
    rows = {u.text: u for part in Tagged(file=str(file)).read().values() for u in part}
    assert rows["来一首周华健的花心"].spans == (Span(3, 6, "singer"), Span(7, 9, "song"))
    assert rows["播放体验"].spans == (Span(2, 4, "song"),)
    assert len(rows) == 3


@pytest.mark.parametrize("split", ["shuffled", "session"])
def test_a_fifth_is_test_and_sessions_stay_together(tmp_path: Path, split: str) -> None:
    file = tmp_path / "corpus.txt"
    lines = [f"{i // 4}\t回家{i}\tnavigation\t回家{i}\n" for i in range(400)]
    file.write_text("".join(lines), encoding="utf-8")
    rows = Tagged(file=str(file), split=split).read()  # type: ignore[arg-type]
    assert abs(len(rows["test"]) - 80) <= 3
    assert abs(len(rows["dev"]) - 32) <= 3
    sessions = [{int(u.text[2:]) // 4 for u in rows[part]} for part in ("train", "dev", "test")]
    shared = (sessions[0] & sessions[2]) | (sessions[0] & sessions[1]) | (sessions[1] & sessions[2])
    assert bool(shared) == (split == "shuffled")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1\t回家\tnavigation\n", "corpus.txt:1: 3 columns, but the task names 4"),
        ("1\t回家\tnavigation\t回<place>佳</place>\n", "does not mark up '回家'"),
    ],
)
def test_lines_that_make_no_sense_are_named(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "corpus.txt"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(DataError) as error:
        slu(Tagged(file=str(file))).check()
    assert says in str(error.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"task.source.file: no such file: /no/corpus.txt"):
        slu(Tagged(file="/no/corpus.txt")).check()


def test_a_test_file_without_slots_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "test" / "seq.out").write_text("O O O\nO O O O\n", encoding="utf-8")
    slu(triples(folder)).check()
    assert caplog.messages == [
        "task.source: there are no slots in test; each that a model finds there counts as wrong"
    ]


def test_more_commands_than_the_grammar_has_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pare.tasks.car.corpus._TRIES", 1)  # it takes half a minute to use all up
    with pytest.raises(DataError, match=r"^task\.source: No \d+ different sentences for split '\w+': \w+"):
        Generated(train=1000, dev=1000, test=1000, unlabelled=0).read()


def test_labels_that_training_never_saw_are_no_lesson(folder: Path) -> None:
    (folder / "valid" / "label").write_text("Play\nSwim\n", encoding="utf-8")
    task = slu(triples(folder))
    encoder = TextEncoder(train_wordpiece(task.texts("train"), 200), 32)
    found = task.labels("dev", encoder.encode(task.texts("dev")))
    assert [row["intent"] for row in found] == [1, IGNORED_LABEL]


def test_several_tasks_share_an_encoder(tmp_path: Path, folder: Path) -> None:
    tasks = Several(name="both", max_length=32, tasks={"car": TASK, "files": slu(triples(folder))})
    names = [output.name for output in tasks.outputs()]
    assert names == ["car_intent", "car_slots", "files_intent", "files_slots"]
    finetune = Finetune(model=FINETUNE.model, train=replace(FINETUNE.train, steps=150))
    there = Pipeline(Store(tmp_path / "store"), tasks, 0, HARDWARE, silent)
    step = there.execute(finetune, (), ignore).steps[0]
    assert step.scores["mean"] == (step.scores["car_exact_match"] + step.scores["files_exact_match"]) / 2
    assert step.scores["car_intent_accuracy"] > 0.4
    assert tasks.floor("dev") == (TASK.floor("dev") + tasks.tasks["files"].floor("dev")) / 2
    encoder = open_text_encoder(step.checkpoint)
    rows = tasks.labels("dev", encoder.encode(tasks.texts("dev")))
    assert set(rows[0]) == {"car_intent", "car_slots"}
    assert set(rows[-1]) == {"files_intent", "files_slots"}


def test_what_one_of_several_tasks_lacks_is_told_by_the_key_that_it_has_there(folder: Path) -> None:
    """Whether it is checked, or looked at without that."""
    files = slu(replace(triples(folder), test="task.source/*"))
    tasks = Several(name="both", max_length=32, tasks={"car": TASK, "files": files})
    missing = f"task.tasks.files.source.test: no such file: {folder}/task.source/seq.in"
    for look in (tasks.check, lambda: tasks.texts("test")):
        with pytest.raises(ConfigError) as error:
            look()
        assert str(error.value) == missing


def test_every_key_of_a_message_is_that_of_the_task(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("text\tlabel\na\tx\nb\ty\n", encoding="utf-8")
    (tmp_path / "other.tsv").write_text("text\tlabel\na\tz\n", encoding="utf-8")
    files = {split: "other.tsv" if split == "test" else "rows.tsv" for split in ("train", "dev", "test")}
    labels = Classify(name="a", max_length=16, source=Files(folder=str(tmp_path), **files))
    with pytest.raises(ConfigError) as error:
        Several(name="both", max_length=32, tasks={"car": TASK, "labels": labels}).check()
    here = "task.tasks.labels"
    assert str(error.value) == (
        f"{here}.source.test: {tmp_path}/other.tsv:2: label 'z' is not in {here}.source.train, which has "
        f"['x', 'y']; {here}.unseen=count counts it as never said"
    )


def test_a_metric_that_several_tasks_lack_is_named_before_training() -> None:
    tasks = Several(name="both", primary="exact_match", max_length=32, tasks={"one": TASK, "other": TASK})
    with pytest.raises(DataError, match=r"task.primary: found 'exact_match'; one of \['mean', 'one_exact"):
        tasks.check()
    replace(tasks, primary="one_exact_match").check()


def test_another_process_reads_the_data_itself(folder: Path) -> None:
    """What it is sent, with train.processes say, are settings."""
    several = Several(name="both", max_length=32, tasks={"car": TASK, "files": slu(triples(folder))})
    asked = slu(Prompts(source=triples(folder)))
    for task in (slu(triples(folder)), asked, several):
        sent = pickle.dumps(task)
        rows = list(task.examples("train"))
        assert pickle.dumps(task) == sent
        assert list(pickle.loads(sent).examples("train")) == rows


@pytest.mark.skipif("PARE_DATA" not in os.environ, reason="PARE_DATA is not set")
def test_the_real_corpora_are_read() -> None:
    root = os.environ["PARE_DATA"]
    nlpcc = slu(Tagged(file=f"{root}/nlpcc2018_slu/corpus.train.txt"))
    assert [len(nlpcc.texts(split)) for split in ("train", "dev", "test")] == [15372, 1709, 4271]  # type: ignore[arg-type]
    assert [len(output.labels) for output in nlpcc.outputs()] == [11, 31]
    snips = slu(triples(f"{root}/snips"))
    assert [len(snips.texts(split)) for split in ("train", "dev", "test")] == [13084, 700, 700]  # type: ignore[arg-type]
    assert [len(output.labels) for output in snips.outputs()] == [7, 79]
