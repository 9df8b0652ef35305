"""Weights & Biases: one run a job, networks and bundles as artifacts, and a report run for each sweep."""

import os
import re
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pare.errors import ConfigError
from pare.tracking.figures import figures_of, table_of
from pare.tracking.record import JobRecord, Model, StudyRecord, models_of
from pare.tracking.schema import metrics_of, settings_of
from pare.tracking.tracker import Ready, Tracker, make_room

#: bytes that the files of a run take besides what is logged
ROOM = 1_000_000
#: what wandb refuses in names of artifacts
REFUSED = re.compile(r"[^\w.-]")


@dataclass(frozen=True, kw_only=True)
class Wandb(Tracker):
    """mode: auto is what WANDB_MODE or wandb's files say; else online where there is an API key, or offline.

    What is written offline lies in the job's folder, or in WANDB_DIR; `wandb sync` uploads it.
    """

    project: str = "pare"
    entity: str | None = None
    mode: Literal["auto", "online", "offline"] = "auto"

    def check(self) -> None:
        if missing := [name for name in ("wandb", "plotly") if find_spec(name) is None]:
            raise ConfigError(f"tracker: {missing[0]} is not installed (pip install -e '.[wandb]')")

    def address(self) -> str:
        return base_url() if self.chosen_mode() == "online" else ""

    def remark(self) -> str:
        if self.mode != "auto" or setting("mode") or self.chosen_mode() == "online":
            return ""
        return (
            f"wandb is offline, for want of a key for {base_url()}: `wandb login`, or tracker.mode=offline "
            "where that is meant; `wandb sync` uploads what is written"
        )

    def outcome(self) -> str:
        mode = self.chosen_mode()
        if mode == "disabled":
            return "told to nobody: wandb is disabled (WANDB_MODE, or `wandb disabled`)"
        return "written offline, `wandb sync` uploads it" if mode == "offline" else super().outcome()

    def mirror_job(self, job: JobRecord, ready: Ready) -> None:
        if self.chosen_mode() == "disabled":
            return
        import wandb

        models = [(model, self.artifact(model)) for model in models_of(job)]
        points = [
            {f"train/{stage}/{name}": value for name, value in point.items()}
            for stage, curve in job.curves.items()
            for point in curve
        ]
        make_room(self.folder(job.folder), ROOM + 200 * len(points))
        self.about_to_begin(ready)
        run = self.begin(
            job.folder,
            id=job.id,
            name=job.title,
            group=job.group,
            job_type="job",
            config=settings_of(job),
            notes=job.note,
        )
        with run:
            for stage in job.curves:
                run.define_metric(f"train/{stage}/*", step_metric=f"train/{stage}/step")
            for step, point in enumerate(points):
                run.log(point, step=step)  # of a resumed run, what it has already is ignored
            run.summary.update(metrics_of(job.result))
            for model, artifact in models:
                if model.role == "bundle":
                    run.log_artifact(artifact, aliases=["latest", job.id])
                else:  # what `use_artifact` does, which refuses to do it offline
                    run._log_artifact(artifact, aliases=["latest"], use_after_commit=True)
        wandb.teardown()  # `finish` returns before the last block of the file is written

    def mirror_study(self, study: StudyRecord, ready: Ready) -> None:
        if self.chosen_mode() == "disabled":
            return
        import wandb

        table = table_of(study)
        rows = [list(row) for row in zip(*table.values(), strict=True)]
        found: dict[str, Any] = {"study": wandb.Table(columns=list(table), data=rows, allow_mixed_types=True)}
        found |= {name: wandb.Plotly(figure) for name, figure in figures_of(study)}
        make_room(self.folder(study.folder), ROOM)
        self.about_to_begin(ready)
        run = self.begin(
            study.folder,
            id=study.id,
            name=f"report {study.group}",
            group=study.group,
            job_type="report",
        )
        with run:
            run.log(found)
        wandb.teardown()

    def about_to_begin(self, ready: Ready) -> None:
        """Offline nobody is waited for."""
        import wandb

        wandb.setup()  # the service, which takes a second
        if self.chosen_mode() == "online":
            ready()

    def begin(self, folder: Path, **told: Any) -> Any:
        import wandb

        return wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.chosen_mode(),
            dir=str(self.folder(folder)),
            reinit="create_new",
            resume=None if self.chosen_mode() == "offline" else "allow",
            settings=wandb.Settings(
                console="off", silent=True, x_disable_stats=True, disable_git=True, disable_code=True
            ),
            **told,
        )

    def artifact(self, model: Model) -> Any:
        """By reference, or to be uploaded; never copied here: what it holds does not change."""
        import wandb

        name = REFUSED.sub("-", model.name)
        found = wandb.Artifact(name, type=model.role, metadata=dict(model.about))
        for file in model.files:
            if self.upload:
                found.add_file(str(file), name=file.name, policy="immutable", skip_cache=True)
            else:
                found.add_reference(file.as_uri(), name=file.name)
        return found

    def folder(self, folder: Path) -> Path:
        return Path(os.environ.get("WANDB_DIR") or folder)

    def chosen_mode(self) -> Literal["online", "offline", "disabled"]:
        if self.mode != "auto":
            return self.mode
        asked = setting("mode")
        if asked == "disabled":
            return "disabled"
        if asked:  # dryrun is offline's older name; run is online's, and shared is online too
            return "offline" if asked in ("offline", "dryrun") else "online"
        server = urlsplit(base_url()).netloc
        return "online" if setting("api_key") or has_netrc_entry(server) else "offline"


def base_url() -> str:
    return setting("base_url") or "https://api.wandb.ai"


def setting(name: str) -> str | None:
    """From the environment, else from the files where `wandb login`, `wandb offline` and the like keep it."""
    if found := os.environ.get(f"WANDB_{name.upper()}"):
        return found
    here = Path(".wandb" if Path(".wandb").exists() else "wandb")
    everywhere = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    return written(here / "settings", name) or written(everywhere / "settings", name)


def written(file: Path, name: str) -> str | None:
    settings = ConfigParser()
    try:
        settings.read(file, encoding="utf-8")
        return settings.get("default", name, fallback=None)
    except (OSError, IniError, UnicodeDecodeError):
        return None


def has_netrc_entry(server: str) -> bool:
    from netrc import NetrcParseError, netrc

    usual = [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]
    place = next((place for place in usual if place.exists()), usual[0])
    try:
        found = netrc(Path(os.environ.get("NETRC") or place).expanduser()).authenticators(server)
    except (OSError, NetrcParseError):
        return False
    return found is not None and bool(found[2])
