"""`pare report`: the tables, the front, budgets and figures of studies, through the command line."""

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import yaml

from commands import ROOT
from pare.cli import main
from pare.report import Terminal
from pare.study.collecting import collect
from pare.study.figures import parallel_figure, stages_figure
from pare.study.reporting import after_sweep, compared
from pare.study.statistics import Row
from pare.targets.intervals import Speedup
from studies import failed, gated, grid, job

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two widths by two schemes by three seeds, and one job that failed."""
    root = tmp_path_factory.mktemp("study")
    count = grid(root, [0.5, 0.75], ["int8_static", "fp16"], seeds=3, rows=400)
    failed(root / str(count), "gate of width: too much </script><b>")
    return root


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs it: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["report", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_seeds_become_means_with_their_deviation(study: Path, tmp_path: Path, told: Told) -> None:
    code, out, _ = told(study, "--to", tmp_path / "t.csv", tmp_path / "t.md")
    assert code == 0
    rows = table(tmp_path / "t.csv")
    assert len(rows) == 4
    assert {row["exact_match.n"] for row in rows} == {"3.0"}
    assert all(float(row["exact_match.std"]) > 0 for row in rows)
    assert float(rows[0]["delta.low"]) < float(rows[0]["delta"]) < float(rows[0]["delta.high"])
    assert "standard deviation over 3 seeds" in out
    assert "gate of width: too much" in out  # the failed one, with its reason
    assert re.search(
        r"\| width.keep=0.5 quantize=int8\\_static \| \d\d\.\d\d ± ", (tmp_path / "t.md").read_text()
    )


def test_every_file_that_was_asked_for_is_written(tmp_path: Path, told: Told) -> None:
    job(tmp_path / "0", "a=1")
    files = [tmp_path / "t.csv", tmp_path / "t.md", tmp_path / "t.tex"]
    assert told(tmp_path, "--to", files[0], "--to", *files[1:])[0] == 0
    assert all(file.is_file() for file in files)


def test_rows_say_of_how_many_seeds_they_are_where_some_failed(tmp_path: Path, told: Told) -> None:
    for value, seeds in ((1, 3), (2, 2), (3, 1)):
        for seed in range(seeds):
            job(tmp_path / f"{value}{seed}", f"a={value}", seed=seed)
    to = ("--to", tmp_path / "t.md", tmp_path / "t.csv")
    names = [["a=1 (n=3)", "a=2 (n=2)", "a=3 (n=1)"], ["(n=3)", "(n=2)", "(n=1)"]]
    for view, wanted in (((), names[0]), (("--layout", "stages"), names[0]), (("--rows", "a"), names[1])):
        assert told(tmp_path, *view, *to)[0] == 0
        text = (tmp_path / "t.md").read_text("utf-8")
        assert [name for name in wanted if name in text] == wanted
        assert "± is the standard deviation over n seeds" in text
    told(tmp_path, *to)
    assert [row["configuration"] for row in table(tmp_path / "t.csv")] == ["a=1", "a=2", "a=3"]
    assert told(tmp_path, "--where", "a=2", *to)[0] == 0
    assert "n=2" not in (tmp_path / "t.md").read_text("utf-8")  # the note says it of all


def test_a_difference_inside_the_noise_is_shown_as_such(tmp_path: Path, told: Told) -> None:
    job(tmp_path / "0", "a=same", right=0.92, rows=300)
    job(tmp_path / "1", "a=worse", right=0.80, rows=300)
    told(tmp_path, "--to", tmp_path / "t.md")
    same, worse = (tmp_path / "t.md").read_text("utf-8").splitlines()[4:6]
    assert "≈" in same
    assert "\\*\\*\\*" in worse
    assert "McNemar" in (tmp_path / "t.md").read_text("utf-8")


def test_rows_and_columns_by_keys(study: Path, tmp_path: Path, told: Told) -> None:
    keys = (
        "--rows",
        "compression.width.keep",
        "--cols",
        "quantize",
        "--metrics",
        "exact_match,speedup,size_mb",
    )
    assert told(study, *keys, "--to", tmp_path / "t.csv")[0] == 0
    rows = table(tmp_path / "t.csv")
    assert [row["compression.width.keep"] for row in rows] == ["0.5", "0.75"]
    assert float(rows[0]["int8_static size_mb"]) < float(rows[0]["fp16 size_mb"])
    code, _, err = told(study, "--rows", "quantize")
    assert code == 2
    assert "fall into one cell" in err


@pytest.mark.parametrize("metrics", ["delta", "speedup,size_mb", "size_mb+"])
def test_what_a_change_is_against_is_told_below_columns_by_keys_too(
    tmp_path: Path, metrics: str, told: Told
) -> None:
    for number, value in enumerate(("x", "y")):
        job(tmp_path / str(number), "a=1", f"b={value}", answers=False)
    view = ("--rows", "a", "--cols", "b", "--metrics", metrics, "--baseline", "b=x")
    told(tmp_path, *view, "--to", tmp_path / "t.md")
    assert "changes: against b=x" in (tmp_path / "t.md").read_text("utf-8")


@pytest.mark.parametrize("asked", [("--rows", "seed"), ("--rows", "quantize,width.keep", "--cols", "seed")])
def test_a_mean_over_seeds_is_not_called_one_of_them(
    study: Path, tmp_path: Path, asked: tuple[str, ...], told: Told
) -> None:
    code, _, err = told(study, *asked)
    assert code == 2
    assert "seed: 'width.keep=0.5 quantize=int8_static' is a mean over 0, 1, 2; --group seed" in err
    code, _, err = told(study, "--baseline", "seed=0")
    assert code == 2
    assert "--baseline seed=0: 0 rows, one is needed" in err
    view = ("--group", "seed", "--rows", "quantize", "--cols", "width.keep")
    assert told(study, *view, "--to", tmp_path / "t.csv")[0] == 0
    assert len(table(tmp_path / "t.csv")) == 3 * 2


def test_another_baseline(study: Path, tmp_path: Path, told: Told) -> None:
    chosen = ("--baseline", "quantize=fp16", "--baseline", "width.keep=0.75")
    assert told(study, *chosen, "--to", tmp_path / "t.csv")[0] == 0
    rows = {row["configuration"]: row for row in table(tmp_path / "t.csv")}
    assert float(rows["width.keep=0.75 quantize=fp16"]["delta"]) == 0
    assert rows["width.keep=0.75 quantize=fp16"]["delta.p"] == ""
    same = [rows["width.keep=0.75 quantize=fp16"][f"speedup{end}"] for end in ("", ".low", ".high")]
    assert same == ["1.0"] * 3
    small = rows["width.keep=0.5 quantize=int8_static"]
    assert float(small["delta"]) < 0
    assert float(small["speedup"]) == pytest.approx(0.72 / 0.3, rel=1e-6)
    assert told(study, "--baseline", "quantize=fp16")[0] == 2  # two rows


def test_the_best_within_a_budget_and_how_to_make_it_again(study: Path, tmp_path: Path, told: Told) -> None:
    code, out, _ = told(study, "--max-latency", 0.45, "--to", tmp_path / "t.md")
    assert code == 0
    assert "best: width.keep=0.75 quantize=int8_static" in out
    assert "run.py -m compression.width.keep=0.75 compression/quantize=int8_static seed=0,1,2" in out


def test_a_budget_that_nothing_meets_says_what_is_in_the_way(study: Path, tmp_path: Path, told: Told) -> None:
    code, out, _ = told(study, "--max-drop", 0.1, "--max-latency", 0.35, "--to", tmp_path / "t.md")
    assert code == 1
    assert "none of 4" in out
    assert re.search(
        r"--max-drop 0.1: 0 of 4 meet it; without it, 1 would be left, of which .* misses it by", out
    )
    assert re.search(r"--max-latency 0.35: 1 of 4 meet it; without it, 0 would be left", out)
    assert "nearest to all of it" in out


def test_what_was_not_measured_is_said_of_a_budget(tmp_path: Path, told: Told) -> None:
    """No row is the nearest to a limit on something that nobody knows."""
    for number, memory in enumerate((None, None, 40.0)):
        made = job(tmp_path / str(number), f"a={number}")
        replace(made, measurement=replace(made.measurement, memory_mb=memory)).write(tmp_path / str(number))
    code, out, _ = told(tmp_path, "--max-memory", 30, "--to", tmp_path / "t.md")
    assert code == 1
    assert (
        "--max-memory 30: 0 of 3 meet it, 2 not measured; without it, 3 would be left, of which a=2 " in out
    )
    assert re.search(r"nearest to all of it: a=2: .* ms, 2.00x, memory 40.0 MB$", out, re.MULTILINE)
    code, out, _ = told(tmp_path / "0", tmp_path / "1", "--max-memory", 30, "--to", tmp_path / "t.md")
    assert code == 1
    assert "--max-memory 30: 0 of 2 meet it, 2 not measured; without it, 2 would be left\n" in out
    assert "nearest" not in out


def test_what_is_chosen_by_is_told_of_each_row(study: Path, tmp_path: Path, told: Told) -> None:
    to = ("--to", tmp_path / "t.md")
    out = told(study, "--max-size", 2, *to)[1]
    assert re.search(r"^best: width.keep=0.75 quantize=int8_static: .*x, size 1.65 MB$", out, re.MULTILINE)
    out = told(study, "--axes", "size_mb,throughput_per_s", *to)[1]
    lines = [line for line in out.splitlines() if re.match(r"width.keep=\S+ quantize=\w+: ", line)]
    assert lines
    assert all(re.search(r"size \d\.\d\d MB, throughput \d+ /s$", line) for line in lines)


def test_what_does_not_compare_is_refused_unless_it_is_meant(tmp_path: Path, told: Told) -> None:
    job(tmp_path / "0", "a=1")
    job(tmp_path / "1", "a=2", cpu="B CPU")
    job(tmp_path / "2", "a=3", split="other rows")
    code, _, err = told(tmp_path)
    assert code == 2
    assert "A CPU" in err
    assert "B CPU" in err
    assert "--group hardware" in err
    assert "--group task" in err
    assert told(tmp_path, "--group", "hardware,task", "--to", tmp_path / "t.csv")[0] == 0
    assert len({row["table"] for row in table(tmp_path / "t.csv")}) == 3


def test_an_ablation(tmp_path: Path, told: Told) -> None:
    every = ("finetune", "width", "distill", "export", "quantize")
    for number, left_out in enumerate(("", "width", "distill")):
        name = f"~compression/{left_out}" if left_out else "seed=0"
        stages = [stage for stage in every if stage != left_out]
        job(tmp_path / str(number), name, right=0.9 - 0.1 * (left_out == "distill"), stages=stages)
    assert told(tmp_path, "--layout", "ablation", "--to", tmp_path / "t.csv")[0] == 0
    rows = table(tmp_path / "t.csv")
    assert [row["configuration"] for row in rows] == [
        "full: finetune, width, distill, export, quantize", "without width", "without distill"
    ]  # fmt: skip
    assert float(rows[2]["delta"]) < -5
    assert [rows[0][f"speedup{end}"] for end in ("", ".low", ".high")] == ["1.0"] * 3
    told(tmp_path, "--layout", "ablation", "--to", tmp_path / "t.md")
    (note,) = re.findall(r"p: .*", (tmp_path / "t.md").read_text("utf-8"))
    assert "corrected for 2 comparisons" in note
    assert "against full," in note


def test_precision_is_the_score_where_a_task_has_it(tmp_path: Path, told: Told) -> None:
    scores = {"accuracy": 0.9, "precision": 0.75, "recall": 0.5, "f1": 0.6}
    made = job(tmp_path / "0", "a=1")
    replace(made, primary="f1", scores=scores, baseline_scores=scores).write(tmp_path / "0")
    assert told(tmp_path, "--layout", "pp_minilm", "--to", tmp_path / "t.csv")[0] == 0
    assert [float(row["precision"]) for row in table(tmp_path / "t.csv")] == [75, 75]


def test_tasks_stand_side_by_side_in_one_row(tmp_path: Path, told: Told) -> None:
    for number, (task, scheme) in enumerate(product(("tnews", "csl"), ("int8", "half"))):
        job(tmp_path / str(number), f"task={task}", f"compression={scheme}", task=task)
    assert told(tmp_path, "--layout", "clue", "--to", tmp_path / "t.csv")[0] == 0
    rows = table(tmp_path / "t.csv")
    assert [row["configuration"] for row in rows] == ["baseline", "compression=int8", "compression=half"]
    assert rows[0]["speedup"] == "1.0"
    for row in rows:
        assert float(row["average"]) == pytest.approx((float(row["tnews"]) + float(row["csl"])) / 2)


def test_tasks_side_by_side_are_ranked_apart(tmp_path: Path, told: Told) -> None:
    """Scores of two tasks are no front, and the page is of each task."""
    for number, (task, right) in enumerate((("tnews", 0.6), ("csl", 0.9))):
        job(tmp_path / str(number), f"task={task}", "compression=int8", task=task, right=right, before=right)
    page = tmp_path / "all.html"
    code, out, _ = told(tmp_path, "--layout", "clue", "--max-drop", 20, "--to", page)
    assert code == 0
    assert out.count("within --max-drop 20: 1 of 1") == 2
    told_data = page.read_text("utf-8").split('id="data">')[1].split("</script>")[0]
    assert [part["title"].split(" ")[0] for part in json.loads(told_data)["parts"]] == ["tnews", "csl"]
    code, _, err = told(tmp_path, "--layout", "clue", "--baseline", "compression=int8")
    assert code == 2
    assert err.startswith("error: --baseline: ")


def test_the_study_of_several_tasks_has_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for once hours of jobs are done."""
    for number, (task, seed) in enumerate(product(("tnews", "csl"), (0, 1))):
        job(tmp_path / str(number), f"task={task}", seed=seed, task=task)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    study = runpy.run_path(str(ROOT / "benchmarks" / "studies.py"))
    side_by_side, apart = (study["table_of"](tmp_path, layout) for layout in study["STUDIES"]["clue_auto"])
    assert side_by_side.count("| configuration | tnews | csl | average |") == 1
    assert apart.count("| configuration | exact\\_match |") == 2


@pytest.mark.parametrize(
    "view",
    [
        ("--where", "a=1"), ("--layout", "stages"), ("--baseline", "a=1"), ("--lang", "zh"),
        ("--metrics", "size_mb"), ("--rows", "a"), ("--group", "a"),
    ],
)  # fmt: skip
def test_another_view_leaves_the_report_of_the_sweep_alone(
    tmp_path: Path, view: tuple[str, str], told: Told
) -> None:
    for value in (1, 2):
        job(tmp_path / str(value), f"a={value}")
    assert "written" in told(tmp_path)[1]
    before = [(tmp_path / name).read_text("utf-8") for name in ("table.md", "report.html")]
    assert "written" not in told(tmp_path, *view)[1]
    assert [(tmp_path / name).read_text("utf-8") for name in ("table.md", "report.html")] == before


def test_rows_of_ones_own_are_never_beside_those_of_test(tmp_path: Path, told: Told) -> None:
    """Not even where tasks are side by side; and the file is named."""
    for seed in (0, 1):
        job(tmp_path / str(seed), f"seed={seed}", seed=seed)
    own = replace(
        job(tmp_path / "2", "seed=2", "hardware.batch=4", seed=2, split="mine"), scored_on="my own.tsv"
    )
    own.write(tmp_path / "2")
    for layout in ("jobs", "clue"):
        code, _, err = told(tmp_path, "--layout", layout)
        assert code == 2
        assert "job 2: car by exact_match on my own.tsv, rows mine: scores of different things" in err
    code, out, _ = told(tmp_path / "2")
    assert "pare evaluate BUNDLE --data 'my own.tsv' hardware.batch=4" in out
    assert "run.py" not in out


def test_what_would_limit_or_show_nothing_is_refused(
    study: Path, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = told(study, "--axes", "")
    assert code == 2
    assert "--axes: none given; there are latency_ms" in err
    for limit in ("nan", "inf"):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(study), "--max-latency", limit])
        assert ended.value.code == 2
        assert f"{limit} is no limit" in capsys.readouterr().err


def test_a_browser_that_does_not_start_is_told_in_a_line(
    study: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    chrome = tmp_path / "chrome"
    chrome.write_text("#!/bin/sh\nexit 127\n")
    chrome.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(chrome))
    code, _, err = told(study, "--to", tmp_path / "x.svg", tmp_path / "x.md")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'x.svg'}: Chrome, which draws it, failed: ")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["chrome", "x.md"]


def test_a_report_that_cannot_be_written_costs_a_line_and_no_more(
    study: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the other files nor what the exit code says."""
    sweep = shutil.copytree(
        study, tmp_path / "sweep", ignore=shutil.ignore_patterns("report.html", "table.md")
    )
    (sweep / "report.html").mkdir()
    code, out, _ = told(sweep, "--max-latency", 0.01)
    assert code == 1
    assert f"not written: {sweep / 'report.html'}: Is a directory" in out
    assert (sweep / "table.md").is_file()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "plotly", None)
        assert "plotly is not installed" in told(sweep)[1]
        code, _, err = told(sweep, "--to", tmp_path / "t.html", tmp_path / "t.md")
        assert (code, err.count("\n")) == (2, 1)
        assert (tmp_path / "t.md").is_file()


def test_a_figure_of_nothing(tmp_path: Path, told: Told) -> None:
    pytest.importorskip("kaleido")
    failed(tmp_path / "0", "", state="running")
    code, _, err = told(tmp_path, "--to", tmp_path / "front.png")
    assert code == 2
    assert err == f"error: {tmp_path / 'front.png'}: no job has a result yet, so there is nothing to draw\n"


def test_brackets_in_what_went_wrong_are_no_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "[/b]"
    after_sweep(nowhere, [nowhere / "0"], [["a=1"]], "1 stage")
    assert f"results {nowhere}" in capsys.readouterr().out


def test_what_was_gone_back_on_is_in_no_mean(tmp_path: Path, told: Told) -> None:
    made = job(tmp_path / "0", "a=1")
    bad = {**made.stages[-1], "scores": {"exact_match": 0.1}, "used": False}
    replace(made, stages=[*made.stages[:-1], bad, made.stages[-1]]).write(tmp_path / "0")
    told(tmp_path, "--layout", "stages", "--to", tmp_path / "t.csv")
    last = table(tmp_path / "t.csv")[-1]
    assert float(last["exact_match"]) == pytest.approx(100 * made.stages[-1]["scores"]["exact_match"])


def test_a_stage_that_some_seeds_needed_stands_where_they_have_it(tmp_path: Path, told: Told) -> None:
    """A gate escalates seed by seed; a mean says of how many it is."""
    job(tmp_path / "0", "a=1", seed=0, stages=("finetune", "width", "export"))
    job(tmp_path / "1", "a=1", seed=1, stages=("finetune", "qat", "width", "export"))
    job(tmp_path / "2", "a=2", seed=0, stages=("finetune", "export"))
    told(tmp_path, "--layout", "stages", "--to", tmp_path / "t.csv", tmp_path / "t.md")
    assert [(row["configuration"], row["stage"]) for row in table(tmp_path / "t.csv")] == [
        ("a=1", "finetune"), ("a=1", "qat"), ("a=1", "width"), ("a=1", "export"),
        ("a=2", "finetune"), ("a=2", "export"),
    ]  # fmt: skip
    lines = [line for line in (tmp_path / "t.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| a=1 (n=2)", "| ", "| ", "| ", "| a=2 (n=1)", "| "
    ]  # fmt: skip
    assert [line.split(" | ")[1] for line in lines[2:5]] == ["finetune", "qat (1 of 2 seeds)", "width"]


def test_a_figure_shows_what_a_stage_changed_in_the_seeds_that_have_it(tmp_path: Path) -> None:
    gated(tmp_path)
    (part,) = compared(collect([tmp_path]), {})
    for language, some in (("en", "qat (1 of 3)"), ("zh", "qat (1 / 3)")):
        (bars,) = stages_figure(part.rows, "latency_ms", language)["data"]
        assert bars["x"] == ["finetune", some, "export"]
        assert bars["text"] == ["90.00", "-0.50", "+0.00"]
        assert bars["base"] == pytest.approx([0, 84, 89.8333])
        assert bars["y"] == pytest.approx([90, -0.5, 0])


def test_the_figure_of_stages_names_the_row_it_is_of(study: Path, tmp_path: Path) -> None:
    job(tmp_path / "alone")
    path = f"model.path=nowhere/{'long-' * 9}"
    for number, right in enumerate((0.9, 0.5)):
        job(tmp_path / "long" / str(number), f"{path}{number}", f"task.name=<b>&{number}", right=right)
    best, long = "width.keep=0.75 quantize=fp16", f"{path}0<br>task.name=&lt;b&gt;&amp;0"
    for root, in_english, in_chinese in (
        (study, best, best),
        (tmp_path / "alone", "as it is", "原样"),
        (tmp_path / "long", long, long),
    ):
        (part,) = compared(collect([root]), {})
        for language, name in (("en", in_english), ("zh", in_chinese)):
            figure = stages_figure(part.rows, "latency_ms", language)
            assert figure["layout"]["xaxis"]["title"]["text"] == name


def test_scores_below_zero_are_in_the_figure(tmp_path: Path) -> None:
    """As a correlation may be; of others the axis begins at 0 at the lowest."""
    for number, (before, right, lowest) in enumerate(((-0.05, -0.02, -6), (0.005, 0.03, 0))):
        job(tmp_path / str(number), before=before, right=right, stages=("finetune", "export"), rows=50)
        (part,) = compared(collect([tmp_path / str(number)]), {})
        figure = stages_figure(part.rows, "latency_ms", "en")
        assert figure["layout"]["yaxis"]["range"][0] == pytest.approx(lowest)


def test_jobs_that_differ_in_a_file_only_are_both_there(tmp_path: Path, told: Told) -> None:
    job(tmp_path / "0", "a=1")
    replace(job(tmp_path / "1", "a=1"), key="of another file").write(tmp_path / "1")
    told(tmp_path, "--to", tmp_path / "t.csv")
    assert [row["configuration"] for row in table(tmp_path / "t.csv")] == ["as it is", "as it is (2)"]


def test_seeds_of_before_and_after_an_edit_are_two_rows(tmp_path: Path, told: Told) -> None:
    """Whatever their order, and whether or not a seed was run both times."""
    for number, (steps, seed) in enumerate(((100, 0), (100, 2), (900, 1), (900, 0), (900, 2), (100, 3))):
        folder = tmp_path / str(number)
        made = job(folder, "a=1", seed=seed, right=steps / 1000)
        replace(made, key=f"{steps} {seed}").write(folder)
        data = {
            "seed": seed,
            "source": {"folder": f"/copy{number}", "train": f"/copy{number}/fold{seed}.tsv"},
        }
        words = {
            "architecture": {"vocabulary_file": f"../copy{number}/vocabulary.txt"},
            "path": f"/{number}/mini",
        }
        config = {
            "seed": seed,
            "name": f"night {number}",
            "train": {"steps": steps},
            "task": data,
            "model": words,
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    told(tmp_path, "--to", tmp_path / "t.csv")
    first, second = table(tmp_path / "t.csv")
    assert (first["configuration"], first["exact_match.n"]) == ("as it is", "3.0")
    assert (second["configuration"], second["exact_match.n"]) == ("as it is (2)", "3.0")
    assert float(first["exact_match"]) < 20
    assert float(second["exact_match"]) > 80


def test_times_beside_two_ways_to_run_the_same_model_are_apart(tmp_path: Path, told: Told) -> None:
    for number, how in enumerate(("eager", "compile")):
        made = job(tmp_path / str(number), f"hardware.compile={how}", ms=0.5)
        ran = {"providers": {"cpu": 90}, "compiled": {"how": how, "graphs": number, "breaks": 0}}
        beside = replace(
            made.baseline_measurement, ran=ran, latency_ms={"p50": 1.0 - 0.2 * number, "p90": 2.0, "n": 9}
        )
        replace(made, baseline_measurement=beside).write(tmp_path / str(number))
    page = tmp_path / "t.html"
    told(tmp_path, "--baseline", "hardware.compile=eager", "--to", tmp_path / "t.csv", page)
    (_, row) = table(tmp_path / "t.csv")
    assert row["speedup"] == "1.0"
    assert row["speedup.low"] == ""
    (part,) = json.loads(page.read_text("utf-8").split('id="data">')[1].split("</script>")[0])["parts"]
    assert [one["values"]["latency_ms"] for one in part["baselines"]] == [[1.0], [0.8]]


def test_folders_of_a_path_that_are_called_compression_stay_in_it(tmp_path: Path, told: Told) -> None:
    for number, place in enumerate(("/models/compression/base", "/models/base")):
        job(tmp_path / str(number), "compression.width.keep=0.5", f"model.path={place}")
    told(tmp_path, "--to", tmp_path / "t.csv")
    found = [row["configuration"] for row in table(tmp_path / "t.csv")]
    assert sorted(found) == ["model.path=/models/base", "model.path=/models/compression/base"]


def test_a_change_is_of_the_seeds_that_both_have(tmp_path: Path, told: Told) -> None:
    for seed, right in enumerate((0.9, 0.9, 0.2)):  # the third was not learnt
        job(tmp_path / f"a{seed}", "a=1", seed=seed, right=right)
    for seed in range(2):
        job(tmp_path / f"b{seed}", "a=2", seed=seed, right=0.9)
    told(tmp_path, "--baseline", "a=1", "--to", tmp_path / "t.csv")
    row = table(tmp_path / "t.csv")[1]
    assert float(row["delta.low"]) <= float(row["delta"]) <= float(row["delta.high"])


def test_a_change_of_time_is_what_was_measured_in_turns(tmp_path: Path, told: Told) -> None:
    """Not the ratio of two medians, which the speed-up beside it may contradict."""
    made = job(tmp_path / "0", "a=1", ms=0.97)
    timed = replace(
        made.measurement, speedup=Speedup(0.83, 0.8, 0.86), end_to_end_speedup=Speedup(0.9, 0.8, 1.0)
    )
    replace(made, measurement=timed).write(tmp_path / "0")
    told(tmp_path, "--metrics", "latency_ms+,end_to_end_ms+,speedup", "--to", tmp_path / "t.csv")
    (row,) = table(tmp_path / "t.csv")
    assert row["speedup"] == row["latency_ms.change"] == "0.83"
    assert row["end_to_end_ms.change"] == "0.9"


def test_changes_beside_numbers_are_of_the_seeds_that_both_have(tmp_path: Path, told: Told) -> None:
    for seed, (right, ms, mb) in enumerate(((0.9, 0.5, 2.0), (0.9, 0.5, 2.0), (0.2, 0.05, 0.2))):
        job(tmp_path / f"a{seed}", "a=1", seed=seed, right=right, ms=ms, mb=mb)
    for seed in range(2):
        job(tmp_path / f"b{seed}", "a=2", seed=seed, right=0.9, ms=0.25, mb=1.0)
    metrics = "delta,exact_match+,speedup,latency_ms+,end_to_end_ms+,size_mb+"
    told(tmp_path, "--baseline", "a=1", "--metrics", metrics, "--to", tmp_path / "t.csv")
    row = {
        name: float(value) for name, value in table(tmp_path / "t.csv")[1].items() if name != "configuration"
    }
    assert row["exact_match.change"] == pytest.approx(row["delta"])
    assert row["speedup"] == row["latency_ms.change"] == pytest.approx(2)
    assert row["end_to_end_ms.change"] == pytest.approx(0.7 / 0.45)
    assert row["size_mb.change"] == pytest.approx(-50)


def test_changes_beside_numbers_have_their_intervals_and_p(tmp_path: Path, told: Told) -> None:
    for seed in range(2):
        job(tmp_path / str(seed), "a=1", seed=seed, right=0.8)
    metrics = "delta,speedup,exact_match+,slot_f1+,latency_ms+,size_mb+"
    told(tmp_path, "--metrics", metrics, "--to", tmp_path / "t.csv")
    (row,) = table(tmp_path / "t.csv")
    for end in (".low", ".high"):
        assert row[f"exact_match.change{end}"] == row[f"delta{end}"] != ""
        assert row[f"latency_ms.change{end}"] == row[f"speedup{end}"] != ""
    assert row["exact_match.change.p"] == row["delta.p"] != ""
    assert {"slot_f1.change.low", "size_mb.change.low", "latency_ms.change.p"}.isdisjoint(row)


def test_what_had_too_few_calls_for_p90_is_told_without(
    tmp_path: Path, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    made = job(tmp_path / "0", "a=1")
    few = {"p50": 0.5, "n": 8}
    few_calls = replace(
        made,
        measurement=replace(made.measurement, latency_ms=few, end_to_end_ms=few),
        baseline_measurement=replace(made.baseline_measurement, latency_ms=few, end_to_end_ms=few),
    )
    few_calls.write(tmp_path / "0")
    metrics = "latency_ms,latency_p90_ms+,end_to_end_ms"
    assert told(tmp_path, "--metrics", metrics, "--to", tmp_path / "t.csv")[0] == 0
    (row,) = table(tmp_path / "t.csv")
    assert (row["latency_ms"], row["latency_p90_ms"]) == ("0.5", "")
    Terminal().comparison(few_calls, tmp_path)
    shown = capsys.readouterr().out
    assert "latency p50" in shown
    assert "latency p90" not in shown


def test_what_was_measured_nowhere_is_on_no_front(study: Path, tmp_path: Path, told: Told) -> None:
    code, out, _ = told(study, "--axes", "gpu_memory_mb", "--to", tmp_path / "t.md")
    assert code == 0
    assert "none of 4 rows has gpu_memory_mb" in out


def test_equals_are_on_the_front_together(tmp_path: Path, told: Told) -> None:
    for name, ms in (("one", 0.5), ("same", 0.5), ("slower", 0.6)):
        made = job(tmp_path / name, f"a={name}", ms=ms)
        replace(made, scores={"exact_match": 0.9}).write(tmp_path / name)
    out = told(tmp_path, "--to", tmp_path / "t.md")[1]
    assert re.findall(r"^a=(\w+): ", out, re.MULTILINE) == ["one", "same"]


def test_more_texts_a_second_are_better(tmp_path: Path, told: Told) -> None:
    for name, right, rate in (("quick", 0.8, 3000), ("good", 0.9, 1000), ("neither", 0.7, 500)):
        made = job(tmp_path / name, f"a={name}", right=right)
        measured = replace(made.measurement, throughput_per_s=float(rate))
        replace(made, measurement=measured).write(tmp_path / name)
    out = told(tmp_path, "--axes", "throughput_per_s", "--to", tmp_path / "t.md")[1]
    assert re.findall(r"^a=(\w+): ", out, re.MULTILINE) == ["quick", "good"]


def test_a_key_that_means_two_is_refused(tmp_path: Path, told: Told) -> None:
    job(tmp_path / "0", "compression.width.keep=0.5", "compression.depth.keep=3")
    code, _, err = told(tmp_path, "--rows", "keep")
    assert code == 2
    assert "keep: is any of compression.width.keep, compression.depth.keep" in err


def test_a_key_that_some_jobs_lack(tmp_path: Path, told: Told) -> None:
    """They have no value for it; an error is only what no job has."""
    job(tmp_path / "0", "compression/quantize=fp16")
    job(tmp_path / "1", "compression=none")
    to = ("--to", tmp_path / "t.csv")
    assert told(tmp_path, "--where", "quantize=fp16", *to)[0] == 0
    assert len(table(tmp_path / "t.csv")) == 1
    assert told(tmp_path, "--baseline", "quantize=fp16", *to)[0] == 0
    assert told(tmp_path, "--rows", "quantize", *to)[0] == 0
    assert [row["quantize"] for row in table(tmp_path / "t.csv")] == ["fp16", "–"]
    code, _, err = told(tmp_path, "--baseline", "nope=1")
    assert code == 2
    assert "nope: is no key of any job; overrides are compression/quantize, seed, compression" in err


def test_values_of_the_config_are_as_they_are_typed(tmp_path: Path, told: Told) -> None:
    for number, (shared, limit) in enumerate(((True, None), (False, 3))):
        job(tmp_path / str(number), f"a={number}")
        config = {"train": {"shared": shared, "limit": limit}}
        (tmp_path / str(number) / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for asked in ("train.shared=true", "limit=null"):
        assert told(tmp_path, "--where", asked, "--to", tmp_path / "t.csv")[0] == 0
        assert len(table(tmp_path / "t.csv")) == 1


def test_every_layout_of_the_sources(study: Path, tmp_path: Path, told: Told) -> None:
    heads = {}
    for layout in ("jobs", "stages", "template", "pp_minilm", "hierarchical", "ernie_tiny", "clue"):
        code, _, err = told(study, "--layout", layout, "--to", tmp_path / f"{layout}.md")
        assert code == 0, err
        lines = (tmp_path / f"{layout}.md").read_text("utf-8").splitlines()
        heads[layout] = next(line for line in lines if line.startswith("| "))
        if layout in ("pp_minilm", "hierarchical", "ernie_tiny"):
            assert any(line.startswith("| baseline | ") for line in lines)
            assert "baseline: of the first configuration; each is compared with its own  " in lines
    for name in ("exact\\_match", "dtype", "end\\_to\\_end ms", "memory MB", "size MB"):
        assert name in heads["ernie_tiny"]
    assert "average" in heads["clue"]
    assert "p50 a text ms" in heads["hierarchical"]
    assert told(study, "--layout", "nope")[0] == 2


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (("--metrics", "nope"), "--metrics: no 'nope'; there are exact_match, slot_f1, delta, speedup, "),
        (("--metrics", "speedup+"), "--metrics speedup+: speedup has no change of its own\n"),
        (("--metrics", "size_mb,delta+"), "--metrics delta+: delta has no change of its own\n"),
        (("--metrics", "dtype+"), "--metrics dtype+: dtype has no change of its own\n"),
        (("--rows", "nope"), "nope: is no key of any job; overrides are compression.width.keep, "),
        (("--to", "x.docx"), "--to x.docx: .docx; there are .html, .md, "),
        (("--to", "/nowhere/x.md"), "--to /nowhere/x.md: no folder /nowhere\n"),
        (("--where", "a"), "--where a: key=value is needed\n"),
        (("--where", "quantize=nope"), "--where quantize=nope: none of 12 jobs with a result\n"),
        (("--axes", "nope"), "--axes: no 'nope'; there are latency_ms, "),
        (("--cols", "quantize"), "--cols: --rows says what the rows are; both are needed\n"),
        (
            ("--metrics", "nope", "--layout", "stages"),
            "--metrics nope: --layout stages shows one score; there are exact_match\n",
        ),
        (
            ("--metrics", "a,b", "--layout", "stages"),
            "--metrics a,b: --layout stages shows one score; there are exact_match\n",
        ),
        (
            ("--metrics", "exact_match", "--layout", "clue"),
            "--metrics: --layout clue has columns of its own, one for each task\n",
        ),
        (
            ("--rows", "quantize", "--layout", "ablation"),
            "--rows: --layout ablation has rows of its own; one of the two is needed\n",
        ),
        (
            ("--baseline", "quantize=fp16", "--layout", "ablation"),
            "--baseline: what is compared with what --layout ablation says already\n",
        ),
    ],
)
def test_a_mistake_is_one_line(study: Path, mistake: tuple[str, ...], says: str, told: Told) -> None:
    code, _, err = told(study, *mistake)
    assert code == 2
    assert err.startswith(f"error: {says}")
    assert err.count("\n") == 1


def test_nothing_done_yet(tmp_path: Path, told: Told) -> None:
    failed(tmp_path / "0", "", state="running")
    code, out, _ = told(tmp_path)
    assert code == 1
    assert "running" in out
    assert 'id="data"' in (tmp_path / "report.html").read_text("utf-8")


def test_parquet_holds_the_same_numbers(study: Path, tmp_path: Path, told: Told) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    told(study, "--to", tmp_path / "t.csv", tmp_path / "t.parquet")
    found = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["exact_match"] for row in found] == [
        float(r["exact_match"]) for r in table(tmp_path / "t.csv")
    ]


def test_who_reads_a_table_while_it_is_made_again_has_all_of_it(
    study: Path, tmp_path: Path, told: Told
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    for name in ("t.csv", "t.parquet"):
        told(study, "--to", tmp_path / name)
        before = (tmp_path / name).read_bytes()
        with (tmp_path / name).open("rb") as reading:
            told(study, "--metrics", "size_mb", "--to", tmp_path / name)
            assert reading.read() == before
        assert (tmp_path / name).read_bytes() != before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path: Path, told: Told) -> None:
    for number, value in enumerate((-1, 2)):
        job(tmp_path / str(number), f"+a={value}", right=0.9 - 0.1 * number)
    told(tmp_path, "--to", tmp_path / "t.csv")
    assert [row["configuration"] for row in table(tmp_path / "t.csv")] == ["'+a=-1", "'+a=2"]
    assert float(table(tmp_path / "t.csv")[0]["delta"]) < 0
    told(tmp_path, "--rows", "a", "--to", tmp_path / "t.csv")
    assert [row["a"] for row in table(tmp_path / "t.csv")] == ["-1", "2"]


def test_titles_of_columns_are_text_as_cells_are(tmp_path: Path, told: Told) -> None:
    for number, value in enumerate(("x|y", "*z*")):
        job(tmp_path / str(number), f"a={number}", f"b={value}")
    told(tmp_path, "--rows", "a", "--cols", "b", "--metrics", "size_mb", "--to", tmp_path / "t.md")
    head = (tmp_path / "t.md").read_text("utf-8").splitlines()[2]
    assert head == "| a | \\*z\\* size MB | x\\|y size MB |"


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More configurations, of three stages each, than a page has rows."""
    root = tmp_path_factory.mktemp("long")
    for number in range(48):
        job(root / str(number), f"task.name=数据_{number}", rows=20, stages=("finetune", "width", "export"))
    return root


def test_a_table_longer_than_a_page_is_cut_in_latex(long: Path, tmp_path: Path, told: Told) -> None:
    told(long, "--layout", "stages", "--to", tmp_path / "t.tex")
    parts = (tmp_path / "t.tex").read_text("utf-8").split(r"\begin{table}")[1:]
    assert [part.count(r"\\") - 1 for part in parts] == [29, 29, 29, 29, 28]
    assert all(r"configuration & stage & exact\_match on dev" in part for part in parts)
    first = [part.split("\\midrule\n")[1].split(" & ")[0] for part in parts]
    assert first[:2] == [r"task.name=数据\_0", r"task.name=数据\_9"]  # named again where it goes on
    assert [part.count("(continued)") for part in parts] == [0, 1, 1, 1, 1]


def compiled(engine: str, folder: Path) -> str:
    """What LaTeX says of t.tex."""
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-2000:]
    return (folder / "t.log").read_text("utf-8", errors="replace")


@pytest.mark.slow
def test_latex_compiles_as_it_is(study: Path, tmp_path: Path, told: Told) -> None:
    told(study, "--metrics", "exact_match+,delta,speedup,size_mb+", "--to", tmp_path / "t.tex")
    assert "Overfull" not in compiled("pdflatex", tmp_path)


@pytest.mark.slow
def test_latex_has_room_for_long_tables_and_chinese(long: Path, tmp_path: Path, told: Told) -> None:
    told(long, "--metrics", "exact_match,size_mb", "--to", tmp_path / "t.tex")
    assert not re.search("Overfull|too large|Missing character", compiled("xelatex", tmp_path))


def searched(root: Path) -> list[Row]:
    """As a search leaves it: a share, a rate over powers of ten that some lack, and a file for each trial."""
    for number in range(24):
        rate = () if number % 3 == 0 else (f"train.lr={10 ** (-5 + number / 8):.4g}",)
        job(
            root / str(number), f"compression.width.keep={0.2 + 0.7 * (number / 23) ** 2:.4g}", *rate,
            f"model.path=model-{number}", f"compression/quantize={('fp16', 'none')[number % 2]}", rows=20,
        )  # fmt: skip
    (part,) = compared(collect([root]), {})
    return list(part.rows)


def test_what_a_search_chose_stands_at_its_size(tmp_path: Path) -> None:
    """Numbers are an axis however many there are, and what has no room is named."""
    figure = parallel_figure(searched(tmp_path), "latency_ms", "en")
    axes = {axis["label"]: axis for axis in figure["data"][0]["dimensions"]}
    assert list(axes) == ["keep", "quantize", "lr", "latency p50, ms", "size, MB", "exact_match"]
    assert axes["keep"]["values"][:2] == [0.2, pytest.approx(0.2013)]
    assert "tickvals" not in axes["keep"]  # round numbers will do
    ticks = dict(zip(axes["lr"]["ticktext"], axes["lr"]["tickvals"], strict=True))
    assert ticks["0.0001"] == -4
    assert min(axes["lr"]["values"]) == axes["lr"]["values"][0] == ticks["–"] < -5  # has none
    assert axes["quantize"]["ticktext"] == ["fp16", "none"]
    assert "path (24 values)" in figure["layout"]["annotations"][0]["text"]


def test_the_page_in_chinese_explains_its_signs_in_chinese(tmp_path: Path, told: Told) -> None:
    for seed in range(2):
        made = job(tmp_path / str(seed), seed=seed)
        git = {"commit": "0123abc", "dirty": seed == 1}
        replace(made, environment={**made.environment, "git": git}).write(tmp_path / str(seed))
    page = tmp_path / "t.html"
    assert told(tmp_path, "--lang", "zh", "--to", page)[0] == 0
    data = json.loads(page.read_text("utf-8").split('id="data">')[1].split("</script>")[0])
    (part,) = data["parts"]
    assert part["rows"][0]["name"] == "原样"
    assert part["notes"][0] == "± 为 2 个随机种子的标准差"
    assert not [note for note in part["notes"] if re.search("against|seeds|noise|bootstrap", note)]
    assert [each["is"]["commit"] for each in data["environments"]] == [
        "0123abc",
        "0123abc （有未提交的改动）",
    ]


@pytest.mark.slow
def test_figures_in_both_languages(study: Path, tmp_path: Path, told: Told) -> None:
    if shutil.which("chromium") is None and shutil.which("google-chrome") is None:
        pytest.skip("no Chromium is installed")
    for language, says in (("en", "on the front"), ("zh", "前沿上")):
        file = tmp_path / f"front.{language}.svg"
        code, _, err = told(study, "--lang", language, "--to", file)
        if "no font" in err:
            pytest.skip("no font has Chinese")
        assert code == 0, err
        assert says in file.read_text("utf-8")
