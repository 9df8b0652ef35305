"""The table of a sweep: what each job came to, whatever became of it."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pare.files import write_json
from pare.result import STATUS
from pare.study.summary import Row, caveats, collect, distinguishing, summary_table
from sample import RESULT

JOBS = [
    ["seed=0", "compression.quantize.keep_float=[attention]"],
    ["seed=0", "compression.quantize.keep_float=[]"],
    ["seed=0", "compression.quantize.keep_float=[ffn]"],
    ["seed=0", "compression.quantize.keep_float=[head]"],
]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Jobs that are done, failed after an earlier success in the same folder, interrupted, not started."""
    found = [tmp_path / name for name in ("done", "failed", "interrupted", "absent")]
    for folder, state in zip(found[:3], ("done", "failed", "interrupted"), strict=True):
        folder.mkdir()
        error = {"kind": "GateFailed", "message": "gate of [width]: too much"}
        write_json(folder / STATUS, {"state": state} | ({"error": error} if state == "failed" else {}))
    for folder in found[:2]:
        RESULT.write(folder)
    return found


def test_only_jobs_that_are_done_have_results(folders: list[Path]) -> None:
    rows = collect(folders, JOBS)
    assert [row.result is not None for row in rows] == [True, False, False, False]
    assert [row.reason for row in rows] == [
        "", "failed: gate of [width]: too much", "interrupted", "not started"
    ]  # fmt: skip


def test_the_table_shows_lists_and_reasons_as_they_are(folders: list[Path]) -> None:
    console = Console(width=300, file=StringIO(), record=True)
    console.print(summary_table(collect(folders, JOBS)))
    out = console.export_text()
    for word in ("[attention]", "[ffn]", "[head]", "[width]", "not started", "3.00x [2.50, 3.50]", "-12.50"):
        assert word in out
    assert "seed=0" not in out


def test_jobs_are_named_by_what_sets_them_apart() -> None:
    assert distinguishing([["a=1", "b=2"], ["a=1", "b=3"]]) == [["b=2"], ["b=3"]]
    assert distinguishing([["a=1", "b=2"]]) == [["a=1", "b=2"]]
    assert distinguishing([]) == []


def measured(number: int, precision: str = "int8", hardware: str = "here", **fingerprint: object) -> Row:
    m = replace(RESULT.measurement, precision=precision, hardware=hardware, fingerprint=fingerprint)
    return Row(number, [f"seed={number}"], replace(RESULT, measurement=m), "")


def test_rows_of_different_machines_are_not_compared_without_saying_so() -> None:
    rows = [measured(0, cpu="A", cores=2, gpu=[]), measured(1, cpu="B", cores=4, gpu=["H200"])]
    told = "\n".join(caveats(rows))
    assert "different machines" in told
    assert "jobs 0: A, 2 cores" in told
    assert "jobs 1: B, 4 cores, H200" in told
    assert caveats([rows[0], measured(2, cpu="A", cores=2, gpu=[])]) == []


def test_what_fell_back_is_said() -> None:
    told = caveats([measured(3, precision="fp32 (int8 asked)")])
    assert told == ["[yellow]job 3 ran as fp32 (int8 asked)[/yellow]"]


def test_targets_are_named_where_they_differ() -> None:
    console = Console(width=300, file=StringIO(), record=True)
    console.print(summary_table([measured(0), measured(1, hardware="there")]))
    console.print(summary_table([measured(0), measured(1)]))
    out = console.export_text()
    assert out.count("here, onnxruntime, int8, 1 thread, batch 1") == 2  # here and t-here
    assert out.count("target") == 1
