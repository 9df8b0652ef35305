"""What tables and charts can show of a result: where a number stands, its unit, which way is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pare.errors import ConfigError
from pare.result import Result
from pare.targets.intervals import Speedup
from pare.targets.measurement import Measurement

DELTA = "delta"  # of the primary metric
Change = Literal["points", "times", "percent"]


@dataclass(frozen=True)
class Quantity:
    """of: its value in a result; before: in the result's own baseline. change: how a difference is told.

    paired: how many times better than that baseline, where both were timed in turns.
    """

    name: str
    unit: str
    digits: int
    higher: bool  # is better
    change: Change
    of: Callable[[Result], float | None]
    before: Callable[[Result], float | None]
    paired: Callable[[Result], Speedup | None] = lambda _: None

    @property
    def scale(self) -> float:
        """Scores are fractions, and are shown as points."""
        return 100.0 if self.change == "points" else 1.0


def score(name: str) -> Quantity:
    return Quantity(
        name,
        "",
        2,
        True,
        "points",
        lambda result: result.scores.get(name),
        lambda result: result.baseline_scores.get(name),
    )


def measured(
    name: str,
    unit: str,
    digits: int,
    change: Change,
    of: Callable[[Measurement], float | None],
    paired: Callable[[Measurement], Speedup | None] = lambda _: None,
) -> Quantity:
    return Quantity(
        name,
        unit,
        digits,
        name == RATE,
        change,
        lambda result: of(result.measurement),
        lambda result: of(result.baseline_measurement),
        lambda result: paired(result.measurement),
    )


def params(stage: int) -> Callable[[Result], float | None]:
    def of(result: Result) -> float | None:
        found = result.stages[stage].get("params") if result.stages else None
        return None if found is None else found / 1e6

    return of


LATENCY, SPEEDUP, RATE, SIZE, MEMORY = "latency_ms", "speedup", "throughput_per_s", "size_mb", "memory_mb"
A_TEXT = "text_ms"  # the latency of a call, shared by the texts in it
MEASURED = {
    quantity.name: quantity
    for quantity in (
        measured(LATENCY, "ms", 3, "times", lambda m: m.latency_ms.get("p50"), lambda m: m.speedup),
        measured(A_TEXT, "ms", 3, "times", lambda m: m.latency_ms["p50"] / m.batch, lambda m: m.speedup),
        measured("latency_p90_ms", "ms", 3, "times", lambda m: m.latency_ms.get("p90")),
        measured(
            "end_to_end_ms",
            "ms",
            3,
            "times",
            lambda m: (m.end_to_end_ms or {}).get("p50"),
            lambda m: m.end_to_end_speedup,
        ),
        measured(RATE, "/s", 0, "times", lambda m: m.throughput_per_s),
        measured(SIZE, "MB", 2, "percent", lambda m: m.size_mb),
        measured(MEMORY, "MB", 1, "percent", lambda m: m.memory_mb),
        measured("gpu_memory_mb", "MB", 0, "percent", lambda m: m.gpu_memory_mb),
        measured("energy_mj", "mJ", 3, "percent", lambda m: None if m.energy_j is None else 1e3 * m.energy_j),
        Quantity("params_m", "M", 2, False, "percent", params(-1), params(0)),
    )
}


def quantity_of(name: str, results: Sequence[Result]) -> Quantity:
    """A score or what was measured; raises ConfigError where none of the results has it."""
    scores = sorted({metric for result in results for metric in result.scores})
    if name in scores:
        return score(name)
    if name in MEASURED:
        return MEASURED[name]
    raise ConfigError(
        f"--metrics: no {name!r}; there are {', '.join((*scores, DELTA, SPEEDUP, *MEASURED, *TEXTS))}"
    )


#: in words: what a configuration was computed in and where
TEXTS: dict[str, Callable[[Result], str]] = {
    "dtype": lambda result: result.measurement.precision,  # a score may be called precision
    "runtime": lambda result: result.measurement.runtime,
    "hardware": lambda result: result.measurement.hardware,
    "task": lambda result: result.task,
}
