"""Around the job: what Hydra itself refuses, what starts without PyTorch, and jobs that refer to Hydra."""

from pathlib import Path

import pytest

from commands import TINY, fresh, job, result_of, run, status_of


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which `import torch` fails."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n", encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--cfg", "job"), ("--version",), ("--info", "defaults")], ids=lambda a: a[0]
)
def test_what_only_shows_needs_no_torch(without_torch: dict[str, str], arguments: tuple[str, ...]) -> None:
    finished = fresh(*arguments, env=without_torch)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model=nope", "model/nope"),
        ("model=null", "Config group override must be a string or a list"),
        ("train.step=1", "train.step"),
        ("a=[", "a=["),
        ("hydra.run.dir={file}/x", "Not a directory: '{file}/x'"),
    ],
)
def test_what_hydra_refuses_is_one_line_without_torch(
    tmp_path: Path, without_torch: dict[str, str], override: str, says: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    file = str(tmp_path / "file")
    finished = fresh(f"hydra.run.dir={tmp_path / 'job'}", override.format(file=file), env=without_torch)
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    assert says.format(file=file) in line


def test_what_is_missing_altogether_is_listed_with_the_rest(tmp_path: Path) -> None:
    finished = job(
        tmp_path, "~task", "~tracker", "~compression", "seed=true", "train.learning_rate=nan",
        "measure.launches=0",
    )  # fmt: skip
    assert finished.returncode == 2
    lines = finished.stderr.splitlines()
    for start in (
        "error: task: missing",
        "error: tracker: missing",
        "error: compression: missing",
        "error: seed: found True; a whole number is needed",
        "error: train.learning_rate: found nan; a number is needed",
        "error: measure.launches=0",
    ):
        assert sum(line.startswith(start) for line in lines) == 1, (start, lines)
    assert len(lines) == 6


@pytest.mark.parametrize(("given", "order"), [(None, "PCI_BUS_ID"), ("FASTEST_FIRST", "FASTEST_FIRST")])
def test_gpus_are_numbered_as_nvidia_smi_lists_them(
    given: str | None, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless somebody wants it otherwise."""
    monkeypatch.setenv("CUDA_DEVICE_ORDER", given or "")
    if given is None:
        monkeypatch.delenv("CUDA_DEVICE_ORDER")
    finished = run("--cfg", "job", "--resolve", "name=${oc.env:CUDA_DEVICE_ORDER}")
    assert finished.returncode == 0, finished.stderr
    assert f"\nname: {order}\n" in f"\n{finished.stdout}"


def test_jobs_may_refer_to_hydra_and_a_batch_does_not_stop_the_next(tmp_path: Path) -> None:
    """Interpolations in overrides, folders named otherwise, and jobs in batches of one, the first failing."""
    finished = run(
        "-m", *TINY, "compression=none", "train.learning_rate=1e30,1e-3",
        "hydra.sweeper.max_batch_size=1", "hydra.sweep.subdir=job-${hydra.job.num}",
        "name=${hydra:runtime.choices.model}", "train.batch_size=${measure.texts}",
        f"store.root={tmp_path / 'store'}", f"hydra.sweep.dir={tmp_path / 'jobs'}",
    )  # fmt: skip
    assert finished.returncode == 1, finished.stderr
    line, last = finished.stderr.splitlines()
    assert line.startswith("error: fine-tuning ")
    assert last == "error: 1 of 2 jobs have no result; the same command tries them again"
    assert status_of(tmp_path / "jobs" / "job-0")["state"] == "failed"
    result = result_of(tmp_path / "jobs" / "job-1")
    assert result["name"] == "micro"
    assert "batch_size: 20\n" in (tmp_path / "jobs" / "job-1" / "config.yaml").read_text(encoding="utf-8")
    assert "failed: fine-tuning" in finished.stdout
    assert "4 stages, 4 distinct, 2 computed" in finished.stdout
    assert "not started" not in finished.stdout
