"""A gate decides which checkpoint the next stage starts from; one test for each thing it can do."""

import pickle
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pare.aims import Search
from pare.auto import BUDGETS, Auto
from pare.errors import GateFailed, Hopeless
from pare.pipeline import Expect, Outcome, Step
from pare.stages.cohort import Cohort
from pare.stages.distill import Distill
from pare.stages.dynamic import Dynamic
from pare.stages.export import Export
from pare.stages.qat import Qat
from pare.stages.quantize import Quantize
from pare.stages.stage import Gate
from pare.stages.take import Take
from pare.stages.width import Width
from pare.strategy import Strategy, problems
from pare.sweeps.hopeless import judge_of
from pare.targets.hardware import Hardware
from small import FINETUNE, HARDWARE, QUICK, TASK, ignore, pipeline

RUINOUS = {"keep": 0.02, "importance": "magnitude", "multiple_of": 1}  # leaves one head and three neurons
ESCALATE = Gate(on_fail="escalate")


def execute(root: Path, *strategy: tuple[str, object]) -> Outcome:
    return pipeline(root).execute(FINETUNE, strategy, ignore)  # type: ignore[arg-type]


def width(on_fail: str, max_drop: float = 0.0) -> Width:
    return Width(**RUINOUS, gate=Gate(max_drop=max_drop, on_fail=on_fail))  # type: ignore[arg-type]


def named(outcome: Outcome, name: str) -> Step:
    return next(step for step in outcome.steps if step.name == name)


def test_a_stage_that_loses_little_passes(root: Path) -> None:
    outcome = execute(root, ("width", width("stop", max_drop=1.0)), ("export", Export()))
    verdict = named(outcome, "width").verdict
    assert verdict is not None
    assert verdict.passed
    assert outcome.final.parameters < outcome.baseline.parameters


def test_stop_ends_the_job_and_names_the_loss(root: Path) -> None:
    with pytest.raises(
        GateFailed, match=r"gate of width: exact_match fell by .* 0\.00 are allowed"
    ) as caught:
        execute(root, ("width", width("stop")), ("export", Export()))
    assert caught.value.stage == "width"


@pytest.mark.parametrize(("allowed", "passes"), [(0.005, True), (0.0049, False)])
def test_a_drop_of_exactly_what_is_allowed_passes_everywhere(
    root: Path, allowed: float, passes: bool
) -> None:
    """In binary 0.985 - 0.98 is more than 0.005."""
    export = ("export", Export())
    start, made = execute(root, export).steps
    before, after = {"exact_match": 0.985}, {"exact_match": 0.98}
    step = replace(made, scores=after, previous=before, baseline=before)
    verdict = pipeline(root).judged(step, Gate(max_drop=allowed)).verdict
    assert verdict is not None
    assert verdict.passed == passes

    outcome = Outcome((replace(start, scores=before), step), start.checkpoint, made.checkpoint)
    auto = Auto(candidates={"none": dict([export])}, max_drop=allowed)
    objections = auto.objections(outcome.drop("exact_match"), dict.fromkeys(BUDGETS))
    assert (objections == []) == passes

    def allows() -> bool:
        aims = Search(objectives={"speedup": "maximize"}, constraints={"max_drop": allowed}, slack=0.0)
        job = SimpleNamespace(task=TASK, sweep=SimpleNamespace(search=aims))
        try:
            Expect(value=0.985, tolerance=allowed).hold_to(after, "exact_match")
            judge_of(job, [export])(step)  # type: ignore[arg-type]
        except GateFailed:
            return False
        return True

    assert allows() == passes


@pytest.mark.parametrize("error", [GateFailed("too much", "width"), Hopeless("too much", "width", 0.5)])
def test_what_failed_is_known_in_other_processes_too(error: GateFailed) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), vars(found)) == (type(error), "too much", vars(error))


def test_skip_goes_on_from_the_checkpoint_before(root: Path) -> None:
    outcome = execute(root, ("width", width("skip")), ("export", Export()))
    assert not named(outcome, "width").used
    assert outcome.final.parameters == outcome.baseline.parameters
    plain = execute(root, ("export", Export()))
    assert outcome.final.digest == plain.final.digest


def test_keep_goes_on_all_the_same_and_says_so(root: Path) -> None:
    outcome = execute(root, ("width", width("keep")), ("export", Export()))
    step = named(outcome, "width")
    assert step.used
    assert step.verdict is not None
    assert (step.verdict.passed, step.verdict.action) == (False, "keep")
    assert outcome.final.parameters == step.checkpoint.parameters < outcome.baseline.parameters


def test_escalate_trains_for_int8_and_quantizes_again(root: Path) -> None:
    # 4-bit weights lose something that training with their rounding cannot make worse than all of it
    allowed = quantization_loss(root) - 1e-9
    escalation = Qat(train=QUICK, calibration_rows=8)
    gate = Gate(max_drop=max(0.0, allowed), on_fail="escalate")
    quantize = Quantize(weight_bits=4, calibration_rows=16, gate=gate, escalation=escalation)
    steps: list[Step] = []
    with suppress(GateFailed):  # whether training helps enough is not the question here
        pipeline(root).execute(FINETUNE, (("export", Export()), ("quantize", quantize)), steps.append)
    assert [step.name for step in steps] == ["finetune", "export", "quantize", "qat", "export", "quantize"]
    first, again = steps[2], steps[5]
    assert first.verdict is not None
    assert first.verdict.action == "escalate"
    assert not first.used
    assert steps[3].kind == "qat"
    assert again.verdict is not None
    assert again.used == again.verdict.passed
    assert steps[3].checkpoint.format == "torch"
    assert again.checkpoint.facts["integer_linear_maps"] == first.checkpoint.facts["integer_linear_maps"]


def test_integer_kernels_are_refused_where_they_would_fall_back_to_the_cpu() -> None:
    cuda = Hardware(name="cuda", device="cuda")
    (problem,) = problems((("export", Export()), ("quantize", Quantize())), cuda)
    assert problem == "compression.quantize: what quantize makes runs on cpu, not on hardware=cuda (cuda)"


def quantization_loss(root: Path) -> float:
    quantize = Quantize(weight_bits=4, calibration_rows=16)
    outcome = execute(root, ("export", Export()), ("quantize", quantize))
    return named(outcome, "export").scores["exact_match"] - outcome.steps[-1].scores["exact_match"]


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        ((("quantize", Quantize()), ("width", Width())), "compression.quantize: takes onnx, but finetune"),
        ((("export", Export()), ("width", Width())), "compression.width: takes torch, but export before it"),
        ((("width", Width()),), "take compression/export=onnx"),
        (
            (("width", Width()), ("distill", Distill(student=FINETUNE.model)), ("export", Export())),
            "drop it with ~compression/width",
        ),
        (
            (("export", Export(gate=Gate(on_fail="skip"))),),
            "compression.export.gate.on_fail: skip is impossible",
        ),
        (
            (("export", Export(gate=Gate(on_fail="escalate"))),),
            "escalate needs compression.export.escalation",
        ),
        (
            (("export", Export()), ("quantize", Quantize(gate=ESCALATE, escalation=Dynamic()))),
            "compression.quantize.escalation: dynamic makes onnx of onnx; it has to make a network of",
        ),
        (
            (("export", Export()), ("quantize", Quantize(gate=ESCALATE, escalation=Qat(gate=Gate())))),
            "compression.quantize.escalation.gate: nobody asks it; compression.quantize.gate judges",
        ),
        (
            (
                ("cohort", Cohort(students={"one": FINETUNE.model}, gate=Gate())),
                ("take", Take(student="one")),
                ("export", Export()),
            ),
            "compression.cohort.gate: a cohort has no score; the gate belongs to the take stage",
        ),
    ],
)
def test_strategies_that_cannot_work_are_refused(strategy: Strategy, problem: str) -> None:
    found = problems(strategy, HARDWARE)
    assert len(found) == 1
    assert problem in found[0]
