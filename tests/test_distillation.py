"""What students learn from: layers, maps, relations, kept answers, other texts, each other's teacher."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from commands import TINY, job
from pare.batches import Batch, Row, collate
from pare.checkpoint import TOKENIZER, Checkpoint
from pare.distillation import Distillation, Student
from pare.encoders.model import Model
from pare.errors import ConfigError, DataError, StageFailed
from pare.fitting import HOOKS, quick_attention
from pare.losses import relation_loss, relations
from pare.pipeline import Step
from pare.progress import silent
from pare.stages.cohort import Cohort
from pare.stages.depth import Depth
from pare.stages.distill import Distill
from pare.stages.networks import open_network, open_text_encoder, rows_of, start_student
from pare.stages.qat import Qat, with_fake_quantizers
from pare.stages.stage import Context, Stage
from pare.stages.supernet import Supernet
from pare.stages.take import Take
from pare.stages.vocabulary import Vocabulary
from pare.tasks.text import TextEncoder
from pare.teacher import Teacher, thoughts_of
from pare.training import Training
from small import ARCHITECTURE, FINETUNE, QUICK, TASK, ignore, pipeline

SMALL = Model(architecture=replace(ARCHITECTURE, hidden=32, ffn=64, layers=1))
OTHER = Model(architecture=replace(ARCHITECTURE, hidden=48, ffn=96, layers=2))


def executed(root: Path, *strategy: tuple[str, Stage]) -> list[Step]:
    return list(pipeline(root).execute(FINETUNE, strategy, ignore).steps)


def rows(checkpoint: Checkpoint, count: int = 40) -> list[Row]:
    return rows_of(TASK, "train", open_text_encoder(checkpoint))[:count]


def batch_of(lessons: list[Row], numbers: list[int]) -> Batch:
    return collate([lessons[i] for i in numbers], TASK.outputs(), 0, torch.device("cpu"), numbers)


def test_training_for_int8_rounds_what_it_trains(root: Path) -> None:
    checkpoint = executed(root)[0].checkpoint
    lessons = rows(checkpoint)
    batch = batch_of(lessons, [0, 1, 2])
    plain = open_network(checkpoint)
    rounded = with_fake_quantizers(open_network(checkpoint), lessons[:8])
    for layers in ([2], [1, 2]):
        own = thoughts_of(rounded, batch, layers, False)
        as_it_is = thoughts_of(plain, batch, layers, False)
        for name, logits in rounded(batch.ids, batch.mask).items():
            assert torch.equal(own.logits[name], logits)
        for number in layers:
            assert not torch.allclose(own.layers[number], as_it_is.layers[number], atol=1e-4)
    learns = {name for name, value in rounded.named_parameters() if value.requires_grad}
    assert learns == {name for name, _ in plain.named_parameters()}
    assert any(name.startswith(HOOKS) for name in rounded.state_dict())


def test_training_for_int8_waits_for_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was killed leaves a lock, for which NNCF would wait until it gives up."""
    lock = tmp_path / "nncf/quantized_functions_cpu" / torch.__version__ / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("NNCF_EXTENSION_LOAD_TIMEOUT", "1")
    qat = ("compression=qat", "~compression/width", "~compression/distill", "compression.qat.train.steps=2")
    found = job(tmp_path / "new", *TINY, *qat)
    assert found.returncode == 0, found.stderr


def test_training_for_int8_compiles_nothing(finetuned: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a compiler makes rounds in its own way, and machines have others or none."""
    asked: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda function: asked.append(function) or function)
    lessons = rows(finetuned)
    rounded = with_fake_quantizers(open_network(finetuned), lessons[:8])
    found = rounded.train()(*(getattr(batch_of(lessons, [0, 1]), name) for name in ("ids", "mask")))
    sum(logits.sum() for logits in found.values()).backward()
    assert asked == []


def test_training_for_int8_in_bf16_rounds_all_that_it_rounds_in_fp32(finetuned: Checkpoint) -> None:
    """NNCF rounds at the operations that it traced; with other ones for attention what leaves it was not."""
    lessons = rows(finetuned)
    rounded = with_fake_quantizers(open_network(finetuned), lessons[:8])
    batch, fired = batch_of(lessons, [0, 1]), set[str]()
    for name, module in rounded.named_modules():
        if name.startswith(HOOKS) and not list(module.children()):
            module.register_forward_hook(lambda *_, name=name: fired.add(name))
    rounded(batch.ids, batch.mask)
    everywhere = set(fired)
    assert everywhere
    fired.clear()
    with quick_attention(rounded, torch.device("cpu"), "bf16"):
        rounded(batch.ids, batch.mask)
    assert fired == everywhere


def test_training_for_int8_leaves_attention_in_float(finetuned: Checkpoint) -> None:
    """As the kernels do: queries, keys and values take more values than the 256 that INT8 tells apart."""
    lessons = rows(finetuned)
    rounded = with_fake_quantizers(open_network(finetuned), lessons[:8])
    thoughts = thoughts_of(rounded, batch_of(lessons, list(range(16))), [1, 2], True)
    for projections in thoughts.projections.values():
        assert all(part.unique().numel() > 1000 for part in projections.maps)


def test_relations_are_softmaxed_products() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    found = relations(query, key, 2, mask).exp().numpy()
    q, k = (x.numpy().reshape(2, 5, 2, 4).transpose(0, 2, 1, 3) for x in (query, key))
    scores = q @ k.transpose(0, 1, 3, 2) / 2
    scores[1, :, :, 3:] = -np.inf
    wanted = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert np.allclose(found, wanted, atol=1e-6)


def test_relations_are_as_exact_where_all_else_is_in_bf16() -> None:
    torch.manual_seed(0)
    query, key, mask = torch.randn(2, 5, 64), torch.randn(2, 5, 64), torch.ones(2, 5)
    wanted = relations(query, key, 2, mask)
    with torch.autocast("cpu", torch.bfloat16):
        found = relations(query, key, 2, mask)
    assert torch.equal(found, wanted)


def test_relations_that_are_alike_cost_nothing_and_padding_neither() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 0]])
    states = torch.randn(1, 4, 8)
    other = states.clone()
    other[:, 3] = 9.0
    one, two = (relations(x, x, 2, mask) for x in (states, other))
    assert relation_loss(one, two, mask).abs() < 1e-6
    assert relation_loss(one, relations(states * 3, states, 2, mask), mask) > 1e-3
    fewer = relations(states, states, 4, mask)
    assert torch.isfinite(relation_loss(fewer, one, mask))


@pytest.mark.parametrize(
    ("layers", "pairs"),
    [("last", [(2, 6)]), ("even", [(1, 3), (2, 6)]), (((0, 0), (1, 2), (-1, -1)), [(0, 0), (1, 2), (2, 6)])],
)
def test_layers_are_matched(layers: object, pairs: list[tuple[int, int]]) -> None:
    assert Distillation(layers=layers).pairs(2, 6) == pairs  # type: ignore[arg-type]


def test_a_match_out_of_range_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"distillation.layers: \[3, 1\] is out of range; the student has .*0…2"
    ):
        Distillation(layers=((3, 1),)).pairs(2, 6)


def test_a_student_like_its_teacher_has_nothing_to_learn(finetuned: Checkpoint) -> None:
    told = Distillation(hard_weight=0, attention_weight=1, relation_weight=1, relation_heads=4, layers="even")
    teacher = open_network(finetuned)
    student = Student(open_network(finetuned), teacher, told)
    batch = batch_of(rows(finetuned), list(range(8)))
    lesson = Teacher(teacher, [1, 2], True, None).answer(batch)
    assert student.loss(batch, lesson).abs() < 1e-5
    with torch.no_grad():
        student.network.blocks()[0].key.weight.mul_(1.5)
    assert student.loss(batch, lesson) > 1e-3


def test_a_teacher_remembers_what_it_said(finetuned: Checkpoint) -> None:
    lessons = rows(finetuned)
    teacher = Teacher(open_network(finetuned), [1, 2], False, [len(row.ids) for row in lessons])
    batch = batch_of(lessons, [3, 17, 5])
    first = teacher.answer(batch)
    teacher.answer(batch_of(lessons, [8, 9]))
    with torch.no_grad():
        teacher.network.blocks()[0].query.weight.zero_()  # whoever asks again gets what was said
    repeated = teacher.answer(batch)
    assert torch.equal(first.logits["intent"], repeated.logits["intent"])
    assert all(
        torch.equal(first.layers[n][batch.mask.bool()], repeated.layers[n][batch.mask.bool()]) for n in (1, 2)
    )
    numbers = [8, 5, 3]
    batch = batch_of(lessons, numbers)
    again = teacher.answer(batch)
    fresh = thoughts_of(open_network(finetuned), batch, [1, 2], False)
    real = batch.mask.bool()
    assert torch.allclose(again.logits["intent"], fresh.logits["intent"], atol=1e-5)
    assert torch.allclose(again.logits["slots"][real], fresh.logits["slots"][real], atol=1e-5)
    assert torch.allclose(again.layers[1][real].float(), fresh.layers[1][real], atol=5e-3)
    assert first.logits["intent"].shape[0] == 3


def test_a_teacher_keeps_what_it_is_asked_again_where_there_is_room(
    finetuned: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And needs none for what it says once."""
    monkeypatch.setattr("pare.distillation.free_memory", lambda: 100_000)
    told, once = Distillation(cache=True), Training(steps=2, precision="fp32", threads=1)
    stages: list[Distill | Supernet] = [
        Distill(distillation=told, train=once),
        Supernet(widths=(0.5,), rows=8, distillation=told, train=once),
    ]
    for stage in stages:
        again = replace(stage, train=replace(once, steps=50))  # a batch more than there are
        sources, context = {"model": finetuned, "baseline": finetuned}, Context(TASK, 0, tmp_path, silent)
        stage.run(sources, context)
        said = "^distillation.cache=true: the teacher's answers to 1550 texts need .* GB of memory, 0.0 GB"
        with pytest.raises(ConfigError, match=said):
            again.run(sources, context)


@pytest.mark.parametrize(
    "told",
    [
        Distillation(soft="mse"),
        Distillation(attention_weight=1.0),
        Distillation(relation_weight=1.0, relation_heads=4, hidden_weight=0),
        Distillation(layers=((0, 0), (-1, -1))),
        Distillation(cache=True),
    ],
    ids=["mse", "attention", "relations", "layers", "cache"],
)
def test_a_student_learns_more_the_longer_it_listens(root: Path, told: Distillation) -> None:
    train = Training(steps=120, learning_rate=3e-3, precision="fp32", threads=1)
    step = executed(root, ("distill", Distill(student=SMALL, distillation=told, train=train)))[-1]
    curve = [point["loss"] for point in step.checkpoint.history()]
    assert sum(curve[-10:]) < 0.8 * sum(curve[:10])
    assert step.scores["intent_accuracy"] > 0.3


def test_a_new_student_leaves_its_teachers_tokenizer_as_it_is(finetuned: Checkpoint) -> None:
    """Which may cut texts earlier than the task does: a vocabulary stage can shorten them."""
    file = finetuned.path / TOKENIZER
    encoder, untouched = (TextEncoder.load(file, 12) for _ in range(2))
    student = start_student(SMALL, TASK, encoder)
    assert student.family.longest_text(student.encoder) >= 12
    texts = ["a b " * 20, *TASK.texts("dev")]
    assert [e.ids for e in encoder.encode(texts)] == [e.ids for e in untouched.encode(texts)]


@pytest.mark.parametrize(("dropout", "accumulate"), [(0.0, 1), (0.1, 1), (0.1, 2)])
def test_a_cohort_learns_what_each_would_learn_alone(root: Path, dropout: float, accumulate: int) -> None:
    train = Training(steps=12, accumulate=accumulate, precision="fp32", threads=1)
    shapes = {"small": SMALL.architecture, "other": OTHER.architecture}
    students = {
        name: Model(architecture=replace(shape, dropout=dropout)) for name, shape in shapes.items() if shape
    }
    cohort = Cohort(students=students, train=train)
    for name, model in students.items():
        taken = executed(root, ("cohort", cohort), ("take", Take(student=name)))[-1]
        alone = executed(root, ("distill", Distill(student=model, train=train)))[-1]
        pair = [open_network(step.checkpoint).state_dict() for step in (taken, alone)]
        assert all(torch.allclose(pair[0][n], pair[1][n], atol=1e-5) for n in pair[1])


def test_an_assistant_teaches_a_cohort_as_it_would_each_alone(root: Path) -> None:
    assistant = ("assistant", Distill(student=OTHER, train=QUICK))
    cohort = Cohort(students={"small": SMALL}, teacher="previous", train=QUICK)
    taken = executed(root, assistant, ("cohort", cohort), ("take", Take(student="small")))[-1]
    pupil = Distill(student=SMALL, teacher="previous", train=QUICK)
    alone = executed(root, assistant, ("distill", pupil))[-1]
    pair = [open_network(step.checkpoint).state_dict() for step in (taken, alone)]
    assert all(torch.allclose(pair[0][n], pair[1][n], atol=1e-5) for n in pair[1])


def test_a_cohort_is_trained_once_for_all_its_students(root: Path) -> None:
    cohort = Cohort(students={"small": SMALL, "other": OTHER}, train=QUICK)
    steps = [executed(root, ("cohort", cohort), ("take", Take(student=n))) for n in ("small", "other")]
    assert [found[1].cached for found in steps] == [False, True]
    assert [found[2].checkpoint.facts["shape"]["hidden"] for found in steps] == [32, 48]
    assert steps[0][1].scores == {}
    assert steps[0][2].previous == steps[0][0].scores


def test_a_student_that_is_not_in_the_cohort_is_named(root: Path) -> None:
    cohort = Cohort(students={"small": SMALL}, train=QUICK)
    with pytest.raises(StageFailed, match=r"take.student: no 'tall' in the cohort, which has \['small'\]"):
        executed(root, ("cohort", cohort), ("take", Take(student="tall")))


def test_an_assistant_stands_between_teacher_and_student(root: Path) -> None:
    assistant = Distill(student=OTHER, train=QUICK)
    pupil = Distill(student=SMALL, teacher="previous", train=QUICK)
    steps = executed(root, ("assistant", assistant), ("distill", pupil))
    direct = executed(root, ("distill", Distill(student=SMALL, train=QUICK)))
    assert steps[-1].checkpoint.facts["shape"]["hidden"] == 32
    assert steps[-1].checkpoint.digest != direct[-1].checkpoint.digest


def test_more_texts_can_be_learned_from(root: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("打开空调\n\n导航去机场\n", encoding="utf-8")
    with_it = Distill(student=SMALL, corpus=str(corpus), train=QUICK)
    before = with_it.sources()
    found = executed(root, ("distill", with_it))[-1]
    corpus.write_text("关闭车窗\n", encoding="utf-8")
    assert with_it.sources() != before
    assert executed(root, ("distill", with_it))[-1].key != found.key


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file: "),
        ("打开空调\n".encode("gbk"), "corpus.txt is not UTF-8 (invalid start byte at byte 0)"),
    ],
)
def test_more_texts_that_cannot_be_read_are_named(content: bytes | None, says: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    if content is not None:
        corpus.write_bytes(content)
    with pytest.raises(DataError) as error:
        Distill(corpus=str(corpus)).check("compression.distill")
    assert str(error.value).startswith("compression.distill.corpus: ")
    assert says in str(error.value)


def test_more_texts_are_learned_from_where_the_tasks_own_are_not(root: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("打开空调\n导航去机场\n" * 500, encoding="utf-8")
    stage = Distill(student=SMALL, distillation=Distillation(unlabelled=False), train=QUICK)
    made = [executed(root, ("distill", replace(stage, corpus=c)))[-1] for c in (None, str(corpus))]
    curves = [step.checkpoint.history() for step in made]
    assert curves[0] != curves[1]


@pytest.mark.parametrize(("unlabelled", "steps"), [(False, 53), (False, 54), (True, 55), (True, 56)])
def test_an_epoch_is_of_all_that_is_learned_from(unlabelled: bool, steps: int, tmp_path: Path) -> None:
    """Of 1,500 texts, 50 without labels, and 190 of the corpus: 53 steps, or 55."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("打开空调\n\n" * 190, encoding="utf-8")
    told = Distillation(unlabelled=unlabelled)
    train = Training(steps=2 * steps, patience=1)
    found = Distill(distillation=told, corpus=str(corpus), train=train).misfits(TASK, "compression.distill")
    short = steps in (53, 55)
    assert [line.partition("=")[0] for line in found] == ["compression.distill.train.patience"] * short


def test_a_checkpoint_of_the_same_task_can_teach(root: Path, finetuned: Checkpoint) -> None:
    own = Distill(student=SMALL, teacher=Model(path=str(finetuned.path)), train=QUICK)
    usual = Distill(student=SMALL, train=QUICK)
    taught = [executed(root, ("distill", stage))[-1] for stage in (own, usual)]
    pair = [open_network(step.checkpoint).state_dict() for step in taught]
    assert all(torch.equal(pair[0][n], pair[1][n]) for n in pair[0])


def test_a_teacher_that_reads_less_than_its_student_is_refused(root: Path) -> None:
    short = replace(FINETUNE, model=Model(architecture=replace(ARCHITECTURE, positions=24)), train=QUICK)
    taught = pipeline(root).execute(short, (), ignore).final
    own = Distill(teacher=Model(path=str(taught.path)), train=QUICK)
    with pytest.raises(
        StageFailed, match=r"teacher: .* has 24 positions, fewer than the student's 32 tokens"
    ):
        executed(root, ("distill", own))


def test_a_teacher_that_does_not_answer_the_task_is_refused_before_anything_runs(
    finetuned: Checkpoint,
) -> None:
    says = "compression.distill.teacher: bert-1L32H4A does not answer this task; give the checkpoint folder"
    (line,) = Distill(teacher=SMALL).misfits(TASK, "compression.distill")
    assert line.startswith(says)
    for told in (Distillation(soft_weight=0), Distillation(hard_weight=1)):  # its answers are not listened to
        assert Distill(teacher=SMALL, distillation=told).misfits(TASK, "compression.distill") == []
    answers = Model(path=str(finetuned.path))
    assert Distill(teacher=answers).misfits(TASK, "compression.distill") == []


def test_an_encoder_that_learned_no_task_can_start_others(root: Path, tmp_path: Path) -> None:
    """Task-agnostic: only the teacher's layers are learned; the result is a model to fine-tune."""
    told = Distillation(soft_weight=0, hard_weight=0, relation_weight=1, relation_heads=4, hidden_weight=0)
    general = executed(root, ("distill", Distill(student=SMALL, distillation=told, train=QUICK)))[-1]
    start = replace(FINETUNE, model=Model(path=str(general.checkpoint.path)), train=Training(steps=0))
    found = pipeline(root).execute(start, (), ignore).final
    pair = [open_network(c).encoder.state_dict() for c in (general.checkpoint, found)]
    assert all(torch.equal(pair[0][n], pair[1][n]) for n in pair[0])


def test_a_pretrained_student_reads_its_own_tokens_as_its_teacher_numbers_them(
    root: Path, finetuned: Checkpoint
) -> None:
    pupil = Distill(student=Model(path=str(finetuned.path)), teacher="previous", train=Training(steps=0))
    cut, student = executed(root, ("vocabulary", Vocabulary(max_tokens=300)), ("distill", pupil))[1:]
    wanted, found = (open_network(step.checkpoint).encoder.state_dict() for step in (cut, student))
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize("alone", [True, False])
def test_a_pretrained_student_that_lacks_tokens_of_its_teacher_is_refused(root: Path, alone: bool) -> None:
    cut = executed(root, ("vocabulary", Vocabulary(max_tokens=300)))[-1].checkpoint
    model = Model(path=str(cut.path))
    stage = Distill(student=model, train=QUICK) if alone else Cohort(students={"cut": model}, train=QUICK)
    with pytest.raises(StageFailed, match=r"student: it cannot read the teacher's tokens; \d+ are unknown"):
        executed(root, (stage.kind, stage))


def test_layers_of_the_teacher_become_a_student(root: Path) -> None:
    steps = executed(root, ("depth", Depth(keep=(0,))), ("distill", Distill(train=QUICK)))
    assert steps[-1].checkpoint.facts["shape"]["layers"] == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"layers": ((1,),)}, "layers"),
        ({"layers": ()}, "layers"),
        ({"cache": True, "attention_weight": 1.0}, "cache=true"),
        ({"relation_heads": 0}, "relation_heads=0"),
        ({"soft": "mse", "temperature": 2.0}, "temperature=2.0: has no effect with soft=mse"),
        ({"soft_weight": 0, "hard_weight": 0, "hidden_weight": 0}, "nothing is taught"),
        (
            {
                "soft_weight": 0,
                "hard_weight": 0,
                "hidden_weight": 0,
                "relation_weight": 1,
                "layers": ((0, 0),),
            },
            "relation_weight=1: nothing is taught; .* relations are of layers from 1 on",
        ),
    ],
)
def test_impossible_lessons_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Distillation(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", [Cohort, Supernet, Distill, Qat])
@pytest.mark.parametrize("setting", [{"patience": 2}, {"evaluate_every": 9}, {"class_weights": "balanced"}])
def test_settings_that_a_stage_makes_nothing_of_are_refused(stage: Any, setting: dict[str, Any]) -> None:
    (name,) = setting
    own = {"students": {"small": SMALL}} if stage is Cohort else {}
    if stage in (Distill, Qat) and name != "class_weights":
        stage(train=Training(**setting))  # they look at dev
        return
    with pytest.raises(ValueError, match=rf"train\.{name}={setting[name]}: has no effect"):
        stage(train=Training(**setting), **own)


def test_an_encoder_that_learns_no_task_is_not_looked_at_on_dev() -> None:
    told = Distillation(soft_weight=0, hard_weight=0)
    with pytest.raises(ValueError, match=r"train\.patience=2: has no effect"):
        Distill(student=SMALL, distillation=told, train=Training(patience=2))


def test_true_labels_alone_are_a_task_that_dev_knows_too(root: Path) -> None:
    told = Distillation(soft_weight=0, hard_weight=1, hidden_weight=0)
    step = executed(root, ("distill", Distill(distillation=told, train=replace(QUICK, evaluate_every=1))))[-1]
    assert all("dev" in point for point in step.checkpoint.history())


def test_who_teaches_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="teacher=previous: is the student itself"):
        Distill(teacher="previous")


def test_heads_that_do_not_divide_the_queries_are_named(root: Path) -> None:
    told = Distillation(relation_weight=1.0, relation_heads=7)
    with pytest.raises(
        StageFailed, match=r"distillation.relation_heads: 7 does not divide the student's 32 query channels"
    ):
        executed(root, ("distill", Distill(student=SMALL, distillation=told, train=QUICK)))
