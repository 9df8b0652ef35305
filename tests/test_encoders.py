"""Where encoders come from: folders, the shelf, the hub; and what is said when they cannot be had."""

import os
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from pare.encoders.model import Architecture, Model
from pare.encoders.network import pretrained
from pare.errors import ModelError
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.quantize import Quantize
from pare.stages.width import Width
from pare.tasks.text import train_wordpiece
from small import QUICK, TASK, ignore, pipeline

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
