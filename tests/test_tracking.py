"""What trackers are told about a job or a sweep; that all of it can be read back from what wandb wrote."""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer
from time import monotonic
from typing import Any

import pytest
import yaml

from commands import ROOT
from pare.cli import main
from pare.composition import composed, plain
from pare.config import job_of
from pare.errors import PareError
from pare.report import yaml_of
from pare.result import CONFIG
from pare.study.collecting import Record, Study
from pare.sweeps.plan import Plan
from pare.sweeps.work import write_plan
from pare.tracking.figures import figures_of, table_of
from pare.tracking.mirroring import heard, mirror, silence, trouble_with, without_user
from pare.tracking.mlflow import Mlflow, flat
from pare.tracking.record import (
    JobRecord,
    Made,
    StudyRecord,
    models_of,
    read_job,
    read_study,
    title_of,
    write_job,
)
from pare.tracking.schema import CURVES, FIELDS, Field, metrics_of
from pare.tracking.wandb import Wandb, base_url
from pare.tracking.workspace import as_json, save, workspace
from sample import RESULT
from wandb_files import artifacts, config_of, history_of, records, run_of, summary_of

CURVE = [{"step": step, "loss": 1 / step, "learning_rate": 1e-3} for step in range(1, 1001)]
OFFLINE = {"_target_": "pare.tracking.wandb.Wandb", "project": "tests", "mode": "offline"}
MLFLOW = {"_target_": "pare.tracking.mlflow.Mlflow"}
MEASURE = {"texts": 20}


@pytest.fixture(autouse=True)
def whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODE", "API_KEY", "BASE_URL", "DIR", "CONFIG_DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name in ("NETRC", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def a_job(folder: Path) -> Path:
    """As a job leaves it, with two networks and a bundle."""
    networks = []
    for stage in ("finetune", "width"):
        place = folder / "store" / stage
        place.mkdir(parents=True)
        (place / "model.safetensors").write_text(stage)
        networks.append(Made(stage, f"digest of {stage}", str(place)))
    job = folder / "job"
    (job / "bundle" / "evaluation").mkdir(parents=True)
    (job / "bundle" / "model.onnx").write_text("graph")
    (job / "bundle" / "evaluation" / "rows.jsonl").write_text("secret")
    (job / CONFIG).write_text(yaml_of({"seed": 1, "measure": MEASURE, "task": {"name": "small"}}))
    write_job(job, "group", "keep=0.5", {"finetune": CURVE}, networks)
    RESULT.write(job)
    return job


def fits(name: str, fields: Sequence[Field]) -> list[Field]:
    def pattern(field: Field) -> str:
        bare = field.name.removeprefix("[baseline/]")
        prefix = "(baseline/)?" if bare != field.name else ""
        return prefix + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(bare))

    return [field for field in fields if re.fullmatch(pattern(field), name)]


def test_every_number_is_a_field_of_the_schema_and_every_field_has_one() -> None:
    found = [fits(name, FIELDS) for name in metrics_of(RESULT)]
    assert {len(fields) for fields in found} == {1}
    assert {fields[0] for fields in found} == set(FIELDS)


def test_a_number_that_cannot_be_had_is_there_as_none() -> None:
    bare = replace(RESULT.measurement, end_to_end_ms=None, end_to_end_speedup=None, arithmetic=None)
    assert metrics_of(replace(RESULT, measurement=bare)).keys() == metrics_of(RESULT).keys()


def test_the_numbers_are_those_of_the_result() -> None:
    found = metrics_of(RESULT)
    assert (found["primary"], found["baseline/primary"], found["primary_change"]) == (0.5, 0.625, -0.125)
    assert found["stage/width/dev/exact_match"] == 0.5
    assert found["stage/width/change/exact_match"] == found["stage/width/total/exact_match"] == -0.25
    assert (found["size_mb"], found["baseline/size_mb"]) == (1.5, 6.0)
    assert (found["latency_ms/p50"], found["memory_mb"]) == (0.5, None)
    assert [found[f"speedup/{bound}"] for bound in ("low", "median", "high")] == [2.5, 3.0, 3.5]
    assert found["bucketed_per_s/32"] == 2000.0


def test_the_table_in_the_docs_is_the_schema() -> None:
    text = (Path(__file__).parents[1] / "docs" / "tracking.md").read_text(encoding="utf-8")
    table = text.partition("| name | unit | |")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \|$", table, re.MULTILINE)
    assert shown == [(field.name, field.unit, field.about) for field in (*FIELDS, *CURVES)]


def test_agents_of_wandb_choose_by_dev_and_never_by_test() -> None:
    sweep = yaml.safe_load((ROOT / "sweeps" / "wandb.yaml").read_text(encoding="utf-8"))
    metric = sweep["metric"]["name"]
    last = {**RESULT.stages[-1], "name": "quantize", "scores": {"exact_match": 0.125}}
    skipped = replace(RESULT, scores={"exact_match": 0.0}, stages=[*RESULT.stages, {**last, "used": False}])
    assert metrics_of(skipped)[metric] == metrics_of(RESULT)[metric] == 0.5
    assert metrics_of(replace(RESULT, stages=[*RESULT.stages, {**last, "used": True}]))[metric] == 0.125


def test_a_job_is_mirrored_as_one_run_with_all_there_is(tmp_path: Path) -> None:
    """A curve longer than a block of wandb's file."""
    job = a_job(tmp_path)
    assert trouble_with(OFFLINE, 1, job) is None
    found = records(job)
    run = run_of(found)
    assert (run.project, run.run_group, run.job_type) == ("tests", "group", "job")
    assert (run.run_id, run.display_name) == (read_job(job).id, "keep=0.5")
    command = "`python run.py seed=1 model=micro`"
    assert run.notes == f"{command}\n\nwidth: unknown tokens on dev 1.00 % → 2.00 %"
    config = config_of(found)
    assert config["task"] == {"name": "small"}
    assert config["pare"]["target"]["precision"] == "int8"
    history = history_of(found)
    assert [{k: point[f"train/finetune/{k}"] for k in CURVE[0]} for point in history] == CURVE
    assert summary_of(found).items() >= metrics_of(RESULT).items()


def test_a_note_has_the_command_of_the_job_alone(tmp_path: Path) -> None:
    job = read_job(a_job(tmp_path))
    swept = replace(job, result=replace(RESULT, overrides=["experiment=in_car", "seed=1", "tracker=wandb"]))
    assert swept.note.startswith("`python run.py experiment=in_car seed=1 hydra.mode=RUN`\n")
    elsewhere = replace(job, result=replace(RESULT, scored_on="mine.tsv", overrides=["hardware=cpu"]))
    assert elsewhere.note.startswith("`pare evaluate BUNDLE --data mine.tsv hardware=cpu`\n")


def test_lineage_goes_from_teacher_to_students_to_the_bundle(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    assert trouble_with(OFFLINE, 1, job) is None
    made = artifacts(records(job))
    assert [(a.type, a.name, a.use_after_commit) for a in made] == [
        ("teacher", "small-finetune", True),  # needed by this run, whoever logs it first
        ("student", "small-width", True),
        ("bundle", "small-bundle", False),
    ]
    origins = [json.loads(a.metadata)["from"] for a in made]
    assert origins == [None, "digest of finetune", "digest of width"]
    (entry,) = made[0].manifest.contents
    assert entry.ref == (tmp_path / "store" / "finetune" / "model.safetensors").as_uri()
    assert not list(job.rglob("wandb/**/model.safetensors"))  # nothing is copied
    assert [e.path for e in made[2].manifest.contents] == ["model.onnx"]  # without the rows of test


def test_the_same_job_is_the_same_run_and_no_other_is(tmp_path: Path) -> None:
    job = read_job(a_job(tmp_path))

    def other(**config: Any) -> JobRecord:
        return replace(job, config={**job.config, **config})

    elsewhere = replace(RESULT, measurement=replace(RESULT.measurement, fingerprint={"cpu": "another"}))
    same = [job, other(store={"root": "there"}), other(tracker=None), replace(job, group="a later sweep")]
    same += [other(engine={"cpus": 2}), other(sweep={"workers": 2})]
    assert {each.id for each in same} == {job.id}
    different = [job, other(measure={"texts": 21}), other(name="b"), replace(job, result=elsewhere)]
    assert len({each.id for each in different}) == len(different)


def test_models_that_are_not_on_this_machine_are_left_out(tmp_path: Path) -> None:
    job = read_job(a_job(tmp_path))
    gone = replace(job, networks=[replace(made, path="/nowhere") for made in job.networks])
    assert [model.role for model in models_of(gone)] == ["bundle"]


def test_titles_are_short_and_tell_keys_apart() -> None:
    assert title_of(["compression.width.keep=0.5", "compression/quantize=fp16"]) == "keep=0.5 quantize=fp16"
    assert title_of(["hardware.batch=1", "train.batch=2"]) == "hardware.batch=1 train.batch=2"


def test_a_job_is_called_by_what_it_is_and_not_by_how_it_is_told(tmp_path: Path) -> None:
    """As agents of wandb start theirs."""
    told = ["tracker=wandb", "tracker.limit_s=60", "store.root=there"]
    assert title_of([*told, "compression.width.keep=0.41"]) == "keep=0.41"
    job = a_job(tmp_path)
    replace(RESULT, overrides=told).write(job)
    write_job(job, "group", title_of(told), {}, [])
    assert read_job(job).title == RESULT.name


def a_study() -> StudyRecord:
    jobs = [
        Record(n, Path(), apart, apart, RESULT if n < 2 else None, "" if n < 2 else "failed: disk")
        for n, keep in enumerate((0.25, 0.5, 9))
        for apart in [[f"compression.width.keep={keep}"]]
    ]
    return StudyRecord(Study(jobs), Path("group"), "group", "id")


def test_a_study_has_a_row_for_every_job() -> None:
    table = table_of(a_study())
    assert table["state"] == ["done", "done", "failed: disk"]
    assert table["keep"] == ["0.25", "0.5", "9"]
    assert table["primary"] == [0.5, 0.5, None]


def test_a_column_of_a_study_is_what_sets_jobs_apart() -> None:
    """Each key has its own, also where two end alike in different jobs or like a number of the table."""
    same = ["task.source.train=400", "model=micro"]
    own = (["compression.width.keep=0.5"], ["compression.depth.keep=3"], ["x.size_mb=1"])
    jobs = [Record(n, Path(), [*same, *apart], apart, RESULT, "") for n, apart in enumerate(own)]
    table = table_of(StudyRecord(Study(jobs), Path("group"), "group", "id"))
    assert list(table)[:5] == [
        "job",
        "state",
        "compression.width.keep",
        "compression.depth.keep",
        "x.size_mb",
    ]
    assert table["compression.width.keep"] == ["0.5", None, None]
    assert table["size_mb"] == [1.5] * 3
    assert not {"train", "model"} & set(table)


def test_figures_show_what_has_a_result() -> None:
    figures = dict(figures_of(a_study()))
    assert sum(len(points.x) for points in figures["pareto"].data if points.name != "baseline") == 2
    (lines,) = figures["parallel_coordinates"].data
    ticks = {axis.label: axis.ticktext for axis in lines.dimensions}
    assert ticks["keep"] == ("0.25", "0.5")


def a_plan(folder: Path) -> Path:
    """A sweep whose only job has not begun."""
    overrides = ["tracker=wandb"]
    job = job_of(plain(composed(overrides)), overrides, planning=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(folder, Plan({}, [[]]), [job], [folder / "0"], [[]])
    return folder


def test_sweeps_whose_folders_have_one_name_have_a_report_each_that_stays_theirs(tmp_path: Path) -> None:
    first, second = (read_study(a_plan(tmp_path / place / "it's a search")) for place in "ab")
    assert first.group == second.group == "it's a search"
    assert first.id != second.id
    assert read_study(a_plan(first.folder)).id == first.id  # gone on with
    moved = read_study(first.folder.rename(tmp_path / "moved"))
    assert (moved.id, moved.group) == (first.id, first.group)
    assert re.fullmatch(r"[\w.-]+", first.id)  # wandb takes nothing else, and MLflow looks for it in quotes


def test_a_sweep_that_was_killed_before_its_first_result_is_told_as_it_was_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    sweep = a_plan(tmp_path / "sweep")
    assert main(["track", "resync", str(sweep)]) == 0
    assert capsys.readouterr().out == f"{sweep}: written offline, `wandb sync` uploads it\n"
    run = run_of(records(sweep))
    assert (run.project, run.run_group, run.job_type) == ("pare", "sweep", "report")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb_workspaces")
def test_the_workspace_shows_numbers_of_the_schema() -> None:
    pytest.importorskip("wandb_workspaces")
    text = as_json(workspace("entity", "project"))
    shown = set(re.findall(r'"summary:([^"]+)"', text))
    assert shown
    assert [name for name in shown if not fits(name, FIELDS)] == []


def test_a_workspace_that_cannot_be_saved_is_one_line_whatever_the_reason() -> None:
    class Lost:
        def save(self) -> None:
            raise TimeoutError

    with pytest.raises(PareError, match="workspace: TimeoutError: no reason given"):
        save(Lost())


def at_home(monkeypatch: pytest.MonkeyPatch, home: Path, environment: dict[str, str], netrc: str) -> None:
    for name, value in {**environment, "HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    (home / ".netrc").write_text(netrc)
    (home / ".netrc").chmod(0o600)


@pytest.mark.parametrize(
    ("mode", "environment", "netrc", "chosen"),
    [
        ("auto", {}, "", "offline"),
        ("auto", {"WANDB_API_KEY": "key"}, "", "online"),
        ("auto", {"WANDB_API_KEY": "key", "WANDB_MODE": "offline"}, "", "offline"),
        ("auto", {"WANDB_API_KEY": "key", "WANDB_MODE": "disabled"}, "", "disabled"),
        ("auto", {}, "machine api.wandb.ai login user password key", "online"),
        ("auto", {"WANDB_BASE_URL": "http://ours:80"}, "machine api.wandb.ai login u password k", "offline"),
        ("auto", {"WANDB_BASE_URL": "http://ours:80"}, "machine ours:80 login user password key", "online"),
        ("auto", {}, "no netrc at all", "offline"),
        ("auto", {}, "machine api.wandb.ai login user", "offline"),
        ("offline", {"WANDB_API_KEY": "key"}, "", "offline"),
        ("online", {}, "", "online"),
    ],
)
def test_auto_is_online_where_there_is_a_key(
    mode: str,
    environment: dict[str, str],
    netrc: str,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    at_home(monkeypatch, tmp_path, environment, netrc)
    assert Wandb(mode=mode).chosen_mode() == chosen  # type: ignore[arg-type]
    (tmp_path / ".netrc").rename(tmp_path / "_netrc")
    assert Wandb(mode=mode).chosen_mode() == chosen  # type: ignore[arg-type]
    (tmp_path / "_netrc").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("NETRC", "~/elsewhere")
    assert Wandb(mode=mode).chosen_mode() == chosen  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("here", "everywhere", "environment", "chosen", "server"),
    [
        ("", "base_url = http://ours", {}, "online", "http://ours"),  # `wandb login --host`
        ("", "base_url = http://others", {}, "offline", "http://others"),  # for which there is no key
        ("base_url = http://ours", "base_url = http://others", {}, "online", "http://ours"),
        ("base_url = http://ours", "", {"WANDB_BASE_URL": "http://others"}, "offline", "http://others"),
        ("", "api_key = key", {}, "online", "https://api.wandb.ai"),
        ("mode = offline", "api_key = key", {}, "offline", "https://api.wandb.ai"),  # `wandb offline`
        ("mode = disabled", "api_key = key", {}, "disabled", "https://api.wandb.ai"),
        ("mode = disabled", "", {"WANDB_MODE": "online"}, "online", "https://api.wandb.ai"),
        ("mode = online", "mode = offline", {}, "online", "https://api.wandb.ai"),
        ("[]", "base_url = http://ours", {}, "online", "http://ours"),
    ],
)
def test_what_wandb_was_told_before_holds_where_the_environment_is_silent(
    here: str,
    everywhere: str,
    environment: dict[str, str],
    chosen: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    at_home(monkeypatch, tmp_path, environment, "machine ours login user password key")
    monkeypatch.chdir(tmp_path)
    for place, text in ((tmp_path / "wandb", here), (tmp_path / ".config" / "wandb", everywhere)):
        place.mkdir(parents=True)
        (place / "settings").write_text(f"[default]\n{text}\n")
    assert (Wandb().chosen_mode(), base_url()) == (chosen, server)
    (tmp_path / ".config" / "wandb").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("WANDB_CONFIG_DIR", "~/elsewhere")
    assert (Wandb().chosen_mode(), base_url()) == (chosen, server)


def test_what_auto_chose_is_said_where_it_goes_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    job = a_job(tmp_path)
    mirror({**OFFLINE, "mode": "auto"}, job)
    (line,) = caplog.messages
    assert line.startswith(
        "tracker: wandb is offline, for want of a key for https://api.wandb.ai: `wandb login`"
    )
    assert Wandb(mode="offline").remark() == ""  # as it was asked to


def test_a_server_that_is_not_there_is_known_at_once_with_tls_too(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes calls and never answers
        silent = f"https://127.0.0.1:{server.getsockname()[1]}"
        tracker = {**MLFLOW, "uri": silent}
        assert trouble_with(tracker, 0.2, job) == f"{silent}: given up after 0.2 s (tracker.limit_s)"
    assert trouble_with(tracker, 9, job) == f"{silent}: [Errno 111] Connection refused"


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers so, whatever it is asked for."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # who asked has gone
                answer(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_answers_byte_by_byte_is_given_up_as_soon_as_any(tmp_path: Path) -> None:
    job, over = a_job(tmp_path), Event()

    def drip(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.flush_headers()
        began = monotonic()
        while not over.wait(0.05) and monotonic() - began < 20:
            asked.wfile.write(b"x")

    with serving(drip) as address:
        found = trouble_with({**MLFLOW, "uri": address}, 0.5, job)
        over.set()
    assert found == f"{address}: given up after 0.5 s (tracker.limit_s)"


def test_the_limit_is_of_all_waiting_together(tmp_path: Path) -> None:
    """A server that takes most of it for its first answer, and never gives another."""
    pytest.importorskip("mlflow")
    job, waited = a_job(tmp_path), []

    def answer(asked: BaseHTTPRequestHandler) -> None:
        began = monotonic()
        if "/api/" in asked.path:
            with suppress(OSError):
                asked.rfile.read(1)  # until the other side is gone
        else:
            Event().wait(1.5)
            asked.send_response(204)
            asked.end_headers()
        waited.append(monotonic() - began)

    with serving(answer) as address:
        found = trouble_with({**MLFLOW, "uri": address}, 5, job)
    assert found == f"{address}: given up after 5 s (tracker.limit_s)"
    assert len(waited) == 2
    assert sum(waited) < 5.5


def test_what_a_tracker_does_by_itself_has_as_long_as_its_limit_where_that_is_more(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    told = "not done after 0.001 s of its own work; a longer tracker.limit_s leaves it as long"
    assert trouble_with(OFFLINE, 0.001, job, prepare_s=0.001) == told
    assert trouble_with(OFFLINE, 100, job, prepare_s=0.001) is None


def test_a_token_in_an_address_is_never_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
    tracker = {**MLFLOW, "uri": f"http://me:secret@{place}"}
    assert trouble_with(tracker, 9, a_job(tmp_path)) == f"http://{place}: [Errno 111] Connection refused"
    said = "MlflowException: API request to https://me:s%40cret@host/api failed: a@b"
    assert without_user(said) == "MlflowException: API request to https://host/api failed: a@b"


def test_what_urllib_cannot_ask_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert silence(gone) == f"{gone}: [Errno 111] Connection refused"
    assert silence("http://host:port") is None
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert silence(gone) is None


def refusing(told: dict[str, tuple[int, dict[str, Any]]]) -> Callable[[BaseHTTPRequestHandler], None]:
    """told: status and answer by how the path ends."""

    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        path = asked.path.partition("?")[0]
        status, body = next((found for end, found in told.items() if path.endswith(end)), (200, {}))
        text = json.dumps(body).encode()
        asked.send_response(status)
        asked.send_header("Content-Type", "application/json")
        asked.send_header("Content-Length", str(len(text)))
        asked.end_headers()
        asked.wfile.write(text)

    return answer


NO_EXPERIMENT = {
    "experiments/get-by-name": (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}),
    "experiments/create": (403, {"error_code": "PERMISSION_DENIED", "message": "not yours"}),
}
NO_ROOM = {
    "experiments/get-by-name": (200, {"experiment": {"experiment_id": "1"}}),
    "runs/create": (200, {"run": {"info": {"run_id": "a", "run_uuid": "a", "experiment_id": "1"}}}),
    "runs/log-batch": (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "too much"}),
    "runs/update": (400, {"error_code": "INTERNAL_ERROR", "message": "something else"}),
}


@pytest.mark.parametrize(("told", "why"), [(NO_EXPERIMENT, "not yours"), (NO_ROOM, "too much")])
def test_mlflow_fails_with_what_its_server_said_first(
    told: dict[str, tuple[int, dict[str, Any]]], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exceptions = pytest.importorskip("mlflow.exceptions")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    job = read_job(a_job(tmp_path))
    with serving(refusing(told)) as address, pytest.raises(exceptions.MlflowException, match=why):
        Mlflow(uri=address).mirror_job(job, lambda: None)


def test_mlflow_takes_every_key_of_a_config() -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    prompts = {"[地点]": 1, "(地点)": 2, "a//b": 3, "": 4, **{f"{'x' * 300}{n}": n for n in (5, 6)}}
    found = flat({**plain(composed(["sweep=search"])), "task": {"prompts": prompts}})
    for name, value in found.items():
        validation._validate_param(name, value)
    assert found["sweep.search.when.model_compression.distill.student.compression"]
    assert [v for k, v in found.items() if k.startswith("task.prompts.")] == list("123456")


def test_a_server_whose_tls_only_the_library_can_talk_is_there() -> None:
    """It asks for a certificate of the client's, say."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:

        def refuse() -> None:
            with server.accept()[0] as line:
                line.recv(65536)
                line.sendall(bytes.fromhex("15030300020228"))  # fatal: handshake failure

        answer = pool.submit(refuse)
        assert silence(f"https://127.0.0.1:{server.getsockname()[1]}") is None
        answer.result()


def test_a_server_that_sends_browsers_elsewhere_has_answered() -> None:
    """To a page to log in, say, which may not be there for a machine that computes."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        elsewhere = f"http://127.0.0.1:{gone.getsockname()[1]}/login"

    def send(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(302)
        asked.send_header("Location", elsewhere)
        asked.end_headers()

    with serving(send) as address:
        assert silence(address) is None


@pytest.mark.parametrize(
    ("done_s", "trouble"),
    [(4.9, None), (6.0, "its server: given up after 4.5 s (tracker.limit_s)")],
)
def test_what_is_prepared_for_a_server_leaves_a_third_of_its_limit(
    done_s: float, trouble: str | None
) -> None:
    """A job is kept by both together, but a server that works is not given up for a slow import."""
    ours, theirs = os.pipe()
    words = [Timer(3.8, os.write, (theirs, b"waiting\n")), Timer(done_s, os.write, (theirs, b"done\n"))]
    for word in words:
        word.start()
    assert heard(ours, "", limit_s=4.5, prepare_s=9) == trouble
    for word in words:
        word.join()
    os.close(ours)
    os.close(theirs)


def test_disabled_writes_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    job = a_job(tmp_path)
    assert trouble_with({**OFFLINE, "mode": "auto"}, 1, job) is None
    assert not (job / "wandb").exists()
    assert main(["track", "resync", str(job), "tracker=wandb"]) == 0
    assert capsys.readouterr().out.startswith(f"{job}: told to nobody: wandb is disabled")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["here", "tracker=wandb"], "error: here: neither a job with a result.json nor a sweep"),
        (["job"], "error: job: had no tracker; tracker=wandb or tracker=mlflow is needed"),
        (["job", "tracker=none"], "error: job: had no tracker; tracker=wandb or tracker=mlflow is needed"),
        (["job", "tracker=wandb", "tracker.limit_s=0"], "error: job: tracker.limit_s=0.0: more than 0"),
        (["job", "tracker=nothing"], "error: In 'config': Could not find 'tracker/nothing'"),
        (["job", "tracker=wandb", "model=micro"], "error: model=micro: the tracker can be chosen here"),
        (["job", "tracker=wandb", "runs/keep=1"], "error: runs/keep=1: the tracker can be chosen here"),
    ],
)
def test_resync_says_what_it_cannot_do(
    words: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert main(["track", "resync", *words]) == 2
    assert capsys.readouterr().err.startswith(line)
