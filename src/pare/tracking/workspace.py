"""A workspace of wandb's, ready-made: the front, quality, costs and training curves of all jobs."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pare.errors import ConfigError, PareError
from pare.tracking.tracker import one_line

NAME = "Pare"


def workspace(entity: str, project: str) -> Any:
    """Nothing is sent before its `save`."""
    if find_spec("wandb_workspaces") is None:
        raise ConfigError("workspace: wandb-workspaces is not installed (pip install -e '.[wandb]')")
    panels: Any = import_module("wandb_workspaces.reports.v2")  # which does not export what it offers
    layout: Any = import_module("wandb_workspaces.workspaces")

    def points(cost: str) -> Any:
        return panels.ScatterPlot(title=f"primary against {cost}", x=metric(cost), y=metric("primary"))

    def metric(name: str) -> Any:
        return panels.SummaryMetric(name)

    axes = ("latency_ms/p50", "speedup/median", "size_mb", "memory_mb", "primary")
    sections = {
        "The front": [
            points("latency_ms/p50"),
            points("size_mb"),
            points("memory_mb"),
            panels.ParallelCoordinatesPlot(
                title="costs and quality",
                columns=[panels.ParallelCoordinatesPlotColumn(metric=metric(name)) for name in axes],
            ),
        ],
        "Quality": [
            panels.BarPlot(title=name, metrics=[name])
            for name in ("primary", "primary_change", "baseline/primary")
        ],
        "Cost": [
            panels.BarPlot(title=name, metrics=[name])
            for name in ("latency_ms/p50", "speedup/median", "throughput_per_s", "size_mb", "memory_mb")
        ],
        "Training": [
            panels.LinePlot(title=f"{name} of each stage", x="Step", metric_regex=f"train/.*/{name}")
            for name in ("loss", "dev", "learning_rate")
        ],
        "What differs": [panels.RunComparer(diff_only="split")],
    }
    return layout.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[layout.Section(name=name, panels=found, is_open=True) for name, found in sections.items()],
        runset_settings=layout.RunsetSettings(
            filters="Metric('JobType') == 'job'"  # a report run has none of these numbers
        ),
    )


def as_json(made: Any) -> str:
    """What `save` would send."""
    return str(made._to_model().model_dump_json(indent=2))


def save(made: Any) -> str:
    """Its address; a new workspace, whatever there is already."""
    try:
        return str(made.save().url)
    except Exception as e:  # of requests, wandb or its server
        raise PareError(f"workspace: {one_line(e)}") from None
