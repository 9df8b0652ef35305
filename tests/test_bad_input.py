"""Bad input is one line: which key, what was found, what is allowed. Exit code 2, nothing computed."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import ROOT, TINY, fresh, run, status_of, within


def refused(tmp_path: Path, *overrides: str, env: dict[str, str] | None = None) -> list[str]:
    """The lines of a run that must be refused before anything is computed."""
    given = (*within(tmp_path), *overrides)
    finished = run(*given) if env is None else fresh(*given, env=env)
    lines = finished.stderr.splitlines()
    assert finished.returncode == 2, finished.stderr
    assert lines
    assert all(line.startswith("error: ") for line in lines), finished.stderr
    assert not list((tmp_path / "store").glob("objects/*/*"))
    assert not (tmp_path / "job" / "result.json").exists()
    return [line.removeprefix("error: ") for line in lines]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model=nope", "model/nope"),
        ("compression.width.kep=1", "compression.width.kep"),
        ("+task.nope=1", "task.nope: Slu has no such key"),
        ("compression.width.keep=abc", "compression.width.keep: found 'abc'; a number is needed"),
        ("compression.width.keep=2", "compression.width.keep=2.0: the share that stays, in (0, 1]"),
        ("seed=x", "seed: found 'x'; a whole number is needed"),
        ("~compression/export", "compression.quantize: takes onnx, but distill before it makes torch"),
        ("hardware.threads=512", "hardware.threads: 512 asked for, this machine has"),
        (
            "hardware.batch=600",
            "hardware.batch: 600 texts asked for, but 512 are timed, of those that are scored up to",
        ),
        ("hardware.length=128", "hardware.length: 128 tokens asked for, but the model reads at most 64"),
        ("expect={value: 0.5, metric: bleu}", "expect.metric: no 'bleu'; the task has ['exact_match'"),
        ("compression.width.gate={metric: f2}", "compression.width.gate.metric: no 'f2'; the task has"),
        ("train.patience=2", "train.patience=2: has no effect in a training of 1500 steps, which"),
        ("compression.distill.train.patience=1", "compression.distill.train.patience=1: has no effect in a"),
        ("task=mine", "task.train"),
        ("a=[", "a=["),
        ("store.root=", "store.root: found nothing; a folder is needed"),
        ("task.labels=好", "task.labels=好: '好' needs quotes here: 'task.labels=\"好\"'"),
        ("hydra.run.dir=/proc", "hydra.run.dir: /proc: "),
        ("sweep.dry_run=true", "sweep.dry_run=true: is for sweeps; -m makes one of a single job"),
        ("sweep.timeout_s=60", "sweep.timeout_s=60: is for sweeps; -m"),
        ("sweep.search={objectives: {quality: maximize}}", "}}: is for sweeps; -m"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path: Path, override: str, says: str) -> None:
    (line,) = refused(tmp_path, override)
    assert says in line


def test_families_without_an_adapter_are_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "deberta-v2"}', encoding="utf-8")
    known = "there are bert, distilbert, electra, ernie, modernbert, roberta, xlm-roberta"
    of_a_folder, of_a_student = refused(
        tmp_path, f"model.path={tmp_path}", "compression=distill",
        "compression.distill.student.architecture.family=bart",
    )  # fmt: skip
    assert f"model.path: no adapter for the encoder family 'deberta-v2' ({known})" in of_a_folder
    where = "compression.distill.student.architecture.family"
    assert f"{where}: no adapter for the encoder family 'bart' ({known})" in of_a_student
    assert all("src/pare/encoders/families.py" in line for line in (of_a_folder, of_a_student))


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU here")
def test_an_absent_gpu_is_no_silent_cpu(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, "hardware=cuda", "compression=width")
    assert "needs an NVIDIA GPU and none is found here" in line


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU here")
@pytest.mark.parametrize("train", ["train", "compression.distill.train"])
def test_an_absent_gpu_to_train_on_is_said_before_anything_runs(tmp_path: Path, train: str) -> None:
    (line,) = refused(tmp_path, f"{train}.device=cuda", f"{train}.processes=2")
    told = "cuda asked for, but PyTorch finds no GPU here; auto takes one where there is one"
    assert line == f"{train}.device: {told}"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "task.train: no such file: "),
        ({"train": ""}, "is empty; its first line must name the columns"),
        ({"train": "text\tlabel\n"}, "has a header but no rows"),
        ({"train": "text\tkind\na\tb\n"}, "has no column 'label'; its columns are ['text', 'kind']"),
        ({"train": "text\tlabel\na\tx\nb\ty\nc\n"}, "train.tsv:4: 1 columns, but the header names 2"),
        (
            {
                "train": "text\tlabel\na\tx\nb\ty\n",
                "dev": "text\tlabel\nc\tx\nd\tz\n",
                "test": "text\tlabel\nc\tx\n",
            },
            "dev.tsv:3: label 'z' is not in task.train, which has ['x', 'y']",
        ),
    ],
)
def test_data_files_are_named_with_their_line(tmp_path: Path, files: dict[str, str], says: str) -> None:
    for name, content in files.items():
        (tmp_path / f"{name}.tsv").write_text(content, encoding="utf-8")
    paths = [f"task.{name}={tmp_path / name}.tsv" for name in {"train": "", **files}]
    (line,) = refused(tmp_path, "task=mine", *paths)
    assert says in line


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "https://nowhere.invalid"}])
def test_a_hub_id_out_of_reach_says_how_to_use_a_folder(tmp_path: Path, env: dict[str, str]) -> None:
    (line,) = refused(tmp_path, "model.path=somebody/some-bert", env=env)
    assert "model.path: 'somebody/some-bert' could not be reached on the hub" in line
    assert "set model.path to a local folder with config.json" in line


def test_a_store_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (line,) = refused(tmp_path, f"store.root={tmp_path / 'file'}")
    assert line.startswith("store.root: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_run_says_so_and_can_go_on(tmp_path: Path, number: int, code: int) -> None:
    folder = tmp_path / "job"
    long = [*TINY, "compression=none", "train.steps=100000"]
    where = [f"store.root={tmp_path / 'store'}", f"hydra.run.dir={folder}"]
    process = subprocess.Popen(
        [sys.executable, "run.py", *long, *where],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` has it ignored
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "store").glob("tmp/[0-9a-f]*")):  # a stage is being computed
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
        process.send_signal(number)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert status_of(folder)["state"] == "interrupted"
    assert not (folder / "result.json").exists()
    assert not list((tmp_path / "store").glob("objects/*/*"))
    again = run(*TINY, "compression=none", *where)
    assert again.returncode == 0, again.stderr
