"""Where encoders come from: folders, the shelf, the hub; and what is said when they cannot be had."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from pare.encoders.families import FAMILIES, family_of
from pare.encoders.heads import DenseHead, answers_all
from pare.encoders.model import Architecture, Model
from pare.encoders.network import load, pretrained, save
from pare.encoders.tokenizer import pretrained_tokenizer
from pare.errors import ModelError
from pare.outputs import Output, Scope
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.provenance import file_digest
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.quantize import Quantize
from pare.stages.width import Width
from pare.store import Store
from pare.tasks.mine import Mine
from pare.tasks.text import train_wordpiece, wordpiece_from
from small import HARDWARE, QUICK, TASK, ignore, pipeline

TYPES = sorted(model_type for family in FAMILIES for model_type in family.model_types)
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained BERT as the hub would give it."""
    place = tmp_path_factory.mktemp("models") / "some-bert"
    tokenizer = train_wordpiece(TASK.texts("train"), 1000)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **SHAPE)).save_pretrained(place)
    tokenizer.save(str(place / "tokenizer.json"))
    return place


def test_a_folder_goes_all_the_way(folder: Path, tmp_path: Path) -> None:
    finetune = Finetune(model=Model(path=str(folder)), train=QUICK)
    strategy = (("width", Width(keep=0.5)), ("export", Export()), ("quantize", Quantize(calibration_rows=8)))
    outcome = pipeline(tmp_path).execute(finetune, strategy, ignore)
    assert outcome.final.facts["shape"]["heads"] == [2, 2]
    assert outcome.final.facts["model"] == str(folder)


def test_the_weights_are_those_of_the_folder(folder: Path) -> None:
    found = pretrained(str(folder), TASK.outputs()).encoder.state_dict()
    wanted = BertModel.from_pretrained(folder, add_pooling_layer=False).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_other_weights_in_the_same_folder_are_another_model(folder: Path) -> None:
    before = Model(path=str(folder)).weights_digest()
    file = folder / "special_tokens_map.json"
    file.write_text("{}", encoding="utf-8")
    assert Model(path=str(folder)).weights_digest() != before
    file.unlink()
    assert Model(path=str(folder)).weights_digest() == before


def test_a_folder_is_read_once_for_all_keys_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.safetensors"
    read: list[str] = []

    def counting(path: Path) -> str:
        read.append(path.name)
        return file_digest(path)

    def digest_of(content: str, changed: float) -> str | None:
        file.write_text(content, encoding="utf-8")
        os.utime(file, (changed, changed))
        return Model(path=str(tmp_path)).weights_digest()

    monkeypatch.setattr("pare.encoders.model.file_digest", counting)
    one = digest_of("weights", 10**9)
    assert digest_of("weights", 10**9) == one
    assert read == [file.name]
    assert digest_of("WEIGHTS", 10**9 + 1) != one
    now = time.time()  # a change may follow within the same tick of the clock
    just_now = [digest_of(content, now) for content in ("weights", "WEIGHTS")]
    assert just_now[0] == one != just_now[1]


def test_a_hub_id_is_found_on_the_shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARE_MODELS", str(folder.parent))
    assert Model(path="somebody/some-bert").folder() == folder


def test_other_families_laid_out_like_bert_export_and_prune(tmp_path: Path) -> None:
    tokenizer = train_wordpiece(TASK.texts("train"), 1000)
    size = tokenizer.get_vocab_size()
    RobertaModel(RobertaConfig(vocab_size=size, pad_token_id=0, **SHAPE)).save_pretrained(
        tmp_path / "roberta"
    )
    tokenizer.save(str(tmp_path / "roberta" / "tokenizer.json"))
    finetune = Finetune(model=Model(path=str(tmp_path / "roberta")), train=QUICK)
    strategy = (("width", Width(keep=0.5, importance="magnitude")), ("export", Export()))
    outcome = pipeline(tmp_path / "store").execute(finetune, strategy, ignore)
    assert outcome.final.facts["shape"]["family"] == "roberta"
    assert outcome.final.facts["largest_difference"] < 1e-4


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/no/such/folder", "model.path: no such folder: /no/such/folder"),
        (
            "EMPTY",
            "has no config.json; a model folder holds config.json, model.safetensors and tokenizer.json",
        ),
    ],
)
def test_a_path_that_is_no_model_is_named(path: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model") as error:
        Model(path=str(tmp_path) if path == "EMPTY" else path).check("model")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('{"model_type": "deberta-v2"}', "no adapter for the encoder family 'deberta-v2' (there are bert, "),
        ("{}", "config.json names no model_type"),
        ("[", "config.json names no model_type"),
    ],
)
def test_a_family_that_is_not_known_is_named(config: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelError, match=r"student\.path") as error:
        Model(path=str(tmp_path)).check("student")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "FOLDER has neither a tokenizer.json nor a vocabulary"),  # transformers makes one of five tokens
        ({"tokenizer.json": b"{"}, "no tokenizer can be made of FOLDER/tokenizer.json ("),
        ({"tokenizer.json": b"{}"}, "no tokenizer can be made of FOLDER/tokenizer.json ("),
        ({"vocab.txt": "字\n".encode("gbk")}, "no tokenizer can be made of FOLDER ("),
    ],
)
def test_a_folder_without_a_usable_tokenizer_is_named(
    files: dict[str, bytes], says: str, folder: Path, tmp_path: Path
) -> None:
    unpacked(folder, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as error:
        Model(path=str(tmp_path)).check("student")
    assert str(error.value).startswith("student.path: " + says.replace("FOLDER", str(tmp_path)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file: "),
        (b"[PAD]\n[UNK]\na\n", "vocab.txt lacks [CLS], [SEP]; a WordPiece vocabulary is needed"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n字\n".encode("gbk"), "vocab.txt is not UTF-8 (invalid"),
    ],
)
def test_a_vocabulary_that_cannot_be_used_is_named(content: bytes | None, says: str, tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError) as error:
        Model(architecture=Architecture(vocabulary_file=str(file))).check("model")
    assert str(error.value).startswith("model.architecture.vocabulary_file: ")
    assert says in str(error.value)


def unpacked(folder: Path, place: Path) -> dict[str, Tensor]:
    """Everything of a model but its weights in `place`; and its weights."""
    for name in ("config.json", "tokenizer.json"):
        (place / name).write_bytes((folder / name).read_bytes())
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("prefix", ["", "bert.", "encoder.", "model.text."])
def test_pickled_weights_are_read_whatever_stands_before_their_names(
    prefix: str, folder: Path, tmp_path: Path
) -> None:
    weights = unpacked(folder, tmp_path)
    head = {"linear_start.weight": torch.ones(1, 32)}  # of the task that the encoder was saved with
    torch.save(
        {prefix + name: tensor for name, tensor in weights.items()} | head, tmp_path / "pytorch_model.bin"
    )
    found, wanted = (
        pretrained(str(place), TASK.outputs()).encoder.state_dict() for place in (tmp_path, folder)
    )
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("model_type", TYPES)
def test_an_encoder_is_taken_out_of_a_language_model(model_type: str, tmp_path: Path) -> None:
    """As most are on the hub: below the family's own prefix, with a head that is not needed."""
    shape = family_of(model_type).shape(
        Architecture(family=model_type, hidden=32, ffn=64, vocabulary=100), 100, 0
    )
    torch.manual_seed(0)
    whole = AutoModelForMaskedLM.from_config(AutoConfig.for_model(model_type, **shape)).eval()
    whole.save_pretrained(tmp_path)
    network = pretrained(str(tmp_path), TASK.outputs()).eval()
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.no_grad():
        wanted = whole.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        found = network.hidden_states(ids, torch.ones_like(ids))
    assert torch.allclose(found, wanted, atol=1e-5)


LABELS = ("a", "b", "c")
CLASSIFIERS = [t for family in FAMILIES if family.reads_classifiers for t in family.model_types]


def classifier_of(model_type: str, scope: str, place: Path, names: dict[int, str]) -> PreTrainedModel:
    """Such as transformers leaves behind, its weights far from those that a fresh one has."""
    shape = family_of(model_type).shape(
        Architecture(family=model_type, hidden=32, ffn=64, vocabulary=1000), 1000, 0
    )
    config = AutoConfig.for_model(
        model_type, **shape, id2label=names, label2id={n: i for i, n in names.items()}
    )
    kind = AutoModelForSequenceClassification if scope == "text" else AutoModelForTokenClassification
    torch.manual_seed(0)
    whole: PreTrainedModel = kind.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            if "pooler" in name or "classifier" in name:
                parameter.add_(torch.randn_like(parameter))
    whole.save_pretrained(place)
    return whole


@pytest.mark.parametrize("scope", ["text", "token"])
@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_a_classifier_of_transformers_answers_as_it_did(
    model_type: str, scope: Scope, tmp_path: Path
) -> None:
    """Its labels in another order, before and after it was written as a checkpoint."""
    whole = classifier_of(model_type, scope, tmp_path / "theirs", {0: "c", 1: "a", 2: "b"})
    outputs = (Output("label", LABELS, scope),)
    ids = torch.arange(5, 25).reshape(2, 10)
    mask = torch.ones_like(ids)
    network = pretrained(str(tmp_path / "theirs"), outputs).eval()
    (tmp_path / "ours").mkdir()
    save(network, tmp_path / "ours")
    with torch.no_grad():
        wanted = whole(input_ids=ids, attention_mask=mask).logits[..., [1, 2, 0]]
        for found in (network, load(tmp_path / "ours", outputs)):
            assert torch.allclose(found(ids, mask)["label"], wanted, atol=1e-5)


@pytest.mark.parametrize(
    "outputs",
    [
        (Output("label", ("a", "b")),),
        (Output("label", ("a", "b", "d")),),
        (Output("label", LABELS, "token"),),
        (Output("one", LABELS), Output("two", LABELS)),
    ],
)
def test_a_classifier_of_something_else_is_an_encoder_only(
    outputs: tuple[Output, ...], tmp_path: Path
) -> None:
    whole = classifier_of("bert", "text", tmp_path, dict(enumerate(LABELS)))
    network = pretrained(str(tmp_path), outputs)
    assert not answers_all(whole.config, outputs)
    assert not any(isinstance(head, DenseHead) for head in network.heads.values())


def test_what_transformers_fine_tuned_is_compressed_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its labels without names are numbers. Half of the texts are one for it, and half the other."""
    texts = list(TASK.texts("train")[:200])
    place = tmp_path / "theirs"
    whole = classifier_of("bert", "text", place, {0: "LABEL_0", 1: "LABEL_1"})
    tokenizer = train_wordpiece(texts, 900)
    whole.resize_token_embeddings(tokenizer.get_vocab_size())

    def logits(text: str) -> Tensor:
        with torch.no_grad():
            found: Tensor = whole(input_ids=torch.tensor([tokenizer.encode(text).ids[:32]])).logits[0]
        return found

    with torch.no_grad():
        whole.classifier.bias[0] += torch.stack(
            [logits(text)[1] - logits(text)[0] for text in texts]
        ).median()
    whole.save_pretrained(place)
    tokenizer.save(str(place / "tokenizer.json"))
    rows = [f"{text}\t{logits(text).argmax()}" for text in texts]
    (tmp_path / "data.tsv").write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    task = Mine(name="mine", max_length=32, train=str(tmp_path / "data.tsv"))
    start = Finetune(model=Model(path=str(place)), train=replace(QUICK, steps=0))
    strategy = (("export", Export()),)
    outcome = Pipeline(Store(tmp_path / "store"), task, 0, HARDWARE, silent).execute(start, strategy, ignore)
    assert caplog.messages == []
    assert [step.scores["accuracy"] for step in outcome.steps] == [1.0, 1.0]


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.victim}",)


def test_a_pickle_that_would_run_code_is_refused(folder: Path, tmp_path: Path) -> None:
    weights = unpacked(folder, tmp_path)
    torch.save({**weights, "more": Malicious(tmp_path / "victim")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="a pickle of more than tensors, which may run any code") as error:
        pretrained(str(tmp_path), TASK.outputs())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "victim").exists()


def test_other_pickled_weights_are_another_model(folder: Path, tmp_path: Path) -> None:
    weights = unpacked(folder, tmp_path)
    digests = []
    for scale in (1, 2):
        torch.save({name: scale * tensor for name, tensor in weights.items()}, tmp_path / "pytorch_model.bin")
        digests.append(Model(path=str(tmp_path)).weights_digest())
    save_file(weights, tmp_path / "model.safetensors")  # is read instead
    digests.append(Model(path=str(tmp_path)).weights_digest())
    (tmp_path / "pytorch_model.bin").unlink()
    assert len(set(digests)) == 3
    assert Model(path=str(tmp_path)).weights_digest() == digests[-1]


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("none", "its weights cannot be read"),
        ("some", "lacks 32 of the encoder's weights, such as encoder.layer"),
    ],
)
def test_weights_that_are_not_there_are_not_made_up(
    weights: str, says: str, folder: Path, tmp_path: Path
) -> None:
    there = {name: tensor for name, tensor in unpacked(folder, tmp_path).items() if "layer." not in name}
    if weights == "some":
        save_file(there, tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as error:
        pretrained(str(tmp_path), TASK.outputs())
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_positions_that_transformers_no_longer_computes_are_refused(folder: Path, tmp_path: Path) -> None:
    """It drops their weights, and reads as absolute ones what such a model never used."""
    save_file(unpacked(folder, tmp_path), tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    told = json.dumps(config | {"position_embedding_type": "relative_key_query"})
    (tmp_path / "config.json").write_text(told, encoding="utf-8")
    with pytest.raises(ModelError, match="position_embedding_type=relative_key_query; only absolute is read"):
        pretrained(str(tmp_path), TASK.outputs())


def test_a_tokenizer_is_made_of_a_vocabulary_where_the_hub_has_no_other(folder: Path, tmp_path: Path) -> None:
    unpacked(folder, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    config = {**json.loads((tmp_path / "config.json").read_text()), "model_type": "ernie"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer = train_wordpiece(TASK.texts("train"), 1000)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    texts = TASK.texts("train")[:50]
    found, wanted = (t.encode_batch(list(texts)) for t in (pretrained_tokenizer(str(tmp_path)), tokenizer))
    assert [e.ids for e in found] == [e.ids for e in wanted]


def test_an_architecture_must_add_up() -> None:
    with pytest.raises(ValueError, match="hidden=100 is not a multiple of heads=3"):
        Architecture(hidden=100, heads=3)


@pytest.mark.slow
@pytest.mark.skipif("PARE_MODELS" not in os.environ, reason="PARE_MODELS is not set")
def test_minilm_goes_all_the_way(tmp_path: Path) -> None:
    model = Model(path="sentence-transformers/all-MiniLM-L6-v2")
    if model.folder() is None:
        pytest.skip("PARE_MODELS holds no all-MiniLM-L6-v2")
    strategy = (("width", Width(keep=0.5)), ("export", Export()), ("quantize", Quantize(calibration_rows=16)))
    outcome = pipeline(tmp_path).execute(Finetune(model=model, train=QUICK), strategy, ignore)
    assert outcome.final.facts["shape"]["heads"] == [6] * 6


def test_a_line_of_a_vocabulary_ends_where_files_have_lines_end(tmp_path: Path) -> None:
    """BERT's Chinese one has U+2028 as a token, which str.splitlines() takes for an end of line."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "\u2028", "b"]
    for end in ("\n", "\r\n"):
        (tmp_path / "vocab.txt").write_bytes(end.join([*tokens, ""]).encode("utf-8"))
        tokenizer = wordpiece_from(tmp_path / "vocab.txt")
        assert tokenizer.get_vocab() == {token: i for i, token in enumerate(tokens)}
