"""ModernBERT keeps its numbers when it is taken apart, cut, saved and exported; near layers stay near."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModel, ModernBertConfig, ModernBertModel

from pare.batches import Row, collate
from pare.distillation import Distillation, Student
from pare.encoders.model import Model
from pare.encoders.network import Network, load, pretrained, save
from pare.importance import importance_of
from pare.lowering.onnx_export import Lowering, to_onnx
from pare.pruning import Narrowing, remove, sort
from pare.runtimes.session import session_class
from pare.stages.depth import Depth, block_influence
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.half import Half
from pare.stages.networks import open_network, open_text_encoder, rows_of
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.tasks.text import train_wordpiece
from pare.teacher import Teacher
from small import QUICK, TASK, ignore, pipeline

WORDS = 1800


def folder_with(place: Path, **changed: object) -> Path:
    """Random weights under the names that ModernBERT has on the hub."""
    shape: dict[str, object] = {
        "vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 48, "max_position_embeddings": 64, "local_attention": 8, "pad_token_id": 0,
        "bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None,
        "initializer_range": 0.2,
    }  # fmt: skip
    torch.manual_seed(0)
    ModernBertModel(ModernBertConfig(**(shape | changed))).save_pretrained(place)
    train_wordpiece(TASK.texts("train"), 1000).save(str(place / "tokenizer.json"))
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with(tmp_path_factory.mktemp("modernbert"))


def padded(tokens: int = 40) -> tuple[Tensor, Tensor]:
    """Three texts, much longer than the four tokens that a near layer sees to each side; one is short."""
    torch.manual_seed(1)
    ids, mask = torch.randint(1, WORDS, (3, tokens)), torch.ones(3, tokens, dtype=torch.long)
    mask[1, tokens // 2 :] = 0
    return ids, mask


def answers(network: Network) -> dict[str, Tensor]:
    ids, mask = padded()
    with torch.no_grad():
        found = network.eval()(ids, mask)
    return {"intent": found["intent"], "slots": found["slots"][mask.bool()]}


@pytest.mark.parametrize("bias", [False, True], ids=["no biases", "biases"])
def test_taken_apart_it_computes_what_transformers_computes(bias: bool, tmp_path: Path) -> None:
    place = folder_with(tmp_path, attention_bias=bias, mlp_bias=bias, norm_bias=bias)
    network = pretrained(str(place), TASK.outputs()).eval()
    original = AutoModel.from_pretrained(place).eval()
    ids, mask = padded()
    with torch.no_grad():
        original.config.tie_last_hidden_states = False  # what the last layer gives, and not its norm
        wanted = original(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        found = (*network.every_layer(ids, mask), network.hidden_states(ids, mask))
    assert len(found) == 6
    for mine, its in zip(found, (*wanted.hidden_states, wanted.last_hidden_state), strict=True):
        assert (mine - its)[mask.bool()].abs().max() < 1e-5
    assert network.parameter_count() - sum(p.numel() for p in network.heads.parameters()) == sum(
        p.numel() for p in original.parameters()
    )


@pytest.mark.parametrize("kept", [(0, 3), (1, 2), (2, 0), (3,)], ids=str)
def test_cut_and_saved_it_answers_to_the_bit_as_before(
    kept: tuple[int, ...], folder: Path, tmp_path: Path
) -> None:
    network = pretrained(str(folder), TASK.outputs())
    remove(network, 1, [0, 2], list(range(16)))
    remove(network, 3, [1], list(range(32)))
    network.family.keep_layers(network.encoder, kept)
    network.family.cut_positions(network.encoder, 48)
    save(network, tmp_path)
    again = load(tmp_path, TASK.outputs())
    wanted = answers(network)
    assert all(torch.equal(found, wanted[name]) for name, found in answers(again).items())
    widths = {0: (4, 48), 1: (2, 32), 2: (4, 48), 3: (3, 16)}
    assert [(b.heads, b.neurons) for b in again.blocks()] == [widths[layer] for layer in kept]
    assert again.family.longest_text(again.encoder) == 48


def test_a_config_as_the_hub_has_it_is_read(folder: Path, tmp_path: Path) -> None:
    """A number says which layers see far, and the angles have other names than in transformers 5."""
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["layer_types"], config["rope_parameters"]
    old = {"global_attn_every_n_layers": 2, "global_rope_theta": 500.0, "local_rope_theta": 100.0}
    (tmp_path / "config.json").write_text(json.dumps(config | old), encoding="utf-8")
    network = pretrained(str(tmp_path), TASK.outputs())
    assert [sees_far(network, layer) for layer in range(4)] == [True, False, True, False]
    network = pretrained(str(tmp_path), TASK.outputs())
    network.family.keep_layers(network.encoder, [1, 2])
    ours = tmp_path / "ours"
    ours.mkdir()
    save(network, ours)
    again = load(ours, TASK.outputs())
    wanted = answers(network)
    assert all(torch.equal(found, wanted[name]) for name, found in answers(again).items())
    assert [sees_far(again, layer) for layer in range(2)] == [False, True]


@pytest.mark.parametrize("kept", [(0, 1), (1, 2), (3,)], ids=str)
def test_the_layers_that_stay_see_as_far_as_they_did(kept: tuple[int, ...], folder: Path) -> None:
    network = pretrained(str(folder), TASK.outputs()).eval()
    network.family.keep_layers(network.encoder, kept)
    far = [sees_far(network, layer) for layer in range(len(kept))]
    assert far == [layer in (0, 3) for layer in kept]


def test_the_last_layer_is_judged_by_what_it_does_not_by_the_norm_after_it(folder: Path) -> None:
    network = pretrained(str(folder), TASK.outputs()).eval()
    before = network.encoder.config.to_dict()
    last = network.blocks()[-1]
    with torch.no_grad():
        last.attention_output.weight.zero_()
        last.output.weight.zero_()
        network.encoder.final_norm.weight.copy_(torch.linspace(-1, 1, 32))  # type: ignore[union-attr,operator]
    *others, idle = block_influence(network, [Row(ids) for ids in padded()[0].tolist()], 0)
    assert abs(idle) < 1e-6
    assert min(others) > 1e-3
    assert network.encoder.config.to_dict() == before


def sees_far(network: Network, layer: int) -> bool:
    """Whether a change of what the layer is given for the last token reaches the first one."""
    there = network.encoder.layers[layer]  # type: ignore[index,union-attr]
    noted: list[Tensor] = []
    there.register_forward_hook(lambda _, inputs, output: noted.append(output[:, 0]))
    ids, mask = padded()
    with torch.no_grad():
        network.hidden_states(ids, mask)
        there.register_forward_pre_hook(last_token_changed)
        network.hidden_states(ids, mask)
    return not torch.equal(*noted)


def last_token_changed(_: object, inputs: tuple[Tensor]) -> tuple[Tensor]:
    changed = inputs[0].clone()
    changed[:, -1] += torch.linspace(0, 9, changed.shape[2])
    return (changed,)


@pytest.mark.parametrize("lowering", ["plain", "fused"])
def test_the_graph_takes_any_batch_and_length(lowering: Lowering, folder: Path, tmp_path: Path) -> None:
    network = pretrained(str(folder), TASK.outputs()).eval()
    network.family.keep_layers(network.encoder, [1, 0, 3])
    remove(network, 0, [1], list(range(16)))
    (tmp_path / "model.onnx").write_bytes(to_onnx(network, lowering, 17).SerializeToString())
    session = session_class("onnxruntime")(str(tmp_path / "model.onnx"))
    for tokens in (5, 40, 64):
        ids, mask = padded(tokens)
        found = session.run(ids.numpy(), mask.numpy())
        with torch.no_grad():
            wanted = network(ids, mask)
        assert np.allclose(found["intent"], wanted["intent"], atol=1e-4)
        real = mask.bool().numpy()
        assert np.allclose(found["slots"][real], wanted["slots"].numpy()[real], atol=1e-4)


def test_attention_is_one_node_a_layer_and_a_rotation_one(tmp_path: Path) -> None:
    network = pretrained(str(folder_with(tmp_path, local_attention=32)), TASK.outputs())
    kinds = [node.op_type for node in to_onnx(network, "fused", 17).graph.node]
    assert (kinds.count("MultiHeadAttention"), kinds.count("RotaryEmbedding")) == (4, 8)
    assert not {"Softmax", "Transpose", "Slice", "Cos"} & set(kinds)
    network.family.cut_positions(network.encoder, 16)  # so short that all tokens are near
    kinds = [node.op_type for node in to_onnx(network, "fused", 17).graph.node]
    assert not {"Range", "Where"} & set(kinds)


def test_sorted_and_narrowed_it_is_what_pruning_leaves(folder: Path) -> None:
    network = pretrained(str(folder), TASK.outputs())
    whole = answers(network)
    sort(network, importance_of(network, "magnitude", [], 0))
    for name, found in answers(network).items():
        assert torch.allclose(found, whole[name], atol=1e-4)
    with Narrowing(network).to(0.5, 8):
        narrowed = answers(network)
    for layer in range(4):
        remove(network, layer, [2, 3], list(range(24, 48)))
    for name, found in answers(network).items():
        assert torch.allclose(found, narrowed[name], atol=1e-5)


def test_half_precision_keeps_far_positions_apart(tmp_path: Path) -> None:
    """Angles of a thousand radians would be rounded to the next half one in FP16."""
    place = folder_with(tmp_path / "model", max_position_embeddings=1024, num_hidden_layers=2)
    start = Finetune(model=Model(path=str(place)), train=replace(QUICK, steps=0))
    for lowering, fuse in (("plain", True), ("fused", False)):
        strategy = (("export", Export(lowering=lowering)), ("half", Half(fuse=fuse)))  # type: ignore[arg-type]
        outcome = pipeline(tmp_path / "store").execute(start, strategy, ignore)
        session = session_class("onnxruntime")(str(outcome.final.path / "model.onnx"))
        ids, mask = padded(1000)
        with torch.no_grad():
            wanted = open_network(outcome.baseline)(ids[:1], mask[:1])["slots"].numpy()
        found = session.run(ids[:1].numpy(), mask[:1].numpy())["slots"]
        assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


def test_depth_width_and_vocabulary_one_after_another(folder: Path, tmp_path: Path) -> None:
    start = Finetune(model=Model(path=str(folder)), train=QUICK)
    strategy = (
        ("depth", Depth(keep=(1, 3))),
        ("width", Width(heads=2, ffn=16, importance="taylor", rows=32)),
        ("vocabulary", Vocabulary(max_length=16)),
        ("export", Export()),
    )
    outcome = pipeline(tmp_path).execute(start, strategy, ignore)
    shape = outcome.final.facts["shape"]
    assert (shape["heads"], shape["ffn"], outcome.final.max_length) == ([2, 2], [16, 16], 16)
    assert outcome.final.facts["largest_difference"] < 1e-4


def test_a_student_compares_queries_and_keys_where_attention_does(folder: Path, tmp_path: Path) -> None:
    """A copy of the teacher has nothing to learn; one with other angles has."""
    start = Finetune(model=Model(path=str(folder)), train=replace(QUICK, steps=0))
    finetuned = pipeline(tmp_path).execute(start, (), ignore).final
    told = Distillation(hard_weight=0, hidden_weight=0, soft_weight=0, attention_weight=1, layers="even")
    teacher = open_network(finetuned)
    student = Student(open_network(finetuned), teacher, told)
    rows = rows_of(TASK, "train", open_text_encoder(finetuned))[:8]
    batch = collate(rows, TASK.outputs(), 0, torch.device("cpu"))
    lesson = Teacher(teacher, [1, 2, 3, 4], True, None).answer(batch)
    assert student.loss(batch, lesson).abs() < 1e-5
    positions = student.network.encoder.layers[0].attn.positions  # type: ignore[index,union-attr]
    positions.cosines = positions.cosines.flip(0)
    assert student.loss(batch, lesson) > 1e-3
