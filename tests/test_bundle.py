"""The folder that is deployed: it answers as Pare scored it, alone, whichever way texts reach it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pare.bundle import replacing, write_bundle
from pare.bundled.predict import BATCH, Predictor, session_of
from pare.checkpoint import SHIPPED, Checkpoint, Format
from pare.errors import StoreFull
from pare.runtimes.session import RUNTIMES, session_module
from pare.stages.export import Export
from pare.targets.hardware import Hardware
from small import HARDWARE, TASK, pipeline
from test_files import tmpfs

WITH_GPU = ("tokenizers", "numpy", "nvidia-ml-py")


class Made(NamedTuple):
    folder: Path
    texts: list[str]
    answers: list[dict[str, Any]]  # as they were scored


@pytest.fixture(scope="module")
def made(root: Path, finetuned: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Made:
    entry, _ = pipeline(root).produce(Export(), {"model": finetuned})
    graph = Checkpoint(entry.path, entry.digest)
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    write_bundle(folder, graph, False, {"task": TASK.name}, HARDWARE)
    return Made(folder, list(TASK.texts("test")), pipeline(root).score(graph, "test")[1])


def test_two_processes_may_write_the_same_bundle(made: Made, tmp_path: Path) -> None:
    """Each fills a folder of its own; what fails leaves nothing, and what was killed long ago goes."""
    graph, folder = Checkpoint(made.folder, ""), tmp_path / "bundle"
    old = tmp_path / ".bundle.0123abcd.unfinished"
    old.mkdir()
    os.utime(old, (0, 0))
    with replacing(folder) as ours:
        write_bundle(folder, graph, False, {"task": "theirs"}, HARDWARE)
        (ours / "bundle.json").write_text("ours", "utf-8")
    assert (folder / "bundle.json").read_text("utf-8") == "ours"
    with pytest.raises(ValueError, match="JSON compliant"):
        write_bundle(folder, graph, False, {"score": float("nan")}, HARDWARE)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_disk_that_fills_keeps_the_bundle_before(made: Made, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=64k") as disk:
        with replacing(disk / "bundle") as before:
            (before / "bundle.json").write_text("before", "utf-8")
        with pytest.raises(StoreFull, match=rf"the disk is full: {disk} has .* MB free, bundle needs more"):
            write_bundle(disk / "bundle", Checkpoint(made.folder, ""), False, {}, HARDWARE)
        assert [path.name for path in disk.iterdir()] == ["bundle"]
        assert (disk / "bundle" / "bundle.json").read_text("utf-8") == "before"


def predict(
    folder: Path,
    guard: Path,
    *texts: str,
    stdin: bytes = b"",
    hidden: tuple[str, ...] = (),
    used: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """What the bundle's script prints where Pare, PyTorch and what is `hidden`, but not `used`, is absent."""
    absent = {"torch", "transformers", "onnx", "pare", *hidden} - {*used}
    (guard / "sitecustomize.py").write_text(
        f"import sys\nfor name in {sorted(absent)}:\n    sys.modules[name] = None\n"
    )
    finished = subprocess.run(
        [sys.executable, str(folder / "predict.py"), *texts],
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(guard)},
        cwd=guard,
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return [json.loads(line) for line in finished.stdout.decode("utf-8").splitlines()]


def with_texts(made: Made, count: int) -> list[dict[str, Any]]:
    pairs = zip(made.texts[:count], made.answers[:count], strict=True)
    return [{"text": text, **answer} for text, answer in pairs]


def test_arguments_are_answered_as_scored(made: Made, tmp_path: Path) -> None:
    assert predict(made.folder, tmp_path, *made.texts[:5]) == with_texts(made, 5)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_lines_of_standard_input_are_answered_as_scored(made: Made, tmp_path: Path, end: str) -> None:
    """More of them than a batch holds."""
    lines = end.join(made.texts).encode("utf-8")
    assert predict(made.folder, tmp_path, stdin=lines) == with_texts(made, len(made.texts))


def test_standard_input_is_utf8_whatever_the_terminal_speaks(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert predict(made.folder, tmp_path, stdin=made.texts[0].encode("utf-8")) == with_texts(made, 1)


def test_odd_texts_have_answers_too(made: Made, tmp_path: Path) -> None:
    texts = ["", " ", "字" * 500, "\N{GRINNING FACE}", "\u0627\u0644\u0639"]
    answers = predict(made.folder, tmp_path, *texts)
    assert [answer["text"] for answer in answers] == texts
    assert [answer.get("truncated") for answer in answers] == [None, None, True, None, None]
    for text, answer in zip(texts, answers, strict=True):
        assert all(0 <= slot["start"] < slot["end"] <= len(text) for slot in answer["slots"])


def test_what_is_not_utf8_is_answered_as_an_argument_as_in_a_line(made: Made, tmp_path: Path) -> None:
    gbk = "播放周华健的花心".encode("gbk")
    (found,) = predict(made.folder, tmp_path, os.fsdecode(gbk))
    assert found["text"] == gbk.decode("utf-8", "replace")
    assert [found] == predict(made.folder, tmp_path, stdin=gbk)


def test_who_has_read_enough_ends_it_without_a_word(made: Made) -> None:
    """As `| head -1` does."""
    with subprocess.Popen(
        [sys.executable, str(made.folder / "predict.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("".join(f"{text}\n" for text in made.texts[:BATCH]).encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == made.texts[0]
        process.stdout.close()
        process.stdin.write(made.texts[0].encode())
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_no_lines_no_answers(made: Made, tmp_path: Path) -> None:
    assert predict(made.folder, tmp_path, stdin=b"\n\n") == []


def test_a_bundle_replaces_the_one_before(made: Made, root: Path, finetuned: Checkpoint) -> None:
    (made.folder / "left over").write_text("")
    entry, _ = pipeline(root).produce(Export(), {"model": finetuned})
    write_bundle(made.folder, Checkpoint(entry.path, entry.digest), False, {"task": "other"}, HARDWARE)
    assert not (made.folder / "left over").exists()
    record = json.loads((made.folder / "bundle.json").read_text(encoding="utf-8"))
    assert record["task"] == "other"
    assert {path.name for path in made.folder.iterdir()} >= {record["model"], record["tokenizer"]}
    assert [path.name for path in made.folder.parent.iterdir()] == ["bundle"]
    needed = (made.folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert {line.partition("==")[0] for line in needed} >= {"numpy", "tokenizers"}


@pytest.mark.parametrize("place", [".", ".."])
def test_its_folder_can_be_imported_from(made: Made, tmp_path: Path, place: str) -> None:
    """From inside it and from beside it: with its own files, where Pare is another version or absent."""
    module = "predict" if place == "." else "bundle.predict"
    code = (
        f"import sys; sys.path.insert(0, {str(made.folder / place)!r})\n"
        "for name in ('pare', 'torch'):\n    sys.modules[name] = None\n"
        f"from {module} import Predictor; print(Predictor.load({str(made.folder)!r}).predict(sys.argv[1:]))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, *made.texts[:2]],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (finished.stdout, finished.stderr) == (f"{made.answers[:2]}\n", "")


@pytest.mark.parametrize("format_", RUNTIMES)
def test_in_pare_the_model_decides_what_runs_it(format_: Format) -> None:
    runs = session_of(SHIPPED[format_][0])
    assert runs.__module__ == session_module(RUNTIMES[format_])


def test_it_runs_as_it_was_measured(made: Made) -> None:
    assert Predictor.load(made.folder).session.threads == 1
    retarget(made.folder, device="cpu", threads=2, options={"providers": [["CPUExecutionProvider", {}]]})
    session = Predictor.load(made.folder).session
    assert (session.threads, session.options) == (2, {"providers": [["CPUExecutionProvider", {}]]})
    assert Predictor.load(made.folder, threads=1).session.threads == 1


def test_where_its_device_is_missing_it_says_so_and_runs_on_another(made: Made) -> None:
    retarget(made.folder, device="cuda", threads=1, options={"providers": [["NoExecutionProvider", {}]]})
    finished = subprocess.run(
        [sys.executable, str(made.folder / "predict.py"), "text"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert "NoExecutionProvider" in line
    assert Predictor.load(made.folder, device="cpu").predict(made.texts[:2]) == made.answers[:2]


def test_a_missing_runtime_is_said_in_one_line(made: Made, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['onnxruntime'] = None\n")
    finished = subprocess.run(
        [sys.executable, str(made.folder / "predict.py"), "text"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"error: onnxruntime is not installed; pip install -r {made.folder / 'requirements.txt'}\n"
    assert (finished.returncode, finished.stderr) == (1, said)


def test_pare_in_a_bundles_folder_takes_its_own_files(made: Made) -> None:
    code = (
        "import sys; from pare.bundled import predict; from pare.runtimes import onnx_session as session; "
        "sys.exit({predict.decode.__module__, session.feed.__module__} != {'pare.decoding', 'pare.feeding'})"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=made.folder, check=False).returncode == 0


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (HARDWARE, ["onnxruntime", "tokenizers", "numpy"]),
        (Hardware(name="there", device="cuda"), ["onnxruntime-gpu[cuda,cudnn]", *WITH_GPU]),
        (
            Hardware(name="there", device="cuda", providers=("TensorrtExecutionProvider",)),
            ["onnxruntime-gpu[cuda,cudnn]", "tensorrt-cu13", *WITH_GPU],
        ),
    ],
)
def test_one_build_of_the_runtime_is_required(
    target: Hardware, wanted: list[str], made: Made, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "bundle", Checkpoint(made.folder, ""), False, {}, target)
    lines = (tmp_path / "bundle" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition("==")[0] for line in lines] == wanted


def retarget(bundle: Path, **target: Any) -> None:
    record = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    (bundle / "bundle.json").write_text(json.dumps({**record, "target": target}), encoding="utf-8")
