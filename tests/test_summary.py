"""Sweeps collected and shown: what each job came to, whatever became of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pare.errors import ConfigError, StageFailed
from pare.files import write_json
from pare.result import PLAN, STATUS
from pare.status import tell_failure, told
from pare.study.cells import Cell, Column, Table
from pare.study.collecting import collect, distinguishing, plain
from pare.study.summary import show_table
from studies import failed, grid, job


def test_jobs_are_named_by_what_sets_them_apart() -> None:
    assert distinguishing([["a=1", "b=2"], ["a=1", "b=3"]]) == [["b=2"], ["b=3"]]
    assert distinguishing([["a=1", "b=2"]]) == [["a=1", "b=2"]]
    assert distinguishing([]) == []


def test_where_and_how_a_job_ran_does_not_tell_it_apart() -> None:
    how = ["engine=ray", "engine.cpus=2", "tracker=wandb", "tracker.project=a", "sweep.workers=2"]
    how += ["+engine.extra={constraint: a100}", "++sweep.timeout_s=9", "~tracker.tags"]
    how += ["store.root=there", "bundle.evaluation=false", "hydra.sweep.dir=here", "hydra/launcher=basic"]
    assert plain([*how, "sweep=widths", "seed=1", "name=a"]) == ["sweep=widths", "seed=1", "name=a"]


def test_every_job_is_told_of_whatever_became_of_it(tmp_path: Path) -> None:
    job(tmp_path / "0", "compression.width.keep=0.5", "model=micro")
    job(tmp_path / "1", "compression.width.keep=0.25", "model=micro")
    failed(tmp_path / "2", "gate of [width]: too much")
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "result.json").write_text("{", "utf-8")
    value = json.loads((tmp_path / "0" / "result.json").read_text("utf-8"))
    (tmp_path / "4").mkdir()
    write_json(tmp_path / "4" / "result.json", {**value, "measurement": {}})
    (tmp_path / "5").mkdir()
    write_json(tmp_path / "5" / "result.json", {**value, "schema": "pare/result@0"})
    records = collect([tmp_path]).records
    assert [record.name for record in records[:2]] == ["width.keep=0.5", "width.keep=0.25"]
    assert [bool(record.result) for record in records] == [True, True, False, False, False, False]
    assert records[2].reason == "failed: gate of [width]: too much"
    assert all("result.json" in record.reason for record in records[3:])


def test_trials_of_a_search_are_numbered_as_their_folders(tmp_path: Path) -> None:
    """Its plan is that of the last batch; a trial that repeats another has no folder."""
    for number in (0, 1, 3, 4):
        job(tmp_path / str(number), f"seed={number}", seed=number)
    planned = [{"within": str(number), "overrides": [f"seed={number}"]} for number in (3, 4)]
    write_json(tmp_path / PLAN, {"jobs": planned})
    records = collect([tmp_path]).records
    assert [(record.number, record.folder.name) for record in records] == [(n, str(n)) for n in (0, 1, 3, 4)]


def test_a_sweep_that_runs_shows_what_is_to_come(tmp_path: Path) -> None:
    """Even where its folder has been copied elsewhere."""
    job(tmp_path / "copied" / "0", "seed=0")
    failed(tmp_path / "copied" / "1", "", state="running")
    jobs = [
        {"folder": f"/elsewhere/sweep/{n}", "within": str(n), "overrides": [f"seed={n}"], "config": {}}
        for n in range(3)
    ]
    write_json(tmp_path / "copied" / PLAN, {"group": "sweep", "jobs": jobs})
    records = collect([tmp_path / "copied"]).records
    assert [record.reason for record in records] == ["", "running", "not started"]
    assert records[2].name == "seed=2"


def test_a_job_whose_process_is_gone_no_longer_runs(tmp_path: Path) -> None:
    """Killed by SIGKILL, say, so that it could not say so."""
    with told(tmp_path / "0", "pare", "key", {}, []) as note:
        note(["finetune", "width"])
        status = json.loads((tmp_path / "0" / STATUS).read_text("utf-8"))
        assert [record.reason for record in collect([tmp_path]).records] == ["running, width is done"]
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / "1").mkdir()
    for number, changed in enumerate(({"pid": ended.pid}, {"pid": ended.pid, "host": f"{status['host']}0"})):
        write_json(tmp_path / str(number) / STATUS, status | changed)
    found = [record.reason for record in collect([tmp_path]).records]
    assert found == ["killed, width is done", "running, width is done"]


def test_a_sweep_whose_jobs_lie_deeper(tmp_path: Path) -> None:
    """hydra.sweep.subdir may have folders of folders."""
    job(tmp_path / "car" / "0", "a=1")
    failed(tmp_path / "car" / "1", "no luck")
    jobs = [{"within": f"car/{n}", "overrides": ["a=1", f"seed={n}"]} for n in range(3)]
    write_json(tmp_path / PLAN, {"group": "sweep", "jobs": jobs})
    records = collect([tmp_path]).records
    assert [record.reason for record in records] == ["", "failed: no luck", "not started"]
    assert [record.name for record in records] == ["seed=0", "seed=1", "seed=2"]


def test_a_trial_that_failed_batches_ago_is_told_of_by_its_choices(tmp_path: Path) -> None:
    """The plan is of the last batch; that of the trial itself has been written over."""
    with pytest.raises(StageFailed), told(tmp_path / "0", "pare", "key", {}, ["a=1", "keep=0.5"]):
        raise StageFailed("no luck")
    tell_failure(tmp_path / "1", "pare", "key", {}, ["a=1", "keep=0.25"], "width", {"message": "killed"})
    job(tmp_path / "2", "a=1", "keep=0.75")
    write_json(tmp_path / PLAN, {"jobs": [{"within": "2", "overrides": ["a=1", "keep=0.75", "seed=0"]}]})
    records = collect([tmp_path]).records
    assert [(record.name, record.reason) for record in records[:2]] == [
        ("keep=0.5", "failed: no luck"),
        ("keep=0.25", "failed: killed"),
    ]


@contextmanager
def nobody() -> Iterator[None]:
    """Inside, this process may no more than any other user."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_nobody_may_look_into_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colleague's, or one that another user's job left behind: the others are shown all the same."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # what lies above it belongs to one user
    sweep = Path("sweep")
    for number in range(4):
        job(sweep / str(number), f"a={number}")
    (sweep / "2" / STATUS).unlink()
    (sweep / "2" / "result.json").unlink()
    for number, mode in ((1, 0o000), (2, 0o111)):
        (sweep / str(number)).chmod(mode)
    (sweep / "3" / "result.json").chmod(0o000)
    with nobody():
        records = collect([sweep]).records
        with pytest.raises(ConfigError) as error:
            collect([sweep / "1" / "0"])
    for number in (1, 2):
        (sweep / str(number)).chmod(0o755)
    assert [bool(record.result) for record in records] == [True, False, False, False]
    assert records[1].reason == f"{sweep / '1' / STATUS}: Permission denied"
    assert records[2].reason == f"{sweep / '2'}: Permission denied"
    assert records[3].reason == f"{sweep / '3' / 'result.json'}: Permission denied"
    assert error.value.problems == (f"{sweep / '1' / '0'}: Permission denied",)


@pytest.mark.parametrize("odd", ["null", "[]", "3", '{"state": "running", "stages": 3}', "\udcff"])
def test_a_status_that_is_none_is_told_of(tmp_path: Path, odd: str) -> None:
    job(tmp_path / "0", "a=1")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / STATUS).write_text(odd, "utf-8", errors="surrogateescape")
    records = collect([tmp_path]).records
    assert [record.reason for record in records] == ["", "status.json cannot be read"]


@pytest.mark.parametrize(
    "odd", ["null", "[]", '{"jobs": null}', '{"jobs": [null]}', '{"jobs": [{"within": 3}]}']
)
def test_a_plan_that_is_none_is_told_of(tmp_path: Path, odd: str) -> None:
    job(tmp_path / "0", "a=1")
    (tmp_path / PLAN).write_text(odd, "utf-8")
    found = {record.folder: record.reason for record in collect([tmp_path]).records}
    assert found == {tmp_path: "plan.json cannot be read", tmp_path / "0": ""}


def test_the_same_job_twice_counts_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        job(tmp_path / name, "model=micro")
    study = collect([tmp_path])
    assert len(study.records) == 1
    assert "is left out" in study.notes[0]


def test_of_the_same_job_twice_the_one_that_ended_later_counts(tmp_path: Path) -> None:
    """Whichever of the two was copied last."""
    for ended, name in enumerate(("c", "a", "b")):
        job(tmp_path / name, "model=micro")
        write_json(tmp_path / name / STATUS, {"state": "done", "ended": 1e9 + ended})
        os.utime(tmp_path / name / "result.json", (2e9 - ended, 2e9 - ended))
    assert [record.folder.name for record in collect([tmp_path]).records] == ["b"]


def test_results_may_come_as_files(tmp_path: Path) -> None:
    job(tmp_path / "0", "model=micro")
    (tmp_path / "0" / "result.json").rename(tmp_path / "from_afar.json")
    assert collect([tmp_path / "from_afar.json"]).done[0][1].seed == 0


def test_what_holds_no_job_is_said_for_every_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        collect([tmp_path, tmp_path / "nowhere"])
    assert "no job in it" in error.value.problems[0]
    assert "not found" in error.value.problems[1]


def test_jobs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    grid(tmp_path, [0.25, 0.5], ["int8_static"], seeds=6, rows=20)
    assert [record.folder.name for record in collect([tmp_path]).records] == [str(n) for n in range(12)]


def test_a_narrow_terminal_shows_all_columns_and_whole_names() -> None:
    names = ["compression=vocabulary_width_qat", "compression=vocabulary_width_half"]
    columns = [
        Column("configuration", "configuration", False),
        *(Column(str(n), f"metric {n}") for n in range(5)),
    ]
    rows = [
        [Cell(name), *(Cell("80.34", spread="0.46", extra="[+0.21, +1.07]") for _ in range(5))]
        for name in names
    ]
    console = Console(file=StringIO(), force_terminal=True, width=80, color_system=None)
    show_table(console, Table("", columns, rows))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    first = "".join(line[0] for line in words if line and not line[0].startswith(("80", "±", "[", "+", "─")))
    assert all(name in first for name in names)
    assert sum(line.count("80.34") for line in lines) == 10
