"""A strategy carried out: each stage from the store or computed, scored, and judged by its gate."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pare.cached import Cached, is_decided_by_measuring
from pare.checkpoint import Checkpoint
from pare.errors import GateFailed, StageFailed
from pare.stages.finetune import Finetune
from pare.stages.networks import is_fine_tuned
from pare.stages.stage import Gate, Stage
from pare.steps import Scores, Step, Verdict, lost
from pare.strategy import BASELINE, Strategy
from pare.targets.measurement import Measure

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What the fine-tuned model must score on dev, give or take, before anything is made of it.

    metric: the task's primary one where not given.
    """

    value: float
    tolerance: float = 0.01
    metric: str | None = None

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise ValueError(f"tolerance={self.tolerance}: cannot be negative")

    def hold_to(self, scores: Scores, primary: str) -> None:
        metric = self.metric or primary
        if metric not in scores:
            raise GateFailed(f"expect.metric: no {metric!r}; the task has {sorted(scores)}", BASELINE)
        if abs(lost(self.value, scores[metric])) > self.tolerance:
            raise GateFailed(
                f"expect: {metric} of the fine-tuned model is {scores[metric]:.4f} on dev, "
                f"{self.value:g} ± {self.tolerance:g} was expected; nothing was compressed",
                BASELINE,
            )


@dataclass(frozen=True)
class Outcome:
    """The fine-tuned model, what became of it, and every step between."""

    steps: tuple[Step, ...]
    baseline: Checkpoint
    final: Checkpoint

    def drop(self, metric: str) -> float:
        """What was lost on dev in all."""
        kept = [step for step in self.steps if step.used]
        return lost(kept[0].scores[metric], kept[-1].scores[metric])


class Pipeline(Cached):
    """Carries strategies out for one task, seed and target, through one store."""

    def execute(
        self,
        finetune: Finetune,
        strategy: Strategy,
        on_step: Callable[[Step], None],
        expect: Expect | None = None,
    ) -> Outcome:
        """Fine-tunes and runs the strategy on that; `on_step` hears of each stage as it ends."""
        return self.carry_on(self.begin(finetune, on_step, expect), strategy, on_step)

    def begin(self, finetune: Finetune, on_step: Callable[[Step], None], expect: Expect | None) -> Step:
        """The fine-tuned model, as good as is expected."""
        start = self.step(BASELINE, finetune, {}, None, None)
        on_step(start)
        if expect is not None:
            expect.hold_to(start.scores, self.task.primary)
        if not start.cached:
            self.warn_if_nothing_was_learnt(finetune, start.scores[self.task.primary])
        return start

    def carry_on(self, start: Step, strategy: Strategy, on_step: Callable[[Step], None]) -> Outcome:
        """Runs the strategy on what `begin` gave."""
        steps = [start]

        def note(step: Step) -> Step:
            steps.append(step)
            on_step(step)
            return step

        current = start  # the step whose checkpoint the next stage takes
        network = start
        since: list[tuple[Step, Stage]] = []  # what was made of the last network
        for name, stage in strategy:
            step = self.step(name, stage, {"model": current, "baseline": start}, current, start)
            if stage.gate is not None:
                step = self.judged(step, stage.gate)
            note(step)
            action = step.verdict.action if step.verdict else "passed"
            if action == "stop":
                raise GateFailed(gate_message(step), step.name)
            if action == "skip":
                continue
            if action == "escalate":
                before = [made for made, _ in since]
                steps[:] = [replace(made, used=False) if made in before else made for made in steps]
                network, *redone = self.escalate(name, stage, since, network, start, current, note)
                since = list(zip(redone, [kind for _, kind in since], strict=False))
                step = redone[-1]
            current = step
            since = [*since, (step, stage)]
            if step.checkpoint.format == "torch":
                network, since = step, []
        return Outcome(tuple(steps), start.checkpoint, current.checkpoint)

    def warn_if_nothing_was_learnt(self, finetune: Finetune, score: float) -> None:
        """score: of the fine-tuned model on dev."""
        if finetune.train.steps == 0 and not is_fine_tuned(finetune.model, self.task):
            log.warning(
                "train.steps=0: %s does not answer this task by these labels; "
                "heads were drawn at random, and all scores are of that",
                finetune.model.name,
            )
            return
        if score <= (floor := self.task.floor("dev")):
            log.warning(
                "fine-tuning %s: %s is %.4f on dev, and one and the same answer to everything scores %.4f: "
                "it learnt nothing; try a lower train.learning_rate, a longer train.warmup or more steps",
                finetune.model.name, self.task.primary, score, floor,
            )  # fmt: skip

    def escalate(
        self,
        name: str,
        stage: Stage,
        since: Sequence[tuple[Step, Stage]],
        network: Step,
        start: Step,
        before: Step,
        note: Callable[[Step], Step],
    ) -> list[Step]:
        """The dearer sibling on the last network, then everything since, then the stage again."""
        sibling = stage.escalation
        assert sibling is not None  # `problems` saw to it
        assert stage.gate is not None
        done = [note(self.step(sibling.kind, sibling, {"model": network, "baseline": start}, network, start))]
        for made, repeated in since:
            inputs = {"model": done[-1], "baseline": start}
            done.append(note(self.step(made.name, repeated, inputs, done[-1], start)))
        last = self.step(name, stage, {"model": done[-1], "baseline": start}, before, start)
        last = note(self.judged(last, replace(stage.gate, on_fail="stop")))
        if last.verdict and not last.verdict.passed:
            raise GateFailed(f"{gate_message(last)}, after {sibling.kind} too", last.name)
        return [*done, last]

    def step(
        self,
        name: str,
        stage: Stage,
        inputs: Mapping[str, Step],
        previous: Step | None,
        start: Step | None,
    ) -> Step:
        began = time.perf_counter()
        sources = {role: inputs[role].checkpoint for role in stage.roles()}
        stage = self.settled(stage, sources)
        entry, cached = self.produce(stage, sources)
        checkpoint = Checkpoint(entry.path, entry.digest)
        scores = {} if checkpoint.format == "cohort" else self.score(checkpoint, "dev")[0]
        return Step(
            name=name,
            kind=stage.kind,
            key=entry.key,
            cached=cached,
            seconds=time.perf_counter() - began,
            computed_s=float(str(entry.meta["seconds"])),
            checkpoint=checkpoint,
            scores=scores,
            previous=(previous.scores or previous.previous) if previous else None,
            baseline=start.scores if start else None,
        )

    def settled(self, stage: Stage, sources: Mapping[str, Checkpoint]) -> Stage:
        """The stage with what depends on the target decided by measuring there."""
        if not is_decided_by_measuring(stage):
            return stage
        fused, plain = (replace(stage, lowering=lowering) for lowering in ("fused", "plain"))
        made = [self.produce(choice, sources)[0] for choice in (fused, plain)]
        graphs = [Checkpoint(entry.path, entry.digest) for entry in made]
        measured, _, _ = self.measure(graphs[0], graphs[1:], Measure(launches=3, seconds=4, peak=False))
        return fused if measured.speedup.median >= 1 else plain

    def judged(self, step: Step, gate: Gate) -> Step:
        metric = gate.metric or self.task.primary
        if metric not in step.scores:
            raise StageFailed(f"gate of {step.name}: no metric {metric!r}; there are {sorted(step.scores)}")
        assert step.previous is not None
        drop = lost(step.previous[metric], step.scores[metric])
        passed = drop <= gate.max_drop
        action = "passed" if passed else gate.on_fail
        verdict = Verdict(metric, drop, gate.max_drop, passed, action)
        return replace(step, verdict=verdict, used=action not in ("skip", "escalate", "stop"))


def gate_message(step: Step) -> str:
    assert step.verdict is not None
    v = step.verdict
    return (
        f"gate of {step.name}: {v.metric} fell by {100 * v.drop:.2f} points on dev, "
        f"{100 * v.max_drop:.2f} are allowed"
    )
