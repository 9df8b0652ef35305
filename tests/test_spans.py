"""Entities: by tags and by pointers, asked for by prompts, scored as seqeval does, up to a bundle."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaModel

from pare.bundle import write_bundle
from pare.checkpoint import TOKENIZER
from pare.encoders.model import Model
from pare.errors import DataError
from pare.metrics import span_scores
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.store import Store
from pare.tasks.annotated import Annotated, ByKind, Conll
from pare.tasks.bio import tagged
from pare.tasks.files import Files
from pare.tasks.prompts import Prompts
from pare.tasks.spans import Spans
from pare.training import Training
from small import FINETUNE, HARDWARE, halved_int8, ignore
from test_bundle import predict

KINDS = {"city": ["york", "rome", "oslo"], "food": ["bread", "rice", "soup"]}
TRAIN = Training(steps=200, learning_rate=3e-3, precision="fp32", threads=1)


def sentence(rng: random.Random) -> list[tuple[str, str]]:
    """Words with tags; some cities have two words."""
    words = [(word, "O") for word in rng.choices(["we", "like", "some", "in", "and", "big"], k=3)]
    for kind, names in KINDS.items():
        if rng.random() < 0.6:
            at = rng.randint(0, len(words))
            while at < len(words) and words[at][1].startswith("I-"):
                at += 1
            name = [(rng.choice(names), f"B-{kind}")]
            if kind == "city" and rng.random() < 0.5:
                name = [("new", "B-city"), (name[0][0], "I-city")]
            words[at:at] = name
    return words


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Files:
    rng = random.Random(0)
    lines = ["\n".join(f"{word}\t{tag}" for word, tag in sentence(rng)) for _ in range(900)]
    file = tmp_path_factory.mktemp("data") / "rows.conll"
    file.write_text("\n\n".join(lines), encoding="utf-8")
    return Files(train=str(file), format=Conll())


STRATEGY = halved_int8(replace(TRAIN, steps=150))


@pytest.mark.parametrize("by", ["tags", "pointers"])
def test_entities_all_the_way_to_a_bundle(source: Files, tmp_path: Path, by: str) -> None:
    task = Spans(name="places", max_length=24, source=source, by=by)  # type: ignore[arg-type]
    task.check()
    there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
    outcome = there.execute(Finetune(model=FINETUNE.model, train=TRAIN), STRATEGY, ignore)
    assert outcome.steps[0].scores["f1"] > 0.95
    assert outcome.steps[-1].scores["f1"] > 0.9
    write_bundle(tmp_path / "bundle", outcome.final, False, {}, HARDWARE)
    (said,) = predict(tmp_path / "bundle", tmp_path, "we like soup in new york")
    assert said["spans"] == [
        {"label": "food", "value": "soup", "start": 8, "end": 12},
        {"label": "city", "value": "new york", "start": 16, "end": 24},
    ]


@pytest.fixture
def spaced(source: Files, tmp_path: Path) -> Model:
    """An encoder whose tokens begin at the space before a word, as ModernBERT's do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(special_tokens=["<s>", "<pad>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator([str(e.text) for e in source.read()["train"]], trainer)
    around = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=around)
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=40, pad_token_id=1, initializer_range=0.05,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(tmp_path / "spaced")
    tokenizer.save(str(tmp_path / "spaced" / TOKENIZER))
    return Model(path=str(tmp_path / "spaced"))


@pytest.mark.parametrize("by", ["tags", "pointers"])
def test_a_span_begins_with_its_word_where_tokens_begin_with_spaces(
    source: Files, spaced: Model, tmp_path: Path, by: str
) -> None:
    task = Spans(name="places", max_length=24, source=source, by=by)  # type: ignore[arg-type]
    there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
    outcome = there.execute(Finetune(model=spaced, train=TRAIN), (("export", Export()),), ignore)
    assert outcome.steps[-1].scores["f1"] > 0.95
    write_bundle(tmp_path / "bundle", outcome.final, False, {}, HARDWARE)
    (said,) = predict(tmp_path / "bundle", tmp_path, "we like soup in new york")
    assert [(s["value"], s["start"], s["end"]) for s in said["spans"]] == [
        ("soup", 8, 12),
        ("new york", 16, 24),
    ]


def test_prompts_ask_for_one_kind_at_a_time(source: Files, tmp_path: Path) -> None:
    asked = Prompts(source=source, prompts={"city": "where"}, negatives=0.5)
    task = Spans(name="asked", max_length=24, source=asked, by="pointers")
    task.check()
    assert task.pairs
    assert len(task.texts("dev")) == 2 * len(source.read()["dev"])  # every kind is asked for
    assert len(task.texts("train")) < 2 * len(source.read()["train"])
    assert {e.text[0] for e in task.examples("dev")} == {"where", "food"}
    there = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent)
    longer = replace(TRAIN, steps=300)
    outcome = there.execute(Finetune(model=FINETUNE.model, train=longer), STRATEGY[2:], ignore)
    assert outcome.steps[-1].scores["f1"] > 0.9
    write_bundle(tmp_path / "bundle", outcome.final, True, {}, HARDWARE)
    texts = [f"{prompt}\twe like soup in new york" for prompt in ("where", "food")]
    said = predict(tmp_path / "bundle", tmp_path, *texts)
    assert [[span["value"] for span in answer["spans"]] for answer in said] == [["new york"], ["soup"]]


def test_kinds_that_training_lacks_are_asked_for_in_dev_and_test(tmp_path: Path) -> None:
    """Or few shots would score better than many."""
    kinds = {"train": ["city"], "dev": ["city", "food"], "test": ["food"]}
    for split, names in kinds.items():
        rows = "".join(f"in O\nx B-{name}\n\n" for name in names * 4)
        (tmp_path / f"{split}.conll").write_text(rows, encoding="utf-8")
    files = {split: f"{split}.conll" for split in kinds}
    asked = Prompts(source=Files(folder=str(tmp_path), **files, format=Conll()), negatives=1.0).read()
    assert {e.text[0] for e in asked["train"]} == {"city"}
    assert [e.text[0] for e in asked["test"]].count("food") == sum(bool(e.spans) for e in asked["test"]) == 4


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ({"town": "where"}, "task.source.prompts.town: no such kind of span; there are ['city', 'food']"),
        ({"city": "what", "food": "what"}, "two kinds of spans share a prompt"),
    ],
)
def test_prompts_that_make_no_sense_are_named(source: Files, prompts: dict[str, str], says: str) -> None:
    with pytest.raises(DataError) as error:
        Prompts(source=source, prompts=prompts).read()
    assert says in str(error.value)


def test_what_is_wrong_below_prompts_is_told_by_the_key_that_it_has_there() -> None:
    with pytest.raises(DataError, match=r"^task\.source\.source\.train: no such file: /no/such$"):
        Prompts(source=Files(train="/no/such", format=Conll())).read()


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_seqeval(seed: int) -> None:
    rng = random.Random(seed)
    gold = [[tag for _, tag in sentence(rng)] for _ in range(60)]
    said = [list(row) for row in gold]
    for row in said:
        for i in range(len(row)):
            if rng.random() < 0.2:
                row[i] = rng.choice(["O", "B-city", "I-city", "B-food", "I-food"])

    def spans(tags: list[str]) -> set[tuple[int, int, str]]:
        words = [str(i) for i in range(len(tags))]
        return {(span.start, span.end, span.label) for span in tagged(words, tags, " ")}

    found = span_scores([(spans(a), spans(b)) for a, b in zip(gold, said, strict=True)])
    assert found["f1"] == pytest.approx(f1_score(gold, said))
    assert found["precision"] == pytest.approx(precision_score(gold, said))
    assert found["recall"] == pytest.approx(recall_score(gold, said))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, said, average="macro"))
    assert found["exact_match"] == sum(spans(a) == spans(b) for a, b in zip(gold, said, strict=True)) / 60


def nested(tmp_path: Path, spans: list[list[object]]) -> Files:
    file = tmp_path / "rows.json"
    file.write_text(repr([{"text": "new york", "entities": spans}] * 10).replace("'", '"'), encoding="utf-8")
    return Files(train=str(file), format=Annotated())


def test_spans_in_each_other_are_not_lost_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = Spans(name="a", max_length=16, source=nested(tmp_path, [[0, 8, "city"], [4, 8, "name"]]))
    task.check()
    assert "7 spans of train lie in others, which tags cannot say; task.by=pointers can" in caplog.text
    caplog.clear()
    replace(task, by="pointers").check()
    assert caplog.text == ""


def test_a_task_without_spans_is_no_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no spans in train"):
        Spans(name="a", max_length=16, source=nested(tmp_path, [])).check()


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_file_without_spans_is_nothing_to_score_on(tmp_path: Path, split: str) -> None:
    """As CLUENER's official test is, whose rows are not annotated: every model would have an F1 of 0."""
    known, bare = '{"text": "new york", "label": {"city": {"new york": [[0, 7]]}}}\n', '{"text": "rome"}\n'
    files = {}
    for name in ("train", "dev", "test"):
        files[name] = str(tmp_path / f"{name}.json")
        Path(files[name]).write_text(bare if name == split else known, encoding="utf-8")
    with pytest.raises(DataError, match=f"task.source: there are no spans in {split}$"):
        Spans(name="a", max_length=16, source=Files(**files, format=ByKind())).check()
