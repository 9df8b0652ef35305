"""`pare evaluate`: a bundle judged and measured elsewhere joins the study as if it had run at home."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import TINY, result_of, status_of
from pare.bundle import write_bundle
from pare.bundled.predict import Predictor
from pare.cli import main
from pare.composition import composed, key_of, plain
from pare.errors import ConfigError, TargetError
from pare.evaluating import fitted, runnable, target_of
from pare.evaluation import candidate, read_evaluation
from pare.experiment import run
from pare.moving import moved
from pare.provenance import split_digest
from pare.study.collecting import collect
from pare.targets.conditions import lease
from pare.targets.hardware import Automatic, Hardware
from small import HARDWARE, OPENVINO

HEAVY = ("torch", "transformers", "nncf", "torch_pruning", "accelerate", "onnx")
JOB = (*TINY, "compression=int8", "train.steps=150", "train.learning_rate=3e-3", "hardware.batch=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job whose store is gone."""
    root = tmp_path_factory.mktemp("home")
    job = [*JOB, f"store.root={root / 'store'}"]
    (root / "job").mkdir()
    run(plain(composed(job)), job, root / "job", "group")
    shutil.rmtree(root / "store")
    return root / "job"


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(home / "bundle", tmp_path / "moved"))


def refused(bundle: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """What is said of a bundle that cannot be evaluated, in one line, before anything is written."""
    out = bundle.parent / "out"
    assert main(["evaluate", str(bundle), *overrides, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not out.exists()
    return line


def test_it_scores_as_at_home_without_anything_that_training_needs(
    home: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nfor name in {HEAVY}:\n    sys.modules[name] = None\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = "import sys; from pare.cli import main; sys.exit(main(sys.argv[1:]))"
    finished = subprocess.run(
        [sys.executable, "-c", code, "evaluate", str(bundle), "--out", "away"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    for word in ("exact_match", "latency p50", "result  away/result.json"):
        assert word in finished.stdout
    there, here = result_of(home), result_of(tmp_path / "away")
    assert there.keys() == here.keys()
    for same in ("schema", "name", "key", "overrides", "seed", "task", "primary", "tried", "scores"):
        assert here[same] == there[same], same
    assert 0 < here["scores"]["intent_accuracy"] < 1
    assert here["baseline"]["scores"].keys() == there["baseline"]["scores"].keys()
    assert here["stages"] == [{**stage, "cached": True} for stage in there["stages"]]
    assert here["environment"]["threads"] == there["environment"]["threads"]
    for key in ("hardware", "precision", "lowering", "threads", "batch", "length", "size_mb"):
        assert here["measurement"][key] == there["measurement"][key], key
    assert status_of(tmp_path / "away")["state"] == "done"
    assert (tmp_path / "away" / "config.yaml").read_text() == (home / "config.yaml").read_text()
    study = collect([home, tmp_path / "away"])
    assert study.done[0][0].folder == tmp_path / "away"  # the same job, and later
    assert "is left out" in study.notes[0]


def test_told_to_end_it_says_so_and_leaves_nothing_behind(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    code = "import sys; from pare.cli import main; sys.exit(main(sys.argv[1:]))"
    with (
        lease("cpu"),  # so that it waits once it has begun
        subprocess.Popen(
            [sys.executable, "-c", code, "evaluate", str(bundle), "--out", str(tmp_path / "away")],
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stderr is not None
        said = [next(line for line in process.stderr if "waits for another measurement" in line)]
        assert status_of(tmp_path / "away")["state"] == "running"
        process.terminate()
        said += process.stderr
    assert process.returncode == 143, said
    assert status_of(tmp_path / "away")["state"] == "interrupted"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_on_other_hardware_it_is_the_job_that_home_would_run_there(
    home: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pare.targets.processor.features", lambda: frozenset({"avx2"}))
    out = bundle.parent / "away"
    chosen = ["hardware=cpu", "hardware.threads=1", "measure.launches=3"]
    assert main(["evaluate", str(bundle), "--out", str(out), *chosen]) == 0
    result = result_of(out)
    kept = [o for o in result_of(home)["overrides"] if not o.startswith("hardware")]
    assert result["overrides"] == [*kept, *chosen]
    config = plain(composed(result["overrides"]))
    assert yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8")) == config
    assert result["key"] == key_of(config) != result_of(home)["key"]
    assert (result["measurement"]["hardware"], result["measurement"]["batch"]) == ("cpu", 1)
    assert result["scores"] == result_of(home)["scores"]
    (warned,) = [r.getMessage() for r in caplog.records if r.name == "pare.evaluating"]
    assert warned.startswith(f"{bundle}/model.onnx is int8, but this CPU has no instructions for INT8")


def test_labelled_texts_of_ones_own_are_scored_in_place_of_test(home: Path, bundle: Path) -> None:
    """In the form in which predict.py answers; the result is of other rows, and so another."""
    known = read_evaluation(bundle)
    data, out = bundle.parent / "own.jsonl", bundle.parent / "away"
    half = list(zip(known.texts, known.truths, strict=True))[::2]
    data.write_text("".join(f"{json.dumps({'text': text, **truth})}\n" for text, truth in half))
    assert main(["evaluate", str(bundle), "--data", str(data), "--out", str(out), "measure.launches=2"]) == 0
    result, before = result_of(out), result_of(home)
    assert (result["scored_on"], before["scored_on"]) == (str(data), "test")
    assert result["key"] == status_of(out)["key"] != before["key"]
    assert result["split"] == split_digest(known.texts[::2], known.truths[::2]) != before["split"]
    texts, truths = zip(*half, strict=True)
    assert result["scores"] == known.judge.score(truths, Predictor.load(bundle).predict(texts))
    assert len(collect([home, out]).done) == 2


def test_how_many_texts_are_cut_is_told_wherever_they_are_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = "texts longer than max_length=8 are cut to that: "
    job = [
        *TINY,
        "compression=none",
        "train.steps=2",
        "task.max_length=8",
        f"store.root={tmp_path / 'store'}",
    ]
    run(plain(composed(job)), job, tmp_path, "group")
    (said,) = [r.getMessage() for r in caplog.records if r.name == "pare.targets.answers"]
    whole, predictor = read_evaluation(tmp_path / "bundle"), Predictor.load(tmp_path / "bundle")
    cut = sum("truncated" in answer for answer in predictor.predict(whole.texts))
    assert 0 < cut < len(whole.texts)
    assert re.fullmatch(rf"{told}\d+ of 60 \(dev\), {cut} of 80 \(test\)", said)
    caplog.clear()
    data = tmp_path / "own.jsonl"
    answers = predictor.predict(texts := [whole.texts[0], "a text of many more words than eight"])
    rows = [{"text": text, **answer} for text, answer in zip(texts, answers, strict=True)]
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    out = str(tmp_path / "away")
    assert main(["evaluate", str(tmp_path / "bundle"), "--data", str(data), "--out", out]) == 0
    (said,) = [r.getMessage() for r in caplog.records if r.name == "pare.targets.answers"]
    assert re.fullmatch(rf"{told}[12] of 2 \({data}\)", said)


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ([], []),
        ([], ["hardware=cpu"]),
        (["hardware=cpu", "hardware.batch=8"], ["hardware=cpu_1thread"]),
        (["hardware.batch=8"], ["hardware.length=16"]),
        (["experiment=uie"], ["hardware=cpu"]),
        (["sweep=seeds", "measure.seconds=7"], ["measure.launches=3"]),
        (["measure.launches=7"], ["measure=strict"]),
        (["task.max_length=24"], ["hardware.length=${task.max_length}"]),
    ],
)
def test_a_job_on_another_target_is_what_its_overrides_compose(
    typed: list[str], given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARE_DATA", "somewhere")
    move = moved(plain(composed(typed)), typed, given)
    assert move.config == plain(composed(move.overrides))
    assert move.hardware.name == move.config["hardware"]["name"]


@pytest.mark.parametrize(
    "typed", ["experiment=nowhere", "sweep=nowhere", "hardware=nowhere", "measure=nowhere"]
)
def test_what_is_not_chosen_needs_no_file_of_its_own(typed: str) -> None:
    """A YAML of one's own, or one that says something else by now: the bundle has all that it said."""
    home = plain(composed(["hardware=cpu", "hardware.name=ours", "hardware.batch=8", "measure.seconds=7"]))
    assert moved(home, [typed], []).config == home
    move = moved(home, [typed], ["hardware.threads=1", "measure.launches=3", "hardware.length=16"])
    hardware, measure = ({**home[key]} for key in ("hardware", "measure"))
    assert move.config == {
        **home,
        "hardware": {**hardware, "threads": 1, "length": 16},
        "measure": {**measure, "launches": 3},
    }
    assert (move.hardware.name, move.hardware.threads, move.measure.seconds) == ("ours", 1, 7)
    assert move.overrides[0] == typed


def test_one_group_chosen_leaves_the_other_as_it_was() -> None:
    home = plain(composed(["hardware.name=ours"]))
    move = moved(home, ["hardware=nowhere"], ["measure=strict"])
    assert move.config["hardware"] == home["hardware"]
    assert move.config["measure"] == plain(composed(["measure=strict"]))["measure"]
    assert move.overrides == ["hardware=nowhere", "measure=strict"]


def test_an_experiment_that_another_target_needs_and_that_is_not_here_is_named() -> None:
    with pytest.raises(ConfigError) as refused:
        moved(plain(composed([])), ["experiment=nowhere"], ["hardware=cpu"])
    (line,) = refused.value.problems
    assert line.startswith(
        "experiment=nowhere: may set keys of any target, so hardware=cpu cannot be composed"
    )
    assert "Could not find 'experiment/nowhere'" in line


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("task=car_en", "task=car_en: hardware and measure can be chosen here"),
        ("seed=1", "seed=1: hardware and measure can be chosen here"),
        ("hardware=nowhere", "Could not find 'hardware/nowhere'"),
        ("hardware.speed=1", "Could not override 'hardware.speed'"),
        ("+hardware.speed=1", "hardware.speed: Hardware has no such key"),
        ("hardware.threads=0", "hardware.threads=0: must be at least 1"),
        ("hardware.threads=4096", "hardware.threads: 4096 asked for"),
        ("hardware=cpu,cpu_1thread", "hardware=cpu,cpu_1thread"),
        ("hardware", "hardware"),
        ("~hardware", "hardware: found None; a group of keys is needed"),
        ("measure=5", "Config group override must be a string or a list"),
        ("hardware.length=${nope}", "hardware.length: Interpolation key 'nope' not found"),
        ("measure.launches=1", "measure.launches=1: at least 2 are needed"),
        ("hardware.batch=80", "hardware.batch: 80 texts asked for, but 20 are timed"),
        ("hardware.length=128", "hardware.length: 128 tokens asked for, but the model reads at most 64"),
        ("hardware=cuda", "hardware=cuda: {bundle}/model.onnx runs on cpu, not on cuda"),
    ],
)
def test_what_cannot_be_chosen_is_said(
    bundle: Path, override: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told.format(bundle=bundle) in refused(bundle, capsys, override)


def test_another_runtime_needs_another_graph(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert OPENVINO.runtime == "openvino"
    said = refused(bundle, capsys, "hardware=openvino")
    assert said == (
        f"error: hardware=openvino: openvino runs openvino graphs, but {bundle}/model.onnx is onnx; "
        "a target whose runtime takes that is needed"
    )


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            "v100",
            "hardware=v100: {bundle}/model.onnx is int8, but V100 (volta, compute capability 7.0) has no",
        ),
        ("tensorrt", "hardware=tensorrt: the bundle's graphs have operators of ONNX Runtime's own"),
    ],
)
def test_what_a_gpu_cannot_run_is_said_before_one_is_looked_for(
    bundle: Path, tmp_path: Path, target: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = read_evaluation(bundle)
    elsewhere = replace(known, home=replace(known.home, devices=("cpu", "cuda")))
    write_bundle(tmp_path / "again", candidate(bundle), False, {}, HARDWARE, elsewhere)
    said = refused(tmp_path / "again", capsys, f"hardware={target}")
    assert said.startswith(f"error: {told.format(bundle=tmp_path / 'again')}")


def test_tensorrt_is_told_of_the_texts_and_keeps_an_engine_for_each_graph(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PARE_STORE", "~/store")
    tensorrt: Any = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    target = Hardware(name="there", device="cuda", providers=tensorrt)
    known = read_evaluation(bundle)
    (plain,) = runnable(known.baselines, target)
    folders = set()
    for checkpoint in (candidate(bundle), plain):
        ready, there = fitted(checkpoint, known.texts, target)
        told = there.session_options(ready)["providers"][0][1]
        assert told["trt_profile_max_shapes"] == "input_ids:32x48,attention_mask:32x48"
        folders.add(told["trt_engine_cache_path"])
    assert len(folders) == 2
    assert all(folder.startswith(f"{tmp_path}/store/cache/tensorrt/") for folder in folders)


def test_a_bundle_that_says_nothing_of_operators_is_read(bundle: Path) -> None:
    file = bundle / "evaluation" / "home.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record.pop("standard") is False
    file.write_text(json.dumps(record))
    assert read_evaluation(bundle).home.standard


def test_auto_is_the_runtime_of_the_graph_here_or_not(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_of(candidate(bundle), Automatic(name="auto")).runtime == "onnxruntime"
    file = bundle / "checkpoint.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"format": "onnx"', '"format": "openvino"'))
    monkeypatch.setattr("pare.targets.hardware.find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"^hardware\.runtime: openvino is not installed"):
        target_of(candidate(bundle), Automatic(name="auto")).check()
    with pytest.raises(ConfigError, match=r"^hardware\.device=cuda: runtime=openvino runs on the cpu here$"):
        target_of(candidate(bundle), Automatic(name="auto", device="cuda"))


def test_auto_on_a_gpu_is_the_provider_that_the_graph_was_made_for(bundle: Path) -> None:
    cuda = Automatic(name="auto", device="cuda")
    assert target_of(candidate(bundle), cuda).way == "onnxruntime"
    file = bundle / "bundle.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["target"]["options"] = {
        "providers": [["TensorrtExecutionProvider", {}], ["CUDAExecutionProvider", {}]]
    }
    file.write_text(json.dumps(record), encoding="utf-8")
    assert target_of(candidate(bundle), cuda).way == "tensorrt"


def without_evaluation(bundle: Path) -> None:
    shutil.rmtree(bundle / "evaluation")


def without_model(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()


def cut_short(bundle: Path) -> None:
    rows = bundle / "evaluation" / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-20])


def of_tomorrow(bundle: Path) -> None:
    file = bundle / "evaluation" / "home.json"
    file.write_text(file.read_text(encoding="utf-8").replace("evaluation@1", "evaluation@9"))


def no_json(bundle: Path) -> None:
    (bundle / "evaluation" / "home.json").write_text("version https://git-lfs.github.com/spec/v1")


def poorer(bundle: Path) -> None:
    file = bundle / "evaluation" / "home.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    del record["seed"], record["stages"]
    file.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (shutil.rmtree, "{bundle}: no such folder; a bundle that a run wrote is needed"),
        (
            without_evaluation,
            "{bundle}/evaluation: not found; it is left in a bundle by a run with bundle",
        ),
        (without_model, "{bundle}/model.onnx: not found; the bundle is incomplete, copy it again"),
        (cut_short, "{bundle}/evaluation/rows.jsonl: its digest is "),
        (
            of_tomorrow,
            "{bundle}/evaluation/home.json: schema 'pare/evaluation@9'; this version of",
        ),
        (no_json, "{bundle}/evaluation/home.json: not an object of JSON; the bundle is damaged"),
        (poorer, "{bundle}/evaluation/home.json: seed, stages missing; the bundle is damaged"),
    ],
)
def test_a_damaged_bundle_is_named(
    bundle: Path, spoil: Callable[[Path], None], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(bundle)
    assert f"error: {told.format(bundle=bundle)}" in refused(bundle, capsys)


def test_a_folder_that_holds_something_is_left_as_it_is(
    home: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = result_of(home)
    assert main(["evaluate", str(bundle), "--out", str(home)]) == 2
    assert "a new folder is needed" in capsys.readouterr().err
    assert result_of(home) == before


def test_a_folder_that_cannot_be_written_is_named(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(bundle), "--out", "/proc/away"]) == 2
    assert "--out: /proc/away: No such file or directory; a writable folder" in capsys.readouterr().err


def test_pairs_and_their_truths_come_back(bundle: Path, tmp_path: Path) -> None:
    """A bundle is a checkpoint too."""
    known = read_evaluation(bundle)
    pairs = replace(known, texts=[("one\u2028line", "\N{GRINNING FACE}")], truths=[{"label": "x"}])
    write_bundle(tmp_path / "again", candidate(bundle), True, {}, HARDWARE, pairs)
    found = read_evaluation(tmp_path / "again")
    assert (found.texts, found.truths, found.judge) == (pairs.texts, pairs.truths, known.judge)
    assert [one.record for one in found.baselines] == [one.record for one in known.baselines]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_baseline_is_linked_where_the_file_system_allows_it(
    bundle: Path, tmp_path: Path, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*files: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not allowed:
        monkeypatch.setattr(os, "link", refuse)
    known = read_evaluation(bundle)
    write_bundle(tmp_path / "again", candidate(bundle), False, {}, HARDWARE, known)
    for old, new in zip(known.baselines, read_evaluation(tmp_path / "again").baselines, strict=True):
        assert old.model_file.read_bytes() == new.model_file.read_bytes()
        assert old.model_file.samefile(new.model_file) == allowed
    assert not (tmp_path / "again" / "model.onnx").samefile(bundle / "model.onnx")


def test_an_unwritten_evaluation_leaves_the_bundle_before(bundle: Path, tmp_path: Path) -> None:
    known = read_evaluation(bundle)
    write_bundle(tmp_path / "again", candidate(bundle), False, {"task": "before"}, HARDWARE)
    assert not (tmp_path / "again" / "evaluation").exists()
    with pytest.raises(ConfigError, match="evaluation: not found"):
        read_evaluation(tmp_path / "again")
    odd = replace(known, texts=[float("nan")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_bundle(tmp_path / "again", candidate(bundle), False, {}, HARDWARE, odd)
    assert json.loads((tmp_path / "again" / "bundle.json").read_text())["task"] == "before"
