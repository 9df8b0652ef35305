"""The layouts of tables by name."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pare.errors import ConfigError
from pare.study.cells import Column, Table
from pare.study.sources import clue, ernie_tiny, hierarchical, pp_minilm
from pare.study.stagewise import ablation, stages
from pare.study.statistics import Row
from pare.study.tables import Layout, configurations, pivot

ACROSS_TASKS = ("clue",)  # layouts that put several tasks into one table
COMPARED_ALREADY = ("clue", "stages", "template", "ablation")  # with each job's own baseline, or the full one
LAYOUTS: dict[str, Callable[[Sequence[Row], Layout], Table]] = {
    "jobs": configurations,
    "stages": stages,
    "ablation": ablation,
    "pp_minilm": pp_minilm,  # source 000
    "template": stages,  # source 001: what every step costs
    "clue": clue,  # source 002
    "hierarchical": hierarchical,  # source 003
    "ernie_tiny": ernie_tiny,  # source 004
}


def table_of(rows: Sequence[Row], layout: Layout, title: str = "") -> Table:
    """rows: of one task on one machine, already judged; the layouts across tasks take those of several."""
    if not rows:
        return Table(title, [Column("configuration", "configuration", False)], [])
    if layout.name not in LAYOUTS:
        raise ConfigError(f"--layout: no {layout.name!r}; there are {', '.join(LAYOUTS)}")
    if layout.cols and not layout.rows:
        raise ConfigError("--cols: --rows says what the rows are; both are needed")
    if layout.rows and layout.name != Layout.name:
        raise ConfigError(f"--rows: --layout {layout.name} has rows of its own; one of the two is needed")
    if layout.metrics and layout.name in ACROSS_TASKS:
        raise ConfigError(f"--metrics: --layout {layout.name} has columns of its own, one for each task")
    made = pivot(rows, layout) if layout.rows else LAYOUTS[layout.name](rows, layout)
    return replace(made, title=title)
