"""Every encoder family goes through every method, and what comes out still knows something."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from pare.checkpoint import SHIPPED, Format
from pare.encoders.families import FAMILIES
from pare.encoders.model import Model
from pare.pipeline import Outcome
from pare.stages.cohort import Cohort
from pare.stages.depth import Depth
from pare.stages.distill import Distill
from pare.stages.dynamic import Dynamic
from pare.stages.embeddings import Embeddings
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.stages.half import Half
from pare.stages.nncf import Nncf
from pare.stages.qat import Qat
from pare.stages.quantize import Quantize
from pare.stages.sensitivity import Sensitivity
from pare.stages.stage import Stage
from pare.stages.supernet import Supernet
from pare.stages.take import Take
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.tasks.text import train_wordpiece
from pare.training import Training
from small import ARCHITECTURE, HARDWARE, OPENVINO, QUICK, TASK, TORCH, halved_int8, ignore, pipeline

TYPES = sorted(model_type for family in FAMILIES for model_type in family.model_types)
TRAIN = Training(steps=120, learning_rate=3e-3, precision="fp32", threads=1)
EXPORT = ("export", Export())
STUDENT = Model(architecture=replace(ARCHITECTURE, hidden=32, ffn=64, layers=1))
STRATEGIES: dict[str, tuple[tuple[str, Stage], ...]] = {
    "width": (("width", Width(keep=0.5, rows=64)), ("distill", Distill(train=QUICK)), EXPORT),
    "global width": (
        ("width", Width(keep=0.5, allocation="global", importance="fisher", rows=16, reconstruct=True)),
        EXPORT,
    ),
    "supernet": (
        ("supernet", Supernet(widths=(0.25, 0.5), rows=16, train=QUICK)),
        ("width", Width(keep=0.5, importance="order")),
        EXPORT,
    ),
    "depth": (("depth", Depth(keep="importance", rows=32)), ("distill", Distill(train=QUICK)), EXPORT),
    "vocabulary": (("vocabulary", Vocabulary(max_length=32)), EXPORT),
    "student": (("distill", Distill(student=STUDENT, train=QUICK)), EXPORT),
    "cohort": (
        ("cohort", Cohort(students={"one": STUDENT}, train=QUICK)),
        ("take", Take(student="one")),
        EXPORT,
    ),
    "static": (EXPORT, ("quantize", Quantize(calibration_rows=16))),
    "dynamic": (EXPORT, ("quantize", Dynamic())),
    "symmetric": (
        ("export", Export(lowering="plain")),
        ("quantize", Quantize(calibration_rows=16, lowering="qdq")),
    ),
    "half": (EXPORT, ("embeddings", Embeddings()), ("half", Half(fuse=False))),
    "fused half": (("export", Export(lowering="plain")), ("half", Half())),
    "sensitivity": (
        EXPORT,
        ("sensitivity", Sensitivity(by="layer", calibration_rows=8)),
        ("quantize", Quantize(calibration_rows=16, keep_sensitive=1)),
    ),
    "openvino": (
        ("export", Export(format="openvino", lowering="plain")),
        ("quantize", Nncf(calibration_rows=16)),
    ),
    "program": (("width", Width(keep=0.5, importance="magnitude")), ("export", Export(format="program"))),
    "all of it": (
        ("vocabulary", Vocabulary(max_length=32)),
        ("width", Width(keep=0.5, importance="magnitude")),
        ("distill", Distill(train=QUICK)),
        ("qat", Qat(train=QUICK, calibration_rows=8)),
        EXPORT,
        ("quantize", Quantize(calibration_rows=16)),
    ),
}


#: what they end in, where that is no ONNX graph
ENDS: dict[str, Format] = {"openvino": "openvino", "program": "program"}
UNPRUNED = {"static", "dynamic", "symmetric", "half", "fused half", "sensitivity", "openvino"}


@pytest.fixture(scope="module", params=TYPES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finetune]:
    """A store, and the fine-tuning of a random encoder of the family, as the hub would give it."""
    place = tmp_path_factory.mktemp(request.param)
    tokenizer = train_wordpiece(TASK.texts("train"), 1500)
    shape: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(), "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 40, "pad_token_id": 0,
        "initializer_range": 0.05, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    if request.param == "ernie":
        shape["use_task_id"] = True  # as those that are published have it
    if request.param == "electra":
        shape["embedding_size"] = 32  # narrower than the layers, as the small ones have it
    if request.param == "distilbert":
        shape |= {"hidden_dim": 128, "dropout": 0.0, "attention_dropout": 0.0}
    if request.param == "modernbert":
        shape |= {"intermediate_size": 96, "local_attention": 8}  # near: 4 tokens to each side
        shape |= dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.for_model(request.param, **shape)).save_pretrained(place / "model")
    tokenizer.save(str(place / "model" / "tokenizer.json"))
    return place / "store", Finetune(model=Model(path=str(place / "model")), train=TRAIN)


def carried_out(family: tuple[Path, Finetune], name: str) -> Outcome:
    root, finetune = family
    hardware = {"openvino": OPENVINO, "program": TORCH}.get(name, HARDWARE)
    return pipeline(root, hardware=hardware).execute(finetune, STRATEGIES[name], ignore)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_method_works_on_every_family(family: tuple[Path, Finetune], name: str) -> None:
    outcome = carried_out(family, name)
    assert outcome.final.format == ENDS.get(name, "onnx")
    smaller = outcome.final.parameters < outcome.baseline.parameters
    assert smaller == (name not in UNPRUNED)
    if not smaller:
        # of OpenVINO's two files only the weights: its description is a third of models as small as these;
        # of ONNX's up to an eighth
        weights = outcome.final.path / SHIPPED[outcome.final.format][-1]
        assert weights.stat().st_size < 0.63 * outcome.baseline.model_bytes()


def test_a_compressed_model_of_the_family_knows_more_than_the_commonest_answer(
    family: tuple[Path, Finetune],
) -> None:
    root, finetune = family
    strategy = halved_int8(replace(TRAIN, steps=150))
    step = pipeline(root).execute(finetune, strategy, ignore).steps[-1]
    intents = Counter(utterance.label for utterance in TASK.data["dev"])
    commonest = max(intents.values()) / intents.total()
    assert step.scores["intent_accuracy"] > commonest + 0.2
