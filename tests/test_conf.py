"""Every YAML binds to its target; every strategy, experiment and sweep composes into a job that could run."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from pare.auto import Auto
from pare.build import build
from pare.composition import TOKEN, conf_folder, key_of, override_keys, plain
from pare.config import job_of
from pare.errors import ConfigError
from pare.stages.stage import Stage
from pare.strategy import problems as strategy_problems
from pare.targets.hardware import Hardware
from pare.targets.measurement import Measure
from pare.tasks.task import Task
from pare.tracking.tracker import Tracker

CONF = conf_folder()
TORCH = ["hardware=torch", "compression=torch"]
OPENVINO = ["hardware=openvino", "compression=openvino"]
EXTRA = {
    "mine": ["task.train=rows.tsv"],
    "my_spans": ["task.source.train=rows.conll"],
    "my_commands": ["task.source.train=rows.tsv"],
    **{gpu: ["compression=width"] for gpu in ("cuda", "v100", "t4", "a10", "a100", "h100", "h200")},
    **{name: ["hardware=torch"] for name in ("torch_bf16", "torch_fp16")},
    "torch": TORCH,
    "tensorrt": ["hardware=tensorrt", "compression=tensorrt"],
    "tensorrt_fp16": ["hardware=tensorrt"],
    "cuda_graph": TORCH[1:],
    "openvino": OPENVINO,
    "openvino_int8": OPENVINO[:1],
}  # what an option cannot do without


def test_twenty_sweeps_of_one_second_have_folders_of_their_own() -> None:
    """But for less than one time in ten million."""
    pairs = 20 * 19 / 2
    assert pairs / 16 ** len(TOKEN) < 1e-7


def options(group: str) -> list[str]:
    """All but sweeps/wandb.yaml, which is for wandb's agents."""
    found = {path.stem for path in (CONF / group).glob("*.yaml")}
    return sorted(found - {"wandb"} if group == "sweep" else found)


def composed(*overrides: str) -> dict[str, object]:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return plain(compose("config", overrides=list(overrides)))


def built(config: dict[str, object]) -> list[str]:
    problems: list[str] = []
    for key in ("task", "model", "hardware", "train", "tracker", "engine"):
        node = config[key]
        if isinstance(node, dict) and "_target_" in node:
            build(node, key, problems)
    build(config["measure"], "measure", problems, Measure)
    compression = dict(config["compression"])  # type: ignore[call-overload]
    auto = compression.pop("auto", None)
    strategy = [
        (name, build(node, f"compression.{name}", problems, Stage)) for name, node in compression.items()
    ]
    strategies = [strategy] if auto is None else []
    if auto is not None:
        strategies += build(auto, "compression.auto", problems, Auto).strategies().values()
    if problems:
        return problems
    hardware = build(config["hardware"], "hardware", problems, Hardware)
    return [problem for strategy in strategies for problem in strategy_problems(strategy, hardware)]


@pytest.mark.parametrize(
    ("group", "option"),
    [(g, o) for g in ("task", "model", "hardware", "tracker", "train", "compression", "experiment", "sweep",
                      "engine") for o in options(g)],
)  # fmt: skip
def test_every_option_composes_and_binds(group: str, option: str) -> None:
    assert built(composed(f"{group}={option}", *EXTRA.get(option, []))) == []


@pytest.mark.parametrize(
    ("group", "option"),
    [(f"compression/{d.name}", o) for d in sorted((CONF / "compression").iterdir()) if d.is_dir()
     for o in options(f"compression/{d.name}")],
)  # fmt: skip
def test_every_stage_variant_binds(group: str, option: str) -> None:
    slot = group.partition("/")[2]
    given = group if slot == "export" else f"+{group}"  # the strategy `none` has an export of its own
    config = composed("compression=none", f"{given}={option}")
    problems: list[str] = []
    assert isinstance(build(config["compression"][slot], slot, problems, Stage), Stage), problems  # type: ignore[index]
    assert problems == []


def test_yaml_files_say_what_they_are_for() -> None:
    for path in CONF.rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("#"), path


def test_a_typo_in_a_yaml_is_named_with_its_key() -> None:
    problems: list[str] = []
    node = {"_target_": "pare.stages.width.Width", "kep": 0.5}
    build(node, "compression.width", problems, Stage)
    assert problems == ["compression.width.kep: Width has no such key; did you mean keep?"]


def test_every_mistake_is_reported_at_once() -> None:
    problems: list[str] = []
    node = {
        "_target_": "pare.stages.distill.Distill",
        "teacher": "somebody",
        "distillation": {"temperature": "hot"},
        "train": {"steps": -1},
    }
    build(node, "compression.distill", problems, Stage)
    assert problems == [
        "compression.distill.teacher: found 'somebody'; one of baseline, previous or a Model is needed",
        "compression.distill.distillation.temperature: found 'hot'; a number is needed",
        "compression.distill.train.steps=-1: cannot be negative",
    ]


@pytest.mark.parametrize("target", ["os.system", "pare.nothing.Here", "pare.stages.width.uniform", "Width"])
def test_only_our_own_classes_can_be_named(target: str) -> None:
    problems: list[str] = []
    build({"_target_": target}, "compression.width", problems, Stage)
    assert len(problems) == 1
    assert problems[0].startswith("compression.width._target_: ")


def test_a_target_of_the_wrong_kind_is_refused() -> None:
    problems: list[str] = []
    build({"_target_": "pare.tracking.wandb.Wandb"}, "compression.width", problems, Stage)
    assert problems == ["compression.width._target_: pare.tracking.wandb.Wandb is not a Stage"]
    assert isinstance(build({"_target_": "pare.tracking.wandb.Wandb"}, "tracker", [], Tracker), Tracker)


def test_numbers_that_name_things_in_a_mapping_are_text() -> None:
    """As they are in JSON, which says what a job is."""
    config = plain(OmegaConf.create({"task": {"prompts": {1: "人名", 2: "地名"}, "parts": [{3: "x"}]}}))
    assert config == {"task": {"prompts": {"1": "人名", "2": "地名"}, "parts": [{"3": "x"}]}}
    assert key_of(config) == key_of(json.loads(json.dumps(config)))


NEEDED = " needs quotes here: "


@pytest.mark.parametrize(
    ("override", "sign", "value"),
    [
        ("task.train=评论.tsv", "评", "评论.tsv"),
        ("task.train=data/评论 2024.tsv", "评", "data/评论 2024.tsv"),
        ("task.train=评论(旧).tsv", "评", "评论(旧).tsv"),
        (r"task.train=C:\数据\a.tsv", "数", r"C:\数据\a.tsv"),
        ("task.path=->", ">", "->"),
        ("name=it's", "'", "it's"),
        ("+task.parts=[好, 'a b', 3]", "好", ["好", "a b", 3]),
        ("+task.prompts={PER: 人名, LOC: b}", "人", {"PER": "人名", "LOC": "b"}),
        ("+task.address=https://评.cn/a", "评", "https://评.cn/a"),
    ],
)
def test_what_needs_quotes_is_shown_with_them(override: str, sign: str, value: object) -> None:
    with pytest.raises(ConfigError) as refused:
        override_keys([override])
    first, _, advice = str(refused.value).partition(NEEDED)
    assert first == f"{override}: {sign!r}"
    (typed,) = shlex.split(advice)
    assert OverridesParser.create().parse_override(typed).value() == value


def test_each_of_several_values_has_quotes_of_its_own() -> None:
    with pytest.raises(ConfigError) as refused:
        override_keys(["task.train=评论.tsv,b.tsv,~/新闻.tsv"])
    (typed,) = shlex.split(str(refused.value).partition(NEEDED)[2])
    assert typed == 'task.train="评论.tsv",b.tsv,"~/新闻.tsv"'
    assert override_keys([typed]) == ["task.train"]


def test_a_home_that_the_shell_left_alone_is_shown_as_it_would_not() -> None:
    with pytest.raises(ConfigError) as refused:
        override_keys(["hydra.run.dir=~/运行"])
    told, _, advice = str(refused.value).partition("; write ")
    assert told == "hydra.run.dir=~/运行: the shell left this ~ as it is"
    typed = subprocess.run(
        ["sh", "-c", f"printf %s {advice}"], env={"HOME": "/home/a b"}, capture_output=True, check=True
    )
    assert OverridesParser.create().parse_override(typed.stdout.decode()).value() == "/home/a b/运行"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("评论.tsv", "'评' can be in no key; KEY=VALUE is needed"),
        ("+task.prompts={人名: PER}", "'人' is not taken here without quotes; in a YAML file it is"),
    ],
)
def test_where_quotes_would_not_help_none_are_shown(override: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        override_keys([override])
    assert str(refused.value) == f"{override}: {says}"


@pytest.mark.parametrize(
    ("overrides", "stage", "learnt"),
    [
        ([], "train", False),
        (["model=minilm_l6"], "train", True),
        (["model.path=somewhere"], "compression.distill.train", True),
        (["model=bert_base_zh", "compression=supernet"], "compression.supernet.train", True),
        (
            ["model=bert_base_zh", "compression=auto"],
            "compression.auto.candidates.width_int8.distill.train",
            True,
        ),
        (["model=bert_base_zh", "compression=qat"], "compression.qat.train", True),
        (["model=bert_base_zh", "compression=student_int8"], "compression.distill.train", False),
        (
            ["compression=student_int8", "model@compression.distill.student=rbt3_zh"],
            "compression.distill.train",
            True,
        ),
        (["model=bert_base_zh", "compression=cohort"], "compression.cohort.train", False),
        (
            ["model=bert_base_zh", "compression=student_int8"],
            "compression.quantize.escalation.train",
            False,
        ),
        (
            ["compression=student_int8", "model@compression.distill.student=rbt3_zh"],
            "compression.quantize.escalation.train",
            True,
        ),
    ],
)
def test_an_encoder_that_has_learnt_is_trained_gently(overrides: list[str], stage: str, learnt: bool) -> None:
    """The model, or the student where a stage has one: at the rate of the others it would forget all."""
    found = OmegaConf.select(OmegaConf.create(composed(*overrides)), stage)
    scratch = 2e-4 if "escalation" in stage else 1e-3
    assert (found.learning_rate < scratch) == learnt


HOW = {"batch_size": 8, "accumulate": 4, "precision": "fp32", "device": "cpu", "threads": 3, "processes": 2}


@pytest.mark.parametrize(
    ("compression", "stage"),
    [
        ("prune_distill_quantize", "compression.distill.train"),
        ("prune_distill_quantize", "compression.quantize.escalation.train"),
        ("supernet", "compression.supernet.train"),
        ("cohort", "compression.cohort.train"),
        ("auto", "compression.auto.candidates.width_int8.distill.train"),
    ],
)
def test_a_stage_trains_as_train_says_unless_it_says_otherwise(compression: str, stage: str) -> None:
    """All else, rates and steps, is its own."""

    def found(*overrides: str) -> dict[str, object]:
        config = OmegaConf.create(composed(f"compression={compression}", *overrides))
        one = OmegaConf.to_container(OmegaConf.select(config, stage))
        return {key: one[key] for key in (*HOW, "steps")}  # type: ignore[call-overload,index]

    plain_ones = found()
    assert plain_ones["batch_size"] == 32
    assert found("train.steps=7", *(f"train.{key}={value}" for key, value in HOW.items())) == {
        **HOW,
        "steps": plain_ones["steps"],
    }
    assert found("train.batch_size=8", f"{stage}.batch_size=4") == {**plain_ones, "batch_size": 4}
    assert found("train=patient") == plain_ones


def test_what_stages_have_of_train_is_complained_of_once(tmp_path: Path) -> None:
    wrong = ("train.batch_size=abc", "compression.distill.train.accumulate=x")
    with pytest.raises(ConfigError) as refused:
        job_of(composed(*wrong, f"store.root={tmp_path}"), [])
    assert refused.value.problems == (
        "train.batch_size: found 'abc'; a whole number is needed",
        "compression.distill.train.accumulate: found 'x'; a whole number is needed",
    )
    with pytest.raises(ConfigError) as refused:
        job_of(composed("train.threads=0", f"store.root={tmp_path}"), [])
    assert refused.value.problems == ("train.threads=0: must be at least 1",)


def test_a_student_that_is_no_model_is_told_as_before() -> None:
    """Rates follow from it, and must not be what is complained of."""
    config = composed("compression=distill", "compression.distill.student=mini")
    problems: list[str] = []
    build(config["compression"]["distill"], "compression.distill", problems)
    assert problems == ["compression.distill.student: found 'mini'; a Model or null is needed"]


def test_links_in_conf_show_experiments_and_sweeps() -> None:
    root = Path(__file__).parents[1]
    assert {p.name for p in (CONF / "experiment").iterdir()} == {
        p.name for p in (root / "experiments").iterdir()
    }
    assert {p.name for p in (CONF / "sweep").iterdir()} == {p.name for p in (root / "sweeps").iterdir()}
    assert OmegaConf.load(CONF / "sweep" / "widths.yaml").hydra.mode == "MULTIRUN"


@pytest.mark.skipif("PARE_DATA" not in os.environ, reason="PARE_DATA is not set")
@pytest.mark.parametrize(
    ("task", "rows", "labels", "pairs"),
    [
        ("afqmc", 25182, 2, True), ("aspect", 30440, 3, True), ("atis", 4478, 21, False),
        ("banking77", 8003, 77, False), ("bustm", 128, 2, True), ("clinc150", 12000, 160, False),
        ("cluener", 8599, 21, False), ("cluener_prompts", 35734, 2, True), ("cluewsc2020", 160, 2, False),
        ("crosswoz", 3384, 136, False), ("csl", 160, 2, True), ("csldcp", 1629, 67, False),
        ("eprstmt", 160, 2, False), ("hwu64", 6375, 82, False), ("hwu64_slots", 6375, 64, False),
        ("iflytek", 3024, 119, False), ("nlpcc2018", 15372, 11, False), ("ocnli", 6391, 3, True),
        ("restaurant8k", 6559, 11, False), ("smp2020", 24460, 4, False), ("snips", 13084, 7, False),
        ("snli", 6300, 3, True), ("thucnews", 6400, 10, False), ("tnews", 1185, 15, False),
        ("trec", 4362, 56, False), ("wnut17", 2716, 13, False), ("wos", 640, 40, False),
    ],
)  # fmt: skip
def test_the_real_sets_are_read(task: str, rows: int, labels: int, pairs: bool) -> None:
    problems: list[str] = []
    found = build(composed(f"task={task}")["task"], "task", problems, Task)
    assert problems == []
    found.check()
    assert (len(found.texts("train")), len(found.outputs()[0].labels), found.pairs) == (rows, labels, pairs)
