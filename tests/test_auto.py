"""compression=auto and expect: what is tried, what is taken, and why."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from commands import ROOT, TINY, job, result_of, run
from pare.auto import Auto, Taken, Trial, search
from pare.choosing import take_quickest
from pare.errors import GateFailed, NonFiniteLoss
from pare.pipeline import Expect
from pare.report import Terminal
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.quantize import Quantize
from pare.stages.stage import Gate, Stage
from pare.stages.vocabulary import Vocabulary
from pare.stages.width import Width
from pare.steps import Step
from pare.targets.measurement import Measure
from pare.ways import Way
from small import FINETUNE, HARDWARE, ignore, pipeline

MEASURE = Measure(launches=2, seconds=0.2, texts=20, peak=False)
WITHOUT_WIDTHS = (
    "compression=auto",
    "~compression.auto.candidates.width_half",
    "~compression.auto.candidates.width_int8",
    "~compression.auto.candidates.width_qat",
)
RUINOUS = Width(keep=0.02, importance="magnitude", multiple_of=1)
CANDIDATES: Mapping[str, Mapping[str, Stage]] = {
    "as_it_is": {"export": Export()},
    "int8": {"export": Export(), "quantize": Quantize(calibration_rows=16)},
    "ruined": {"width": RUINOUS, "export": Export()},
}


def test_why_a_trial_failed_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets are no styles."""
    Terminal().trial(Trial("int8", "shape [/1, 16] of [red]x"))
    assert "int8: shape [/1, 16] of [red]x" in capsys.readouterr().out


def searched(root: Path, auto: Auto) -> Taken:
    return search(auto, pipeline(root), FINETUNE, MEASURE, ignore, lambda trial: None)


def by_name(taken: Taken) -> dict[str, Trial]:
    return {trial.name: trial for trial in taken.tried}


def test_all_are_tried_and_one_that_passes_is_taken(root: Path) -> None:
    taken = searched(root, Auto(candidates=CANDIDATES, max_drop=0.05))
    tried = by_name(taken)
    assert list(tried) == ["as_it_is", "int8", "ruined"]
    assert "points, 5.00 are allowed" in tried["ruined"].why
    passed = [trial for trial in taken.tried if not trial.why]
    assert max(passed, key=lambda trial: trial.speedup or 0).taken
    assert [trial.taken for trial in taken.tried].count(True) == 1
    assert not tried["ruined"].taken


def test_with_a_budget_the_first_that_keeps_to_it_is_taken(root: Path) -> None:
    whole = by_name(searched(root, Auto(candidates=CANDIDATES, max_drop=0.05)))
    assert whole["int8"].size_mb is not None
    auto = Auto(candidates=CANDIDATES, max_drop=0.05, max_size_mb=whole["int8"].size_mb * 1.01)
    tried = by_name(searched(root, auto))
    assert list(tried) == ["as_it_is", "int8"]
    assert "size_mb is" in tried["as_it_is"].why
    assert tried["int8"].taken


def test_a_gate_that_fails_is_one_more_trial(root: Path) -> None:
    strict = {"width": Width(keep=0.02, importance="magnitude", multiple_of=1, gate=Gate(max_drop=0.0))}
    candidates = {"gated": {**strict, "export": Export()}, "as_it_is": {"export": Export()}}
    tried = by_name(searched(root, Auto(candidates=candidates)))
    assert tried["gated"].why.startswith("gate of width")
    assert tried["as_it_is"].taken


def test_a_strategy_is_judged_by_what_came_of_it(root: Path) -> None:
    """Its last stage lost too much and was skipped, so nothing was lost."""
    skipped = Quantize(weight_bits=4, calibration_rows=16, gate=Gate(max_drop=0.0, on_fail="skip"))
    candidates = {"int4": {"export": Export(), "quantize": skipped}}
    (trial,) = searched(root, Auto(candidates=candidates, max_drop=0.0)).tried
    assert trial.drop == 0
    assert trial.taken


def test_what_was_given_up_before_is_a_trial_that_is_not_tried(root: Path) -> None:
    candidates = {"lost": {"export": Export()}, "as_it_is": {"export": Export()}}
    lost = ["its machine said no", None]
    auto = Auto(candidates=candidates)
    found = search(auto, pipeline(root), FINETUNE, MEASURE, ignore, lambda trial: None, None, lost)
    assert [(trial.why, trial.taken) for trial in found.tried] == [("its machine said no", False), ("", True)]


def test_a_strategy_whose_settings_do_not_fit_is_one_more_trial(root: Path) -> None:
    """Which is known only once the model is there."""
    candidates = {"longer": {"vocabulary": Vocabulary(max_length=999), "export": Export()}, **CANDIDATES}
    tried = by_name(searched(root, Auto(candidates=candidates, max_drop=0.05)))
    assert tried["longer"].why.startswith("vocabulary.max_length=999")
    assert any(trial.taken for trial in tried.values())


def test_a_fine_tuning_that_fails_is_not_repeated_for_each_candidate(tmp_path: Path) -> None:
    wild = replace(FINETUNE, train=replace(FINETUNE.train, learning_rate=1e30, max_gradient_norm=1e30))
    tried: list[Trial] = []
    with pytest.raises(NonFiniteLoss):
        search(Auto(candidates=CANDIDATES), pipeline(tmp_path), wild, MEASURE, ignore, tried.append)
    assert tried == []


def test_a_model_that_is_not_what_was_promised_is_compressed_in_no_way(root: Path) -> None:
    steps: list[str] = []

    def note(step: Step) -> None:
        steps.append(step.name)

    promised = (Expect(value=0.123), ())
    auto = Auto(candidates=CANDIDATES)
    with pytest.raises(GateFailed, match="expect: exact_match"):
        search(auto, pipeline(root), FINETUNE, MEASURE, note, lambda trial: None, *promised)
    ways = [Way(HARDWARE, tuple(stages.items())) for stages in CANDIDATES.values()]
    lines = [pipeline(root)] * len(ways)
    with pytest.raises(GateFailed, match="expect: exact_match"):
        take_quickest(ways, lines, FINETUNE, MEASURE, note, lambda trial: None, *promised)
    assert steps == ["finetune"] * 2


def test_where_none_will_do_all_that_was_tried_is_named(root: Path) -> None:
    with pytest.raises(
        GateFailed, match=r"none of 3 strategies will do: as_it_is size_mb .*; int8 .*; ruined"
    ):
        searched(root, Auto(candidates=CANDIDATES, max_size_mb=0.001))


def test_a_model_that_is_not_what_was_promised_is_not_compressed(root: Path) -> None:
    strategy = (("export", Export()),)
    steps: list[str] = []
    there = pipeline(root)
    with pytest.raises(GateFailed, match=r"expect: exact_match .* 0\.123 ± 0\.01 was expected"):
        there.execute(FINETUNE, strategy, lambda step: steps.append(step.name), Expect(value=0.123))
    assert steps == ["finetune"]
    score = there.execute(FINETUNE, strategy, ignore).steps[0].scores["exact_match"]
    there.execute(FINETUNE, strategy, ignore, Expect(value=score, tolerance=0.0))
    with pytest.raises(GateFailed, match=r"expect.metric: no 'bleu'; the task has \['exact_match'"):
        there.execute(FINETUNE, strategy, ignore, Expect(value=score, metric="bleu"))


def test_auto_from_the_command_line(tmp_path: Path) -> None:
    done = job(
        tmp_path,
        *TINY, *WITHOUT_WIDTHS, "compression.auto.max_drop=0.5", "measure.fresh=true",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path / "job")
    tried = result["tried"]
    assert [trial["name"] for trial in tried] == ["as_it_is", "half", "int8"]
    (taken,) = (trial for trial in tried if trial["taken"])
    assert taken["latency_ms"] == result["measurement"]["latency_ms"]["p50"], "what it was taken for"
    assert "taken: " in done.stdout
    assert (ROOT / "conf" / "compression" / "auto.yaml").is_file()


@pytest.mark.parametrize("budget", [None, 1000.0])
def test_what_can_only_be_slower_is_not_measured_unless_there_is_a_budget_to_keep(
    root: Path, monkeypatch: pytest.MonkeyPatch, budget: float | None
) -> None:
    monkeypatch.setattr("pare.targets.processor.features", lambda: frozenset({"avx2"}))
    candidates = {"half": {"export": Export(), "half": Half()}, **CANDIDATES}
    tried = by_name(searched(root, Auto(candidates=candidates, max_drop=0.5, max_size_mb=budget)))
    assert list(tried) == (["half"] if budget else ["half", *CANDIDATES])
    if budget:
        assert tried["half"].taken
    else:
        assert tried["half"].why.startswith("half: makes fp16, but this CPU has no instructions for FP16")
        assert not tried["int8"].why, "slower than with instructions of its own, and quicker than FP32"


def test_auto_on_another_runtime_leaves_out_what_that_cannot_run(tmp_path: Path) -> None:
    done = job(tmp_path, *TINY, *WITHOUT_WIDTHS, "hardware=openvino", "compression.auto.max_drop=0.5")
    assert done.returncode == 0, done.stderr
    tried = {trial["name"]: trial for trial in result_of(tmp_path / "job")["tried"]}
    assert tried["half"]["why"] == "half: half is for ONNX graphs only"
    assert [name for name, trial in tried.items() if trial["speedup"]] == ["as_it_is", "int8"]
    assert "half: half: half is for ONNX graphs only" in done.stdout


def test_where_no_candidate_can_run_all_reasons_are_told(tmp_path: Path) -> None:
    without = (*WITHOUT_WIDTHS, "~compression.auto.candidates.as_it_is")
    done = run(*without, "hardware=torch", f"store.root={tmp_path}")
    assert done.returncode == 2
    starts = [f"error: compression.auto.candidates.{name}: " for name in ("half: half", "int8: quantize")]
    lines = done.stderr.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_auto_stands_alone(tmp_path: Path) -> None:
    done = run("compression=auto", "+compression/depth=every_other", f"store.root={tmp_path}")
    assert done.returncode == 2
    assert "compression.auto: chooses the whole strategy; drop depth" in done.stderr
