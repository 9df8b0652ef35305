"""A new encoder of any family: its shape, its padding, and teachers of other families."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from pare.distillation import Distillation
from pare.encoders.families import FAMILIES
from pare.encoders.model import Architecture, Model
from pare.encoders.network import Network, load, save, scratch
from pare.errors import ModelError
from pare.stages.distill import Distill
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.networks import start_network
from pare.stages.width import Width
from pare.tasks.text import train_wordpiece
from pare.training import Training
from small import ARCHITECTURE, TASK, ignore, pipeline

TYPES = sorted(model_type for family in FAMILIES for model_type in family.model_types)
PAD = 3


def new(model_type: str, pad_id: int = PAD) -> Network:
    torch.manual_seed(0)
    return scratch(replace(ARCHITECTURE, family=model_type), 100, pad_id, TASK.outputs()).eval()


def test_a_new_bert_has_the_very_weights_it_always_had() -> None:
    """Scores in experiments/ hang on them."""
    found = new("bert", 0)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=32,
        initializer_range=0.05,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    wanted = BertModel(config, add_pooling_layer=False).state_dict()
    state = found.encoder.state_dict()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("model_type", TYPES)
def test_a_new_encoder_has_the_shape_that_was_asked_for(model_type: str, tmp_path: Path) -> None:
    network = new(model_type)
    assert network.encoder.config.model_type == model_type
    assert [(b.heads, b.head_size, b.neurons) for b in network.blocks()] == [(4, 16, 128)] * 2
    assert network.family.longest_text(network.encoder) == 32
    table = network.encoder.get_input_embeddings()
    assert (table.num_embeddings, table.embedding_dim, table.padding_idx) == (100, 64, PAD)
    assert network.dropout.p == 0.0
    save(network, tmp_path)
    ids = torch.arange(4, 36)[None]  # as long as a text may be
    with torch.no_grad():
        found, again = (n(ids, torch.ones_like(ids)) for n in (network, load(tmp_path, TASK.outputs())))
    assert all(torch.equal(found[name], again[name]) for name in found)


@pytest.mark.parametrize("model_type", TYPES)
def test_padding_changes_no_answer(model_type: str) -> None:
    network = new(model_type)
    ids, mask = torch.full((1, 20), PAD), torch.zeros(1, 20, dtype=torch.long)
    ids[0, :12], mask[0, :12] = torch.arange(10, 22), 1
    with torch.no_grad():
        alone, padded = network(ids[:, :12], mask[:, :12]), network(ids, mask)
    assert torch.allclose(alone["intent"], padded["intent"], atol=1e-5)
    assert torch.allclose(alone["slots"], padded["slots"][:, :12], atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "roberta", "modernbert"])
def test_the_padding_is_that_of_the_tokenizer(model_type: str) -> None:
    tokenizer = train_wordpiece(TASK.texts("train"), 300)
    vocabulary = tokenizer.get_vocab()
    first, second = (next(t for t, i in vocabulary.items() if i == at) for at in (0, 7))
    assert first == "[PAD]"
    swapped = tokenizer.to_str().replace(f'"{first}":0', '"%":7').replace(f'"{second}":7', f'"{second}":0')
    other = type(tokenizer).from_str(swapped.replace('"%":7', f'"{first}":7'))
    model = Model(architecture=replace(ARCHITECTURE, family=model_type))
    network, _ = start_network(model, TASK, TASK.outputs(), other)
    assert network.encoder.config.pad_token_id == 7
    assert network.family.longest_text(network.encoder) == 32


def test_heads_that_cannot_be_rotated_are_named() -> None:
    odd = Architecture(family="modernbert", hidden=60, heads=4)
    with pytest.raises(ModelError, match=r"heads=4: heads of 15 channels cannot be rotated"):
        scratch(odd, 100, 0, TASK.outputs())


def test_a_family_that_is_not_known_is_named_with_those_that_are() -> None:
    with pytest.raises(ModelError, match=r"family .lstm. \(there are bert, ") as error:
        Model(architecture=Architecture(family="lstm")).check("model")
    assert str(error.value).startswith("model.architecture.family: ")
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


INSIDE = Distillation(hidden_weight=1.0, relation_weight=1.0, relation_heads=4)
MAPS = Distillation(hidden_weight=0, attention_weight=1.0, layers="even")


@pytest.mark.parametrize(
    ("teacher", "student", "told"),
    [
        ("bert", "distilbert", Distillation(hidden_weight=0)),
        ("bert", "distilbert", INSIDE),
        ("bert", "modernbert", Distillation(hidden_weight=0)),
        ("bert", "modernbert", INSIDE),
        ("modernbert", "roberta", MAPS),
        ("electra", "bert", Distillation(hidden_weight=0)),
        ("electra", "bert", INSIDE),
    ],
    ids=lambda value: value if isinstance(value, str) else "inside" if value.looks_inside else "answers",
)
def test_a_student_learns_from_a_teacher_of_another_family(
    teacher: str, student: str, told: Distillation, root: Path
) -> None:
    steps = Training(steps=80, learning_rate=3e-3, precision="fp32", threads=1)
    start = Finetune(model=Model(architecture=replace(ARCHITECTURE, family=teacher)), train=steps)
    pupil = Model(architecture=replace(ARCHITECTURE, family=student, hidden=48, ffn=96, layers=1))
    strategy = (
        ("distill", Distill(student=pupil, distillation=told, train=steps)),
        ("width", Width(keep=0.5, importance="magnitude")),
        ("export", Export()),
    )
    outcome = pipeline(root).execute(start, strategy, ignore)
    taught = next(step for step in outcome.steps if step.name == "distill").checkpoint
    assert taught.facts["shape"]["family"] == student
    curve = [point["loss"] for point in taught.history()]
    assert sum(curve[-10:]) < 0.8 * sum(curve[:10])
    assert outcome.final.facts["shape"]["heads"] == [2]
    assert outcome.final.facts["largest_difference"] < 1e-4
