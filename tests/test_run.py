"""`python run.py` as a user runs it: what it prints, leaves behind, and takes from the store again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from commands import SMALL, fresh, job, result_of, run, status_of, within
from pare.store import Store

STAGES = ["finetune", "width", "distill", "export", "quantize"]


class Done(NamedTuple):
    store: Path
    folder: Path
    output: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The default strategy on a few steps."""
    root = tmp_path_factory.mktemp("run")
    finished = fresh(*within(root), *SMALL)
    assert finished.returncode == 0, finished.stderr
    return Done(root / "store", root / "job", finished.stdout)


def test_the_result_holds_its_contract(done: Done) -> None:
    result = result_of(done.folder)
    assert result["schema"] == "pare/result@1"
    assert {"name", "key", "overrides", "seed", "environment", "stages", "primary"} <= result.keys()
    assert [stage["name"] for stage in result["stages"]] == STAGES
    for stage in result["stages"]:
        assert {"kind", "key", "cached", "seconds", "format", "params", "size_mb", "gate"} <= stage.keys()
        assert set(stage["scores"]) == {"exact_match", "intent_accuracy", "slot_f1"}
        assert stage["params"] > 0
    assert result["stages"][-1]["delta"].keys() == {"previous", "baseline"}
    for measured in (result["measurement"], result["baseline"]["measurement"]):
        assert measured["latency_ms"]["p50"] <= measured["latency_ms"]["p90"]
        assert measured["latency_ms"]["n"] > 0
        assert measured["conditions"]["seconds"] > 0
        assert measured["control"]["low"] <= measured["control"]["high"]
        assert {"runtime", "device", "precision", "threads", "batch", "length"} <= measured.keys()
        assert measured["size_mb"] > 0
    speedup = result["measurement"]["speedup"]
    assert speedup["low"] <= speedup["median"] <= speedup["high"]
    assert result["measurement"]["precision"] == "int8"
    assert result["baseline"]["measurement"]["precision"] == "fp32"
    assert result["measurement"]["size_mb"] < result["baseline"]["measurement"]["size_mb"] / 4


def test_the_folder_says_what_was_run_and_that_it_is_done(done: Done) -> None:
    status = status_of(done.folder)
    assert status["state"] == "done"
    assert status["overrides"] == result_of(done.folder)["overrides"]
    config = (done.folder / "config.yaml").read_text(encoding="utf-8")
    assert "_target_: pare.stages.width.Width" in config
    assert "${" not in config


def test_the_tables_name_every_stage_and_the_comparison(done: Done) -> None:
    for word in (*STAGES, "exact_match", "latency p50", "latency p90", "throughput", "size", "memory"):
        assert word in done.output
    assert str(done.folder / "bundle") in done.output


def test_the_same_command_again_computes_nothing(done: Done, tmp_path: Path) -> None:
    again = run(*SMALL, f"store.root={done.store}", f"hydra.run.dir={tmp_path}")
    assert again.returncode == 0, again.stderr
    first, second = result_of(done.folder), result_of(tmp_path)
    assert all(stage["cached"] for stage in second["stages"])
    assert [s["key"] for s in first["stages"]] == [s["key"] for s in second["stages"]]
    assert first["scores"] == second["scores"]
    assert first["measurement"] == second["measurement"]


@pytest.mark.parametrize("lost", ["Broken pipe", "Input/output error"])
def test_a_run_that_nobody_reads_any_more_is_done_all_the_same(done: Done, tmp_path: Path, lost: str) -> None:
    """`python run.py | head -3`; a terminal that is gone."""
    reader, writer = os.pipe() if lost == "Broken pipe" else os.openpty()
    os.close(reader)
    try:
        again = run(*SMALL, f"store.root={done.store}", f"hydra.run.dir={tmp_path}", to=writer)
    finally:
        os.close(writer)
    assert again.returncode == 0, again.stderr
    assert again.stderr == f"standard output: {lost}; the work goes on without it\n"
    assert status_of(tmp_path)["state"] == "done"
    assert result_of(tmp_path)["scores"] == result_of(done.folder)["scores"]


def test_a_terminal_that_lacks_a_character_costs_no_result(done: Done, tmp_path: Path) -> None:
    where = (f"store.root={done.store}", f"hydra.run.dir={tmp_path}")
    again = fresh(*SMALL, *where, env={"PYTHONIOENCODING": "ascii"})
    assert again.returncode == 0, again.stderr
    assert "\\u0394 previous" in again.stdout
    assert status_of(tmp_path)["state"] == "done"


def test_the_same_seed_in_another_store_gives_the_same_bits(done: Done, tmp_path: Path) -> None:
    other = job(tmp_path, *SMALL)
    assert other.returncode == 0, other.stderr

    def digests(store: Path) -> dict[str, str]:
        return {e.key: e.digest for e in Store(store).entries() if e.kind == "checkpoint"}

    assert digests(tmp_path / "store") == digests(done.store)


def test_the_bundle_runs_without_pare_or_torch(done: Done, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('torch', 'transformers', 'pare'):\n    sys.modules[name] = None\n"
    )
    entry = next(
        e for e in Store(done.store).entries()
        if e.kind == "scores" and e.meta["split"] == "test" and e.meta["checkpoint"] == final_digest(done)
    )  # fmt: skip
    scored = json.loads((entry.path / "scores.json").read_text(encoding="utf-8"))["answers"][:3]
    texts = texts_of_test()[:3]
    finished = subprocess.run(
        [sys.executable, str(done.folder / "bundle" / "predict.py"), *texts],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [a.pop("text") for a in answers] == texts
    assert answers == scored


def final_digest(done: Done) -> str:
    key = result_of(done.folder)["stages"][-1]["key"]
    entry = Store(done.store).get(key)
    assert entry is not None
    return entry.digest


def texts_of_test() -> list[str]:
    from pare.tasks.car import generate

    return [u.text for u in generate("zh", 0, {"test": 80})["test"]]


def test_a_damaged_checkpoint_is_found_and_made_again(done: Done, tmp_path: Path) -> None:
    """Last in this file: it damages the store."""
    width = result_of(done.folder)["stages"][1]["key"]
    file = done.store / "objects" / width[:2] / width / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    command = [sys.executable, "-m", "pare.cli", "store", "--root", str(done.store)]
    finished = run(*SMALL, f"store.root={done.store}", f"hydra.run.dir={tmp_path}")
    assert finished.returncode == 0, finished.stderr
    cached = {stage["name"]: stage["cached"] for stage in result_of(tmp_path)["stages"]}
    assert cached == {"finetune": True, "width": False, "distill": True, "export": True, "quantize": True}
    listed = subprocess.run([*command, "ls"], capture_output=True, text=True, check=True).stdout
    assert "stage=finetune" in listed
    file.write_bytes(b"torn")
    verified = subprocess.run([*command, "verify"], capture_output=True, text=True, check=False)
    assert verified.returncode == 1
    assert width in verified.stdout
    assert "1 damaged" in verified.stdout
    collected = subprocess.run([*command, "gc"], capture_output=True, text=True, check=True).stdout
    assert "damaged: " in collected
