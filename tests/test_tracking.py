"""What a tracker is told about a job, read back from what wandb wrote; when it is online."""

import json
from pathlib import Path

import pytest
import wandb

from pare.tracking import Wandb, summary_of
from sample import RESULT
from wandb_files import named, records

CURVE = [{"step": step, "loss": 1 / step, "learning_rate": 1e-3} for step in range(1, 1001)]


def test_a_job_is_mirrored_as_one_run(tmp_path: Path) -> None:
    """A curve longer than a block of wandb's file."""
    tracker = Wandb(mode="offline", project="tests")
    tracker.mirror(RESULT, {"seed": 1, "task": {"name": "small"}}, {"finetune": CURVE}, "group", tmp_path)
    wandb.teardown()  # `finish` returns before the last block of the file is written
    found = records(tmp_path)
    run = next(r.run for r in found if r.WhichOneof("record_type") == "run")
    assert (run.project, run.run_group, run.job_type) == ("tests", "group", "job")
    assert (run.run_id, run.display_name) == ("0123456789abcdef-job", "seed=1 model=micro")
    config = {k: json.loads(v) for k, v in named(run.config.update).items()}
    assert config["task"] == {"name": "small"}
    points = [named(r.history.item) for r in found if r.WhichOneof("record_type") == "history"]
    assert len(points) == len(CURVE)
    for point, logged in zip(CURVE, points, strict=True):
        assert {k: json.loads(logged[f"finetune/{k}"]) for k in point} == point
    summary = {k: json.loads(v) for r in found for k, v in named(r.summary.update).items()}
    assert summary.items() >= summary_of(RESULT).items()


def test_the_summary_is_a_fixed_set_of_numbers() -> None:
    found = summary_of(RESULT)
    assert found["dev/width/exact_match"] == 0.5
    assert found["delta/width/exact_match"] == -0.25
    assert "delta/finetune/exact_match" not in found
    assert found["test/exact_match"] == 0.5
    assert found["baseline/test/exact_match"] == 0.625
    assert (found["size_mb"], found["baseline/size_mb"]) == (1.5, 6.0)
    assert found["latency_ms/p50"] == 0.5
    assert found["memory_mb"] is None
    assert [found[f"speedup/{k}"] for k in ("low", "median", "high")] == [2.5, 3.0, 3.5]


@pytest.mark.parametrize(
    ("mode", "environment", "netrc", "online"),
    [
        ("auto", {}, "", False),
        ("auto", {"WANDB_API_KEY": "key"}, "", True),
        ("auto", {"WANDB_API_KEY": "key", "WANDB_MODE": "offline"}, "", False),
        ("auto", {}, "machine api.wandb.ai login user password key", True),
        ("auto", {}, "no netrc at all", False),
        ("offline", {"WANDB_API_KEY": "key"}, "", False),
        ("online", {}, "", True),
    ],
)
def test_auto_is_online_where_there_is_a_key(
    mode: str,
    environment: dict[str, str],
    netrc: str,
    online: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc)
    (tmp_path / ".netrc").chmod(0o600)
    assert Wandb(mode=mode).online() is online  # type: ignore[arg-type]
