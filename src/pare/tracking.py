"""Mirrors a finished job to a tracker. `result.json` is the truth; a tracker that fails changes nothing.

Runs are opened after the measuring is over, so that nothing else runs while the clock does.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pare.errors import ConfigError
from pare.result import Result

#: training curves by stage name
Curves = Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Tracker(ABC):
    """Where results are mirrored to."""

    @abstractmethod
    def check(self) -> None:
        """Raises ConfigError if the tracker is not installed."""

    @abstractmethod
    def mirror(
        self, result: Result, config: Mapping[str, Any], curves: Curves, group: str, folder: Path
    ) -> None:
        """Writes everything about one job as one run."""


@dataclass(frozen=True, kw_only=True)
class Wandb(Tracker):
    """Weights & Biases: online with an account, offline without; `wandb sync` uploads offline runs.

    mode: auto is online where an API key is found. Curves are logged as `STAGE/loss` over `STAGE/step`; all
    else is the summary of the run: scores as `dev/STAGE/METRIC`, their changes as `delta/STAGE/METRIC`.
    """

    project: str = "pare"
    entity: str | None = None
    mode: Literal["auto", "online", "offline"] = "auto"

    def check(self) -> None:
        if find_spec("wandb") is None:
            raise ConfigError("tracker: wandb is not installed (pip install 'pare[wandb]')")

    def mirror(
        self, result: Result, config: Mapping[str, Any], curves: Curves, group: str, folder: Path
    ) -> None:
        import wandb

        with wandb.init(
            project=self.project,
            entity=self.entity,
            mode="online" if self.online() else "offline",
            reinit="create_new",
            id=f"{result.key}-job",
            name=" ".join(result.overrides) or result.name,
            group=group,
            job_type="job",
            dir=str(folder),
            config=dict(config),
            settings=wandb.Settings(
                console="off", x_disable_stats=True, silent=True, init_timeout=5, finish_timeout=60
            ),
        ) as run:
            for stage, curve in curves.items():
                run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
                for point in curve:
                    run.log({f"{stage}/{name}": value for name, value in point.items()})
            run.summary.update(summary_of(result))

    def online(self) -> bool:
        if self.mode != "auto":
            return self.mode == "online"
        if os.environ.get("WANDB_MODE"):
            return os.environ["WANDB_MODE"] == "online"
        return bool(os.environ.get("WANDB_API_KEY")) or has_netrc_entry("api.wandb.ai")


def has_netrc_entry(host: str) -> bool:
    from netrc import NetrcParseError, netrc

    try:
        return netrc().authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False


def summary_of(result: Result) -> dict[str, Any]:
    """The fixed set of numbers a run ends with, flat."""
    found: dict[str, Any] = {}
    for stage in result.stages:
        changes = stage["delta"].get("previous", {})
        for prefix, values in (("dev", stage["scores"]), ("delta", changes)):
            found |= {f"{prefix}/{stage['name']}/{metric}": value for metric, value in values.items()}
    found |= {f"test/{metric}": value for metric, value in result.scores.items()}
    found |= {f"baseline/test/{metric}": value for metric, value in result.baseline_scores.items()}
    for prefix, m in (("", result.measurement), ("baseline/", result.baseline_measurement)):
        found |= {f"{prefix}latency_ms/{k}": value for k, value in m.latency_ms.items() if k != "n"}
        found |= {f"{prefix}end_to_end_ms/{k}": v for k, v in (m.end_to_end_ms or {}).items() if k != "n"}
        plain = (
            "load_ms",
            "first_ms",
            "throughput_per_s",
            "size_mb",
            "memory_mb",
            "gpu_memory_mb",
            "energy_j",
        )
        found |= {f"{prefix}{name}": getattr(m, name) for name in plain}
        for rate in m.rates:
            found[f"{prefix}throughput_per_s/padded_{rate.batch}"] = rate.padded_per_s
            found[f"{prefix}throughput_per_s/bucketed_{rate.batch}"] = rate.bucketed_per_s
        if m.arithmetic is not None:
            found[f"{prefix}peak_fraction"] = m.arithmetic.fraction
    small = result.measurement
    ratios = {
        "speedup": small.speedup,
        "end_to_end_speedup": small.end_to_end_speedup,
        "control": small.control,
    }
    for name, ratio in ratios.items():
        if ratio is not None:
            found |= {f"{name}/{k}": getattr(ratio, k) for k in ("median", "low", "high")}
    return found
