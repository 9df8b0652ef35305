"""Everything one job found, and `result.json`, its strict and stable form."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pare.comparing import Difference
from pare.errors import PareError
from pare.files import write_json
from pare.targets.measurement import Measurement

SCHEMA = "pare/result@1"
RESULT, STATUS, CONFIG, BUNDLE = "result.json", "status.json", "config.yaml", "bundle"
PLAN = "plan.json"  # of a sweep


@dataclass(frozen=True)
class Result:
    """What a job found. Scores are fractions, those in `stages` on dev, the others on `scored_on`."""

    name: str
    key: str
    overrides: Sequence[str]
    seed: int
    task: str
    environment: Mapping[str, Any]
    stages: Sequence[Mapping[str, Any]]
    primary: str
    scores: Mapping[str, float]
    baseline_scores: Mapping[str, float]
    measurement: Measurement
    baseline_measurement: Measurement
    tried: Sequence[Mapping[str, Any]] = ()  # the trials of compression=auto
    difference: Difference | None = None  # of the primary metric, against the baseline, row by row
    split: str | None = None  # a digest of the rows that were scored; older results have none
    scored_on: str = "test"  # or the file that `pare evaluate` was given

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "key": self.key,
            "overrides": list(self.overrides),
            "seed": self.seed,
            "task": self.task,
            "environment": dict(self.environment),
            "stages": [dict(stage) for stage in self.stages],
            "primary": self.primary,
            "split": self.split,
            "scored_on": self.scored_on,
            "scores": dict(self.scores),
            "difference": None if self.difference is None else asdict(self.difference),
            "tried": [dict(trial) for trial in self.tried],
            "baseline": {
                "scores": dict(self.baseline_scores),
                "measurement": self.baseline_measurement.as_json(),
            },
            "measurement": self.measurement.as_json(),
        }

    def on_dev(self) -> list[float]:
        """The primary metric there, after fine-tuning and after each stage that was kept and scored."""
        kept = [stage["scores"] for stage in self.stages if stage.get("used", True) and stage["scores"]]
        return [scores[self.primary] for scores in kept]

    def findings(self) -> list[str]:
        """What stages found out besides scores, in their words; older results do not say."""
        found = [(stage["name"], stage.get("found") or {}) for stage in self.stages]
        return [f"{name}: {line}" for name, told in found for line in told.get("told", ())]

    def write(self, folder: Path) -> None:
        write_json(folder / RESULT, self.as_json())

    @classmethod
    def read(cls, place: Path) -> "Result":
        """place: the folder of a job, or the file itself."""
        file = place if place.is_file() else place / RESULT
        value = json.loads(file.read_text(encoding="utf-8"))
        if value.get("schema") != SCHEMA:
            raise PareError(f"{file}: schema {value.get('schema')!r}, expected {SCHEMA!r}")
        baseline = value["baseline"]
        plain = {k: value[k] for k in ("name", "key", "overrides", "seed", "task", "environment", "stages")}
        return cls(
            **plain,
            primary=value["primary"],
            scores=value["scores"],
            baseline_scores=baseline["scores"],
            measurement=Measurement.from_json(value["measurement"]),
            baseline_measurement=Measurement.from_json(baseline["measurement"]),
            tried=value.get("tried", ()),
            difference=Difference(**value["difference"]) if value.get("difference") else None,
            split=value.get("split"),
            scored_on=value.get("scored_on", "test"),
        )


def plan_in(sweep: Path) -> dict[str, Any]:
    """What `plan.json` says: the sweep's id and group, jobs and nodes."""
    found: dict[str, Any] = json.loads((sweep / PLAN).read_text(encoding="utf-8"))
    return found
