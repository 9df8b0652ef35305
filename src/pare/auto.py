"""The automatic strategy: strategies from cheap to dear, tried on the target, and the best that passes.

It explains itself: every trial is kept with what it scored, what it cost and why it was or was not taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pare.errors import GateFailed, StageFailed
from pare.pipeline import Expect, Outcome, Pipeline
from pare.stages.finetune import Finetune
from pare.stages.stage import Stage
from pare.steps import Step, Trial
from pare.strategy import Strategy, emulated
from pare.targets.measurement import Measure, Measurement

BUDGETS = {"latency_ms": "max_latency_ms", "size_mb": "max_size_mb", "memory_mb": "max_memory_mb"}


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Tries `candidates`, strategies by name, in their order: from cheap to dear.

    max_drop: how much of the primary metric may be lost on dev.
    max_latency_ms (p50), max_size_mb, max_memory_mb: with a budget the first that keeps to all of it is
    taken; without one all are tried and the fastest is.
    """

    candidates: Mapping[str, Mapping[str, Stage]]
    max_drop: float = 0.01
    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    max_memory_mb: float | None = None

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("candidates: at least one strategy is needed")
        if not 0 <= self.max_drop <= 1:
            raise ValueError(f"max_drop={self.max_drop}: a fraction, in [0, 1]; 0.01 is one point")
        for name in BUDGETS.values():
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value}: must be above 0")

    @property
    def has_budget(self) -> bool:
        return any(getattr(self, name) is not None for name in BUDGETS.values())

    def strategies(self) -> dict[str, Strategy]:
        return {name: tuple(stages.items()) for name, stages in self.candidates.items()}

    def objections(self, drop: float, costs: Mapping[str, float | None]) -> list[str]:
        """Why a candidate cannot be taken; empty where it can."""
        found = []
        if drop > self.max_drop:
            found.append(f"loses {100 * drop:.2f} points, {100 * self.max_drop:.2f} are allowed")
        for cost, name in BUDGETS.items():
            most, value = getattr(self, name), costs[cost]
            if most is not None and value is None:
                found.append(f"{cost} cannot be measured here")
            elif most is not None and value is not None and value > most:
                found.append(f"{cost} is {value:.3g}, {most:g} is allowed")
        return found


@dataclass(frozen=True)
class Taken:
    """The strategy that was taken, what came of it, and everything that was tried."""

    strategy: Strategy
    outcome: Outcome
    tried: tuple[Trial, ...]


def search(
    auto: Auto,
    pipeline: Pipeline,
    finetune: Finetune,
    settings: Measure,
    on_step: Callable[[Step], None],
    on_trial: Callable[[Trial], None],
    expect: Expect | None = None,
    given_up: Sequence[str | None] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> Taken:
    """Carries candidates out until one is right; GateFailed, naming all that was tried, where none is.

    Where fine-tuning fails nothing is tried. given_up: of each why it was, where it was tried before.
    left_out: why others are no candidates on this target.
    """
    trials = [Trial(name, why) for name, why in left_out.items()]
    for trial in trials:
        on_trial(trial)
    passed: dict[str, tuple[Strategy, Outcome, float]] = {}
    known = dict(enumerate(given_up))
    start = pipeline.begin(finetune, on_step, expect)
    for number, (name, strategy) in enumerate(auto.strategies().items()):
        try:
            if why := known.get(number):
                raise StageFailed(why)
            if not auto.has_budget and (why := emulated(strategy, pipeline.hardware)):
                raise StageFailed(why)
            outcome = pipeline.carry_on(start, strategy, on_step)
            graphs = pipeline.baseline_graphs(strategy, outcome.baseline)
            measured, _, _ = pipeline.measure(outcome.final, graphs, settings)
        except (GateFailed, StageFailed) as failure:
            trials.append(Trial(name, str(failure)))
            on_trial(trials[-1])
            continue
        trials.append(trial_of(auto, name, pipeline.task.primary, outcome, measured))
        on_trial(trials[-1])
        if not trials[-1].why:
            passed[name] = (strategy, outcome, measured.speedup.median)
            if auto.has_budget:
                break
    if not passed:
        told = "; ".join(f"{trial.name} {trial.why}" for trial in trials)
        raise GateFailed(f"compression.auto: none of {len(trials)} strategies will do: {told}")
    best = max(passed, key=lambda name: passed[name][2])
    tried = tuple(replace(trial, taken=trial.name == best) for trial in trials)
    return Taken(passed[best][0], passed[best][1], tried)


def trial_of(auto: Auto, name: str, metric: str, outcome: Outcome, measured: Measurement) -> Trial:
    drop = outcome.drop(metric)
    costs: dict[str, float | None] = {
        "latency_ms": measured.latency_ms["p50"],
        "size_mb": measured.size_mb,
        "memory_mb": measured.memory_mb,
    }
    why = "; ".join(auto.objections(drop, costs))
    return Trial(
        name,
        why,
        drop,
        speedup=measured.speedup.median,
        latency_ms=costs["latency_ms"],
        size_mb=costs["size_mb"],
        memory_mb=costs["memory_mb"],
    )
