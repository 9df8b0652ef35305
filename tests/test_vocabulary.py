"""Vocabulary pruning: what stays is read and answered bit for bit as before, for every kind of tokenizer."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Encoding, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaModel, XLMRobertaConfig, XLMRobertaModel

from pare.checkpoint import TOKENIZER, Checkpoint
from pare.encoders.model import Architecture, Model
from pare.errors import StageFailed
from pare.stages.distill import Distill
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.networks import open_network, open_text_encoder
from pare.stages.quantize import Quantize
from pare.stages.vocabulary import Vocabulary, check_texts, check_tokens, read
from pare.stages.width import Width
from pare.strategy import Strategy
from pare.tasks.car import generate
from pare.tasks.text import TextEncoder, _wordpiece, train_wordpiece
from pare.tasks.vocabulary import choose, rewrite, unknown_id
from pare.training import Training
from small import FINETUNE, QUICK, TASK, ignore, pipeline

UNTRAINED = Training(steps=0, precision="fp32")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "pad_token_id": 1,
}
KINDS = ("wordpiece", "bpe", "unigram")
BUDGET = {"wordpiece": 300, "bpe": 700, "unigram": 450}


def seen_texts() -> list[str]:
    return [*TASK.texts("train"), *TASK.texts("unlabelled")]


@cache
def more_texts() -> tuple[str, ...]:
    """The task's texts, and others in a language that it does not speak."""
    english = generate("en", 0, {"train": 1000})["train"]
    return (*seen_texts(), *(u.text for u in english))


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(more_texts(), trainer)
    around = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.post_processor = processors.Sequence([around, processors.ByteLevel(trim_offsets=True)])
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1200, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(more_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


@pytest.fixture(scope="module")
def finetunes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finetune]:
    """A fine-tuning for each kind of tokenizer; two networks have more embeddings than tokens."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for kind, tokenizer, config, encoder in (
        ("bpe", byte_level_bpe(), RobertaConfig, RobertaModel),
        ("unigram", unigram(), XLMRobertaConfig, XLMRobertaModel),
    ):
        size = tokenizer.get_vocab_size() + 7
        encoder(config(vocab_size=size, **SHAPE)).save_pretrained(folder / kind)
        tokenizer.save(str(folder / kind / TOKENIZER))
    made = {kind: Finetune(model=Model(path=str(folder / kind)), train=QUICK) for kind in KINDS[1:]}
    return {"wordpiece": FINETUNE, **made}


def pruned(root: Path, finetune: Finetune, stage: Vocabulary) -> tuple[Checkpoint, Checkpoint]:
    steps = pipeline(root).execute(finetune, (("vocabulary", stage),), ignore).steps
    return steps[0].checkpoint, steps[1].checkpoint


def findings(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """What became of texts."""
    told: Mapping[str, Any] = checkpoint.facts["found"]["vocabulary"]
    return told


def remaining(before: Checkpoint, after: Checkpoint, texts: Sequence[str]) -> list[str]:
    """Texts whose tokens all stay: none of them is unknown, gone or past the end."""
    old, new = open_text_encoder(before), open_text_encoder(after)
    unknown = unknown_id(json.loads(old.tokenizer.to_str()))
    kept = {old.tokenizer.token_to_id(token) for token in new.tokenizer.get_vocab()} - {unknown}
    found = old.encode(texts)
    return [
        t for t, e in zip(texts, found, strict=True) if set(e.ids) <= kept and len(e.ids) <= after.max_length
    ]


def logits(checkpoint: Checkpoint, texts: Sequence[str]) -> torch.Tensor:
    """Of all texts at once, padded."""
    encoder = open_text_encoder(checkpoint)
    rows = encoder.encode(texts)
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [checkpoint.pad_id] * (width - len(row.ids)) for row in rows])
    mask = torch.tensor([[i < len(row.ids) for i in range(width)] for row in rows]).long()
    with torch.no_grad():
        found = open_network(checkpoint)(ids, mask)
    return torch.cat([found["intent"].ravel(), found["slots"][mask.bool()].ravel()])


def words(checkpoint: Checkpoint) -> int:
    return int(open_network(checkpoint).encoder.get_input_embeddings().num_embeddings)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_whose_tokens_all_stay_are_answered_bit_for_bit(
    root: Path, finetunes: dict[str, Finetune], kind: str
) -> None:
    before, after = pruned(root, finetunes[kind], Vocabulary(max_tokens=BUDGET[kind], max_length=24))
    texts = [*TASK.texts("dev"), *TASK.texts("test")]
    stay = remaining(before, after, texts)
    assert 20 < len(stay) < len(texts)
    assert torch.equal(logits(before, stay), logits(after, stay))
    encoder = open_text_encoder(after)
    assert words(after) == encoder.vocabulary_size <= BUDGET[kind] < words(before)
    assert after.facts["tokens_before"] == words(before)
    assert after.facts["tokens_after"] == words(after)
    assert after.parameters < before.parameters
    old = open_text_encoder(before).tokenizer
    for special in old.get_added_tokens_decoder().values():
        assert encoder.tokenizer.token_to_id(special.content) is not None
    decoded = [
        tokenizer.decode(row.ids)
        for tokenizer, row in zip(
            (old, encoder.tokenizer),
            (e.encode(stay[:1])[0] for e in (open_text_encoder(before), encoder)),
            strict=True,
        )
    ]
    assert decoded[0] == decoded[1] != ""


def test_what_pads_still_pads(root: Path, finetunes: dict[str, Finetune]) -> None:
    """A new student gives the padding id no embedding: it may not be that of unknown words."""
    before, after = (open_text_encoder(c) for c in pruned(root, finetunes["wordpiece"], Vocabulary()))
    assert [each.tokenizer.id_to_token(each.pad_id) for each in (before, after)] == ["[PAD]", "[PAD]"]


@pytest.mark.parametrize("kind", KINDS)
def test_positions_end_where_texts_do(root: Path, finetunes: dict[str, Finetune], kind: str) -> None:
    before, after = pruned(root, finetunes[kind], Vocabulary(max_tokens=BUDGET[kind], max_length=24))
    network = open_network(after)
    assert network.family.longest_text(network.encoder) == after.max_length == 24
    assert after.facts["positions_after"] == 24 < after.facts["positions_before"]
    longest = max(TASK.texts("train"), key=len) * 2
    assert len(open_text_encoder(before).encode([longest])[0].ids) == 32
    assert len(open_text_encoder(after).encode([longest])[0].ids) == 24
    assert logits(after, [longest]).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_budget_just_what_the_training_texts_use_stays(
    root: Path, finetunes: dict[str, Finetune], kind: str
) -> None:
    before, after = pruned(root, finetunes[kind], Vocabulary(keep_characters=False))
    used = {i for row in open_text_encoder(before).encode(seen_texts()) for i in row.ids}
    old = open_text_encoder(before).tokenizer
    kept = {old.token_to_id(token) for token in open_text_encoder(after).tokenizer.get_vocab()}
    assert used <= kept
    only_english = {i for e in old.encode_batch(list(more_texts())) for i in e.ids} - used
    if kind != "wordpiece":  # whose vocabulary the task's own texts made
        assert len(only_english) > 100
        left = {i for i in only_english & kept if len(old.id_to_token(i)) > 1}  # bytes stay
        assert len(left) <= 1  # the least likely piece
    assert findings(after)["texts_unchanged"]["train"] == 1
    assert after.facts["positions_after"] == after.facts["positions_before"]


def test_merges_are_closed_and_every_text_can_still_be_written(
    root: Path, finetunes: dict[str, Finetune]
) -> None:
    _, after = pruned(root, finetunes["bpe"], Vocabulary(max_tokens=400))
    content = json.loads((after.path / TOKENIZER).read_text(encoding="utf-8"))
    vocabulary, merges = content["model"]["vocab"], content["model"]["merges"]
    assert {part for merge in merges for part in (*merge, "".join(merge))} <= vocabulary.keys()
    made = {"".join(merge) for merge in merges}
    long = {token for token in vocabulary if len(token) > 1 and token not in SPECIAL}
    assert len(long) > 50
    assert long <= made
    tokenizer = open_text_encoder(after).tokenizer
    for text in (" naïve 🚀", " ŷ漢\u0301"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_unknown_tokens_are_counted_and_characters_keep_them_few(
    root: Path, finetunes: dict[str, Finetune], kind: str
) -> None:
    stage = Vocabulary(max_tokens=250, keep_characters=False)
    before, bare = pruned(root, finetunes[kind], stage)
    for checkpoint, fact in ((before, "unknown_before"), (bare, "unknown_after")):
        encoder = open_text_encoder(checkpoint)
        unknown = encoder.tokenizer.token_to_id("[UNK]" if kind == "wordpiece" else "<unk>")
        for split in ("train", "dev"):
            rows = [row.ids[1:-1] for row in encoder.encode(TASK.texts(split))]  # type: ignore[arg-type]
            share = sum(row.count(unknown) for row in rows) / sum(map(len, rows))
            assert findings(bare)[fact][split] == pytest.approx(share)
    assert findings(bare)["unknown_after"]["train"] > findings(bare)["unknown_before"]["train"]
    _, spelled = pruned(root, finetunes[kind], Vocabulary(min_count=40))
    _, unspelled = pruned(root, finetunes[kind], Vocabulary(min_count=40, keep_characters=False))
    unknown_shares = [findings(c)["unknown_after"]["train"] for c in (spelled, unspelled)]
    assert unknown_shares[0] < unknown_shares[1]


def test_once_is_enough(root: Path) -> None:
    stage = Vocabulary(max_tokens=200)
    steps = pipeline(root).execute(FINETUNE, (("vocabulary", stage), ("again", stage)), ignore).steps
    once, twice = steps[1].checkpoint, steps[2].checkpoint
    assert twice.facts["tokens_before"] == once.facts["tokens_after"] == 200
    assert twice.facts["tokens_after"] <= 200
    assert findings(twice)["unknown_after"]["dev"] >= findings(once)["unknown_after"]["dev"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_composes(root: Path, finetunes: dict[str, Finetune], kind: str) -> None:
    rest: Strategy = (("export", Export()), ("quantize", Quantize(calibration_rows=16)))
    strategy: Strategy = (
        ("width", Width(keep=0.5, importance="magnitude")),
        ("vocabulary", Vocabulary(max_tokens=BUDGET[kind])),
        ("distill", Distill(train=QUICK)),
    )
    whole = pipeline(root).execute(finetunes[kind], (strategy[0], *rest), ignore).final
    small = pipeline(root).execute(finetunes[kind], (*strategy, *rest), ignore).final
    assert small.facts["precision"] == "int8"
    assert small.facts["tokens_after"] <= BUDGET[kind]
    assert small.model_bytes() < whole.model_bytes()


def test_a_budget_that_cannot_be_kept_is_named(root: Path, finetunes: dict[str, Finetune]) -> None:
    with pytest.raises(StageFailed, match=r"vocabulary\.max_tokens=100: 261 tokens have to stay") as error:
        pruned(root, finetunes["bpe"], Vocabulary(max_tokens=100))
    assert "\n" not in str(error.value)


def test_texts_cannot_become_longer(root: Path) -> None:
    with pytest.raises(StageFailed, match=r"vocabulary\.max_length=33: the model reads 32 tokens"):
        pruned(root, FINETUNE, Vocabulary(max_length=33))


@pytest.mark.parametrize("field", ["max_tokens", "min_count", "max_length"])
def test_fields_say_what_is_allowed(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}=0: .*at least"):
        Vocabulary(**{field: 0})


def test_a_full_vocabulary_of_a_language(tmp_path: Path) -> None:
    file = Path(os.environ.get("PARE_DATA", "")) / "zh_vocab" / "google_zh_vocab.txt"
    if "PARE_DATA" not in os.environ or not file.is_file():
        pytest.skip("PARE_DATA is not set, or holds no zh_vocab")
    shape = Architecture(layers=1, hidden=32, heads=2, ffn=64, positions=64, vocabulary_file=str(file))
    finetune = Finetune(model=Model(architecture=shape), train=UNTRAINED)
    before, after = pruned(tmp_path, finetune, Vocabulary(max_length=32))
    assert words(before) == 21128
    assert words(after) < 1500
    stay = remaining(before, after, TASK.texts("dev"))
    assert len(stay) > 0.9 * len(TASK.texts("dev"))
    assert torch.equal(logits(before, stay), logits(after, stay))


def test_the_most_frequent_tokens_stay_with_what_they_are_made_of() -> None:
    model = {
        "type": "BPE",
        "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "bc": 5, "abc": 6, "cc": 7},
        "merges": [["b", "c"], ["a", "b"], ["a", "bc"], ["ab", "c"], ["c", "c"]],
        "unk_token": "<unk>",
    }
    tokenizer = {"model": model, "added_tokens": []}
    # abc comes of a + bc, because b + c is merged first; cc is rarer and no longer fits
    assert choose(tokenizer, {6: 9, 7: 2}, 6, 1, characters=False) == [0, 1, 2, 3, 5, 6]
    assert choose(tokenizer, {6: 9, 7: 2}, 7, 1, characters=False) == [0, 1, 2, 3, 5, 6, 7]
    assert choose(tokenizer, {6: 9, 7: 2}, None, 3, characters=False) == [0, 1, 2, 3, 5, 6]


def test_a_rewritten_tokenizer_that_reads_otherwise_is_refused(root: Path) -> None:
    before, after = pruned(root, FINETUNE, Vocabulary(max_tokens=300))
    old, new = open_text_encoder(before), open_text_encoder(after)
    kept = sorted(old.tokenizer.token_to_id(token) for token in new.tokenizer.get_vocab())
    numbers = {i: place for place, i in enumerate(kept)}
    texts = remaining(before, after, TASK.texts("train"))
    readings = read(old.tokenizer, texts)
    check_tokens(old.tokenizer, new.tokenizer, numbers)
    check_texts(before, new, texts, readings, numbers, None)
    with pytest.raises(StageFailed, match="should be"):
        check_tokens(old.tokenizer, new.tokenizer, {**numbers, kept[-1]: numbers[kept[-2]]})
    new.tokenizer.normalizer = None  # which parts Chinese characters
    with pytest.raises(StageFailed, match="in another way"):
        check_texts(before, new, texts, readings, numbers, None)


def test_merges_may_be_written_as_they_used_to_be() -> None:
    content = json.loads(byte_level_bpe().to_str())
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    old = Tokenizer.from_str(json.dumps(content))
    text = TASK.texts("train")[0]
    ids = old.encode(text).ids
    kept = choose(content, dict.fromkeys(ids, 1), None, 1, characters=True)
    new = Tokenizer.from_str(json.dumps(rewrite(content, kept)))
    assert [kept[i] for i in new.encode(text).ids] == ids
    assert new.get_vocab_size() == len(kept) < old.get_vocab_size()


class Watched:
    """A tokenizer, and the most texts that it was given at a time."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.most = tokenizer, 0

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        self.most = max(self.most, len(texts))
        return self.tokenizer.encode_batch(texts)

    def decode_batch(self, texts: Sequence[Sequence[int]]) -> list[str]:
        self.most = max(self.most, len(texts))
        return self.tokenizer.decode_batch(texts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


def test_texts_are_read_in_parts_that_come_to_what_all_at_once_do(
    finetuned: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tokenizer makes of one text takes kilobytes: of a million it would not fit into memory."""
    texts = TASK.texts("train")[:250]
    file = finetuned.path / TOKENIZER
    whole, learned = list(read(TextEncoder.load(file, 12).tokenizer, texts)), train_wordpiece(texts, 300)
    wordpiece, watched = _wordpiece, [Watched(TextEncoder.load(file, 12).tokenizer)]

    def watching(vocabulary: Sequence[str]) -> Watched:
        watched.append(Watched(wordpiece(vocabulary)))
        return watched[-1]

    monkeypatch.setattr("pare.tasks.text.AT_ONCE", 100)
    monkeypatch.setattr("pare.tasks.text._wordpiece", watching)
    again, in_parts = train_wordpiece(texts, 300), read(watched[0], texts)  # type: ignore[arg-type]
    after = TextEncoder(watched[0], 12)  # type: ignore[arg-type]
    check_texts(finetuned, after, texts, whole, {i: i for i in range(after.vocabulary_size)}, None)
    assert [one.most for one in watched] == [100, 100, 0]
    assert again.to_str() == learned.to_str()
    assert [list(reading) for reading in in_parts] == [list(reading) for reading in whole]
