"""`hardware=auto`: the strategy carried out for each runtime that is here, and the quickest result taken."""

from collections.abc import Callable, Sequence

from pare.auto import Taken
from pare.errors import GateFailed, StageFailed
from pare.pipeline import Expect, Outcome, Pipeline
from pare.stages.finetune import Finetune
from pare.steps import Step, Trial
from pare.targets.measurement import Measure
from pare.ways import Way


def take_quickest(
    ways: Sequence[Way],
    pipelines: Sequence[Pipeline],
    finetune: Finetune,
    settings: Measure,
    on_step: Callable[[Step], None],
    on_trial: Callable[[Trial], None],
    expect: Expect | None,
    given_up: Sequence[str | None] = (),
) -> tuple[Pipeline, Taken]:
    """GateFailed, naming all that was tried, where no way ends well; where fine-tuning fails none is gone.

    pipelines: one for each way. given_up: of each why it was, where it was tried before.
    """
    start = pipelines[0].begin(finetune, on_step, expect)  # scored in PyTorch, whatever the runtime
    ended: dict[int, Outcome] = {}
    failed = {number: why for number, why in enumerate(given_up) if why}
    for number, (way, pipeline) in enumerate(zip(ways, pipelines, strict=True)):
        if number in failed:
            continue
        try:
            ended[number] = pipeline.carry_on(start, way.strategy, on_step)
        except (GateFailed, StageFailed) as failure:
            failed[number] = str(failure)
    if not ended:
        told = "; ".join(f"{ways[number].hardware.way}: {why}" for number, why in failed.items())
        raise GateFailed(f"hardware={ways[0].hardware.name}: no runtime will do: {told}")
    finals = [(outcome.final, ways[number].hardware) for number, outcome in ended.items()]
    times = dict(zip(ended, pipelines[0].quickest(finals, settings), strict=True))
    best = min(times, key=lambda number: times[number])
    trials = []
    for number, way in enumerate(ways):
        outcome = ended.get(number)
        trial = Trial(
            name=way.hardware.way,
            why=failed.get(number, ""),
            latency_ms=times.get(number),
            size_mb=outcome.final.model_bytes() / 1e6 if outcome else None,
            taken=number == best,
        )
        trials.append(trial)
        on_trial(trial)
    return pipelines[best], Taken(ways[best].strategy, ended[best], tuple(trials))
