"""The comparison with other tools: what its table and its claims say of cells."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

peers = pytest.importorskip("peers")

OURS, RIVAL, WORSE, BROKEN = "pare/INT8", "ort/optimized", "ort/plain", "olive/static"


def cell(name: str, slower: float, points: float = 0.0, size_mb: float = 22.9) -> dict[str, Any]:
    sure = {"mean": points, "low": points - 0.5, "high": points + 0.5}
    ratio = {"median": slower, "low": slower - 0.1, "high": slower + 0.1}
    timing = {"p50_ms": slower, "ratio": ratio, "integers": 0.97}
    return {
        "name": name,
        "version": "1.0",
        "accuracy": 0.93,
        "above_fp32": sure,
        "above_pare": sure,
        "size_mb": size_mb,
        "batches": {"1": timing, "32": timing},
    }


def found() -> dict[str, Any]:
    cells = [cell(OURS, 1.0), cell(RIVAL, 0.8), cell(WORSE, 0.5, points=-2.0)]
    failed = {"name": BROKEN, "version": "0.13.0", "failed": "pip: a depends on b"}
    return {**{c["name"]: c for c in cells}, BROKEN: failed}


def test_a_row_for_each_graph_and_for_each_failure() -> None:
    lines = peers.table(found()).splitlines()
    assert len(lines) == 6
    assert len({line.count("|") for line in lines}) == 1
    assert lines[3].startswith(
        "| ort | optimized | 1.0 | 93.00 | +0.00 [-0.50, +0.50] | 0.80 | 0.80 [0.70, 0.90]"
    )
    assert "pip: a depends on b" in lines[5]


def test_who_is_faster_for_certain_at_equal_quality_beats_pare() -> None:
    lines = {claim.says: claim.line() for claim in peers.claims(found())}
    beaten = [says for says in lines if "over ort/" in says]
    assert beaten == [
        f"batch {batch}: latency of Pare's INT8 over {RIVAL}, at least" for batch in peers.BATCHES
    ]
    assert all(lines[says].endswith("1.111 | ≤ 1 | falls short") for says in beaten)


def test_a_peer_that_was_not_tried_is_a_claim_that_falls_short() -> None:
    lines = [claim.line() for claim in peers.claims(found())]
    missing = [line for line in lines if line.endswith("| falls short (not run)")]
    assert len(missing) == len(peers.peers()) - 3


def test_without_its_data_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PARE_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["peers.py", "--quick"])
    peers.main()
    out, err = capsys.readouterr()
    assert "PARE_DATA" in err
    lines = [line for line in out.splitlines() if "| falls short (not run)" in line]
    assert len(lines) == 3 + len(peers.peers())


def test_the_reason_of_a_failure_is_one_line() -> None:
    clash = "\nThe conflict is caused by:\n    a 1 depends on b<2\n    The user requested b==3\n"
    assert peers.reason(clash, "ERROR: ResolutionImpossible") == "a 1 depends on b<2"
    assert peers.reason("", "Traceback\n  File\nModuleNotFoundError: No module named 'x'").endswith(
        "named 'x'"
    )
