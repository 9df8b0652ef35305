"""Trials as Optuna keeps them: asked by each sampler, told, halved, and taken up again after a kill."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pare.aims import QUANTITIES, Search
from pare.build import build
from pare.errors import ConfigError
from pare.files import write_json
from pare.result import STATUS
from pare.searching.asked import Asked, Found, outcome, quantities_of
from pare.searching.halving import promoted, ranked
from pare.searching.space import Interval, Space, Steps, Values
from pare.searching.trials import Trials, forgotten, opened
from sample import RESULT

SEARCH = Search(
    sampler="random",
    objectives={"quality": "maximize", "latency_ms": "minimize"},
    constraints={"max_drop": 0.1, "max_size_mb": None},
    batch=4,
)
SPACE = Space({"x": Interval(0.0, 1.0, False, False), "kind": Values(("a", "b")), "n": Steps((1, 2, 3))}, {})
LISTED = Space({"kind": Values(("a", "b")), "n": Steps((1, 2, 3))}, {})


def found_for(point: Mapping[str, str]) -> Found:
    """A landscape: best at x = 0.7 and kind a; n costs time."""
    drop = (float(point.get("x", 0.7)) - 0.7) ** 2 + 0.2 * (point["kind"] == "b")
    quantities = {"quality": 1 - drop, "drop": drop, "latency_ms": float(point["n"])}
    return Found("complete", "", quantities, "accuracy", 0.5)


def tell_all(trials: Trials, batch: list[Asked]) -> None:
    for one in batch:
        trials.tell(one, found_for(one.point))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_each_sampler_asks_in_batches_up_to_the_end(sampler: Any) -> None:
    trials = forgotten(replace(SEARCH, sampler=sampler, trials=22), SPACE)
    sizes, points = [], set()
    while batch := trials.batch():
        sizes.append(len(batch))
        points |= {str(one.point) for one in batch}
        tell_all(trials, batch)
    assert sizes == [4] * 5 + [2]
    assert len(points) >= 11  # a batch does not ask the same again and again


def test_a_grid_asks_every_point_once_and_ends() -> None:
    search = replace(SEARCH, sampler="grid", trials=None)
    trials = forgotten(search, LISTED)
    asked = []
    while batch := trials.batch():
        asked += [one.point for one in batch]
        tell_all(trials, batch)
    assert asked == list(LISTED.points())
    assert len(asked) == 6


def test_tpe_learns_from_what_it_is_told() -> None:
    search = replace(SEARCH, sampler="tpe", objectives={"quality": "maximize"}, trials=48)
    first = last = 0.0
    for seed in range(4):
        trials, far = forgotten(replace(search, seed=seed), SPACE), []
        while batch := trials.batch():
            far += [abs(float(one.point["x"]) - 0.7) + (one.point["kind"] == "b") for one in batch]
            tell_all(trials, batch)
        first, last = first + sum(far[:24]), last + sum(far[24:])
    assert last < 0.75 * first


def test_the_best_keep_every_limit() -> None:
    trials = forgotten(replace(SEARCH, sampler="random", trials=24), SPACE)
    while batch := trials.batch():
        tell_all(trials, batch)
    front = trials.front()
    assert front
    for one in front:
        assert one.found is not None
        assert one.found.known["drop"] <= 0.1  # type: ignore[operator]
    qualities = [one.found.known["quality"] for one in front if one.found]
    assert qualities == sorted(qualities, reverse=True)


def test_what_failed_or_was_given_up_is_never_among_the_best() -> None:
    trials = forgotten(SEARCH, SPACE)
    first, second, third, fourth = trials.batch()
    trials.tell(first, Found("failed", "no such luck"))
    trials.tell(second, Found("pruned", "distill: hopeless", {"drop": 0.5}))
    trials.tell(third, Found("pruned", "rung 0: not among the best"))
    trials.tell(fourth, found_for({"kind": "a", "n": "1"}))
    assert [one.number for one in trials.front()] == [3]
    assert [one.found.state for one in trials.all() if one.found] == [
        "failed",
        "pruned",
        "pruned",
        "complete",
    ]


def test_a_killed_search_asks_the_same_again_and_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "search.journal"
    search = replace(SEARCH, sampler="tpe", trials=16)
    whole = forgotten(search, SPACE)
    expected = []
    while batch := whole.batch():
        expected += [one.point for one in batch]
        tell_all(whole, batch)
    for told in (0, 4, 6, 9, 16):  # as if it had been killed after so many were told
        with opened(file, search, SPACE, "this") as trials:
            while batch := trials.batch():
                left = told - sum(one.found is not None for one in trials.all())
                tell_all(trials, batch[:left])
                if left < len(batch):
                    break
        with file.open("ab") as torn:
            torn.write(b'{"op_code": 4, "worker_id": "')
    with opened(file, search, SPACE, "this") as trials:
        assert [one.point for one in trials.all()] == expected
        assert all(one.found for one in trials.all())


def to_the_end(file: Path, search: Search) -> list[dict[str, str]]:
    """The points of all its trials."""
    with opened(file, search, SPACE, "this") as trials:
        while batch := trials.batch():
            tell_all(trials, batch)
        return [one.point for one in trials.all()]


@pytest.mark.parametrize(("sampler", "batch", "step"), [("random", 3, 1), ("nsga2", 3, 1), ("tpe", 10, 9)])
def test_a_kill_while_a_batch_is_asked_changes_nothing(
    sampler: Any, batch: int, step: int, tmp_path: Path
) -> None:
    search = replace(SEARCH, sampler=sampler, batch=batch, trials=2 * batch)
    expected = to_the_end(tmp_path / "whole", search)
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    asked = [place for place, line in enumerate(lines) if b'"op_code":4' in line]
    assert len(asked) == 2 * batch
    for killed in range(asked[batch], asked[-1] + 3, step):  # before that line of the second batch
        (tmp_path / str(killed)).write_bytes(b"".join(lines[:killed]))
        assert to_the_end(tmp_path / str(killed), search) == expected


def test_what_failed_for_a_passing_reason_runs_again_once_the_file_is_opened_again(tmp_path: Path) -> None:
    search, file = replace(SEARCH, sampler="grid", trials=None), tmp_path / "j"
    with opened(file, search, LISTED, "this") as trials:
        first, second, *others = trials.batch()
        trials.tell(first, Found("failed", "killed by SIGKILL", passing=True))
        trials.tell(second, Found("failed", "no such luck"))
        tell_all(trials, others)
        last = trials.batch()
        assert [one.number for one in last] == [4, 5]  # not at once
        tell_all(trials, last)
        assert trials.batch() == []
        assert [one.found.state for one in trials.all() if one.found][:2] == ["failed", "failed"]
    with opened(file, search, LISTED, "this") as trials:
        (again,) = trials.batch()
        assert (again.number, again.point) == (first.number, first.point)
        trials.tell(again, found_for(again.point))
        assert trials.batch() == []
        assert [one.found.state for one in trials.all() if one.found][:2] == ["complete", "failed"]


def test_a_generation_is_of_those_that_come_up_all_rungs() -> None:
    space = Space({f"k{n}": Values(tuple(map(str, range(40)))) for n in range(4)}, {})
    trials = forgotten(replace(SEARCH, sampler="nsga2", batch=6, rungs={"steps": (1, 2)}), space)
    first = trials.batch()
    for one in first[:2]:
        trials.tell(one, Found("complete", "", {"quality": 0.5, "latency_ms": 1.0, "drop": 0.0}))
    for one in first[2:]:
        trials.tell(one, Found("pruned", "rung 0: not among the best 2 of 6"))
    parents = {pair for one in first[:2] for pair in one.point.items()}
    children = [pair for one in trials.batch() for pair in one.point.items()]
    assert sum(pair in parents for pair in children) > len(children) / 2


def test_a_file_is_of_one_search_at_a_time_and_of_one_thing(tmp_path: Path) -> None:
    file = tmp_path / "search.journal"
    with opened(file, SEARCH, SPACE, "this") as trials:
        trials.batch()
        with (
            pytest.raises(ConfigError, match="in use by another search"),
            opened(file, SEARCH, SPACE, "this"),
        ):
            pass
    with pytest.raises(ConfigError, match="of something else"), opened(file, SEARCH, SPACE, "that"):
        pass
    with opened(file, replace(SEARCH, trials=99), SPACE, "this") as trials:
        assert len(trials.all()) == 4
    file.write_text("no journal\n")
    with pytest.raises(ConfigError, match="cannot be read"), opened(file, SEARCH, SPACE, "this"):
        pass


def test_rungs_survive_and_tell_a_sampler_of_one_objective(tmp_path: Path) -> None:
    search = replace(SEARCH, objectives={"quality": "maximize"}, rungs={"steps": (1, 2)})
    with opened(tmp_path / "j", search, SPACE, "this") as trials:
        first, *_ = trials.batch()
        trials.climbed(first, Found("complete", "", {"quality": 0.25}))
    with opened(tmp_path / "j", search, SPACE, "this") as trials:
        first, second, *_ = trials.batch()
        assert [dict(rung) for rung in first.rungs] == [{"quality": 0.25}]
        assert second.rungs == ()
        trials.tell(first, Found("pruned", "rung 0"))
        assert trials.study.trials[0].intermediate_values == {1: 0.25}


def cost(quality: float, latency: float, drop: float = 0.0, size: float = 1.0) -> dict[str, float | None]:
    return {"quality": quality, "latency_ms": latency, "drop": drop, "size_mb": size}


def test_the_best_third_goes_on_by_rank() -> None:
    pool = {
        0: cost(0.5, 1.0),
        1: cost(0.9, 3.0),
        2: cost(0.4, 1.5),  # worse than 0 in both
        3: cost(0.8, 3.5),  # worse than 1 in both
        4: cost(0.3, 4.0),  # worse than all
        5: cost(0.7, 2.0),
    }
    assert promoted(SEARCH, pool) == {0, 1}  # the ends of the Pareto set 0, 5, 1
    assert ranked(SEARCH, pool)[2] == 5
    assert ranked(SEARCH, pool)[-1] == 4
    assert promoted(SEARCH, {7: pool[4]}) == {7}


def test_a_limit_of_cost_counts_on_every_rung_and_one_of_scores_only_at_the_end() -> None:
    search = replace(SEARCH, constraints={"max_size_mb": 2.0, "max_drop": 0.01})
    pool = {0: cost(0.9, 1.0, drop=0.0, size=4.0), 1: cost(0.2, 5.0, drop=0.7), 2: cost(0.9, 1.0, size=3.0)}
    assert ranked(search, pool) == [1, 2, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objectives": {"latency": "minimize"}}, "objectives.latency: no such quantity; there are quality"),
        ({"objectives": {"quality": None}}, "objectives: at least one is needed"),
        ({"objectives": {"quality": "most"}}, "objectives.quality: found 'most'; one of maximize, minimize"),
        ({"constraints": {"max_loss": 1}}, "constraints.max_loss: neither max_ nor min_ of a quantity"),
        ({"constraints": {"latency_ms": 1}}, "constraints.latency_ms: neither max_ nor min_"),
        ({"sampler": "gp"}, "sampler: found 'gp'; one of tpe, nsga2, random, grid"),
        ({"trials": None}, "trials=null: .* not tpe"),
        ({"batch": 0}, "batch=0: must be at least 1"),
        ({"factor": 1}, "factor=1: must be at least 2"),
        ({"rungs": {"a": [1, 2], "b": [1]}}, "rungs: found .* each key needs one for each rung"),
        ({"trails": 3}, "trails: Search has no such key; did you mean trials"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], message: str) -> None:
    problems: list[str] = []
    build({"objectives": {"quality": "maximize"}, **wrong}, "sweep.search", problems, Search)
    assert len(problems) == 1
    assert problems[0].startswith("sweep.search.")
    assert re.search(message, problems[0])


def test_limits_are_shares_of_what_is_allowed() -> None:
    search = replace(SEARCH, constraints={"max_drop": 0.1, "min_speedup": 2.0, "max_size_mb": None})
    excesses = search.excesses({"drop": 0.15, "speedup": 3.0, "size_mb": 9.0})
    assert excesses == pytest.approx({"max_drop": 0.5, "min_speedup": -0.5})
    assert search.unknown({"quality": 1.0, "latency_ms": None, "drop": 0.0}) == ["latency_ms", "speedup"]
    assert set(QUANTITIES) > {"quality", "drop"}


def test_a_trial_may_lose_exactly_what_is_allowed() -> None:
    """In binary 0.985 - 0.98 is more than 0.005, and 0.7 + 0.1 less than 0.8."""
    scores = ({"exact_match": 0.985}, {"exact_match": 0.98})
    stages = [{**stage, "scores": s} for stage, s in zip(RESULT.stages, scores, strict=True)]
    found = quantities_of(replace(RESULT, stages=stages))
    assert replace(SEARCH, constraints={"max_drop": 0.005}).excesses(found) == {"max_drop": 0}
    assert replace(SEARCH, constraints={"max_drop": 0.7}, slack=0.1).most_drop() == 0.8


@pytest.mark.parametrize(
    ("kind", "state", "passing"),
    [
        ("StageFailed", "failed", False), ("Hopeless", "pruned", False),
        ("Timeout", "failed", True), ("Killed", "failed", True), ("OutOfMemory", "failed", True),
        ("Exited", "failed", True),
        ("MachineFailed", None, None), ("Preempted", None, None), ("StoreFull", None, None),
    ],
)  # fmt: skip
def test_what_is_not_the_trials_fault_is_tried_again(
    kind: str, state: str | None, passing: bool | None, tmp_path: Path
) -> None:
    write_json(tmp_path / STATUS, {"state": "failed", "error": {"kind": kind, "message": "x"}})
    found = outcome(SEARCH, None, tmp_path)
    assert (found and found.state) == state
    assert (found and found.passing) == passing
