"""When a trial is given up by what its early stages score on dev."""

from collections.abc import Callable

from pare.config import Job
from pare.errors import Hopeless
from pare.stages.stage import Stage
from pare.steps import Step, lost
from pare.strategy import Strategy


def judge_of(job: Job, strategy: Strategy) -> Callable[[Step], None]:
    """Raises Hopeless for a stage that lost too much, unless what comes after it may recover that."""
    most, judged = most_drop(job), judged_in(job, strategy)

    def judge(step: Step) -> None:
        metric = job.task.primary
        if most is None or step.name not in judged or not step.used or not step.scores or not step.baseline:
            return
        drop = lost(step.baseline[metric], step.scores[metric])
        if drop > most:
            raise Hopeless(
                f"{step.name}: {metric} is {100 * drop:.2f} points below the fine-tuned model on dev; "
                f"more than {100 * most:.2f} are hopeless",
                step.name,
                drop,
            )

    return judge


def most_drop(job: Job) -> float | None:
    return None if job.sweep.search is None else job.sweep.search.most_drop()


def judged_in(job: Job, strategy: Strategy) -> set[str]:
    """The stages that are judged: those that train, which is recovery, and those after which none does."""
    if most_drop(job) is None:
        return set()
    return {
        name
        for place, (name, stage) in enumerate(strategy)
        if trains(stage) or not any(trains(later) for _, later in strategy[place:])
    }


def trains(stage: Stage) -> bool:
    return hasattr(stage, "train")
