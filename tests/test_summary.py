"""The table of a sweep: what each job came to, whatever became of it."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pare.files import write_json
from pare.result import STATUS
from pare.study.summary import collect, distinguishing, sharing, summary_table
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


def test_sharing_counts_a_stage_once(folders: list[Path]) -> None:
    done = collect(folders[:1], JOBS[:1])
    assert sharing(done * 2).startswith("4 stages, 2 distinct, ")
