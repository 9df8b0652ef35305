"""MLflow: one run a job, in an SQLite file or on a server, and a report run for each sweep."""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pare.errors import ConfigError
from pare.files import locked
from pare.result import CONFIG, RESULT
from pare.tracking.figures import csv_of, figures_of, table_of
from pare.tracking.record import JobRecord, StudyRecord, models_of
from pare.tracking.schema import metrics_of, settings_of
from pare.tracking.tracker import Ready, Tracker, make_room

SQLITE = "sqlite:///"
DATABASE = f"{SQLITE}mlflow.db"  # where `mlflow ui` looks in the same folder
METRICS, PARAMS, LONGEST = 1000, 100, 6000  # in one call; characters of a parameter
ROOM = 1_000_000
ID = "pare.id"
#: what MLflow refuses in names of numbers and parameters, and how long they may be
REFUSED, NAME = re.compile(r"[^/\w.\- :]"), 240


@dataclass(frozen=True, kw_only=True)
class Mlflow(Tracker):
    """uri: null is what MLFLOW_TRACKING_URI says, without it mlflow.db in the folder the job was started in.

    A job that is mirrored again gets a new run, and the one before is deleted, which MLflow can undo.
    """

    experiment: str = "pare"
    uri: str | None = None

    def check(self) -> None:
        needed = ("mlflow", "sqlalchemy", "alembic", "plotly")
        if missing := [name for name in needed if find_spec(name) is None]:
            raise ConfigError(f"tracker: {missing[0]} is not installed (pip install -e '.[mlflow]')")

    def address(self) -> str:
        return self.place() if self.place().startswith("http") else ""

    def place(self) -> str:
        return self.uri or os.environ.get("MLFLOW_TRACKING_URI") or DATABASE

    def mirror_job(self, job: JobRecord, ready: Ready) -> None:
        client, place = self.opened()
        from mlflow.entities import Metric, Param

        at = int((job.folder / RESULT).stat().st_mtime * 1000)
        metrics = [Metric(accepted(k), v, at, 0) for k, v in metrics_of(job.result).items() if v is not None]
        metrics += [
            Metric(accepted(f"train/{stage}/{name}"), value, at, int(point["step"]))
            for stage, curve in job.curves.items()
            for point in curve
            for name, value in point.items()
            if name != "step"  # is the axis
        ]
        params = [Param(k, v[:LONGEST]) for k, v in flat(settings_of(job)).items()]
        models = models_of(job)
        tags = {"job_type": "job", "group": job.group, "mlflow.note.content": job.note}
        if place is None:  # in a file of this machine nobody is waited for
            ready()
        with self.run(client, place, job.id, job.title, tags) as run:
            for start in range(0, len(params), PARAMS):
                client.log_batch(run, params=params[start : start + PARAMS])
            for start in range(0, len(metrics), METRICS):
                client.log_batch(run, metrics=metrics[start : start + METRICS])
            for name in (RESULT, CONFIG):
                client.log_artifact(run, str(job.folder / name))
            client.log_dict(run, {"models": [model.as_json() for model in models]}, "models.json")
            for model in models if self.upload else ():
                for file in model.files:
                    client.log_artifact(run, str(file), model.name)

    def mirror_study(self, study: StudyRecord, ready: Ready) -> None:
        client, place = self.opened()
        files = {"study.csv": csv_of(table_of(study))}
        # its UI shows them in a frame that has no height of its own
        files |= {f"{name}.html": f.to_html(default_height="600px") for name, f in figures_of(study)}
        tags = {"job_type": "report", "group": study.group}
        if place is None:
            ready()
        with self.run(client, place, study.id, f"report {study.group}", tags) as run:
            for name, text in files.items():
                client.log_text(run, text, name)

    def opened(self) -> tuple[Any, Path | None]:
        """The client, and the folder of its database where that is a file: made anew if it is not there."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # or it tries for minutes
        from mlflow import MlflowClient

        uri = self.place()
        if not uri.startswith(SQLITE):
            return MlflowClient(uri), None
        file = Path(uri.removeprefix(SQLITE)).absolute()
        file.parent.mkdir(parents=True, exist_ok=True)
        make_room(file.parent, ROOM)
        guard = file.with_name(f".{file.name}.lock")
        with locked(guard):
            if not file.exists():
                new = file.with_name(f".{file.name}.new")
                new.unlink(missing_ok=True)
                MlflowClient(f"{SQLITE}{new}").search_experiments()  # takes seconds: it makes all tables
                new.rename(file)
        return MlflowClient(f"{SQLITE}{file}"), file.parent

    @contextmanager
    def run(
        self, client: Any, place: Path | None, name: str, title: str, tags: Mapping[str, str]
    ) -> Iterator[str]:
        """The id of a new run, which takes the place of those of the same name."""
        experiment = self.experiment_in(client, place)
        before = client.search_runs([experiment], f"tags.`{ID}` = '{name}'")
        run = client.create_run(experiment, run_name=title, tags={ID: name, **tags}).info.run_id
        try:
            yield run
        except BaseException:
            with suppress(Exception):  # or nobody would know what came first
                client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run)
        for old in before:
            client.delete_run(old.info.run_id)

    def experiment_in(self, client: Any, place: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        folder = None if place is None else (place / "mlruns" / self.experiment).as_uri()
        if (found := client.get_experiment_by_name(self.experiment)) is None:
            try:
                return str(client.create_experiment(self.experiment, artifact_location=folder))
            except MlflowException:
                if (found := client.get_experiment_by_name(self.experiment)) is None:
                    raise  # it was not that another job was quicker
        return str(found.experiment_id)


def flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as MLflow has them: no levels, all text."""
    found: dict[str, str] = {}
    for path, value in leaves(settings):
        name = accepted(path)
        while name in found:  # keys that differ in what is refused only
            name += "_"
        found[name] = str(value)
    return found


def accepted(name: str) -> str:
    """A name as it is, but for what MLflow refuses: `model@compression.distill.student` has such a sign."""
    return posixpath.normpath(REFUSED.sub("_", name)[:NAME])


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
