"""What a search may choose: Hydra's syntax as dimensions, and keys that are there only with others."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pare.aims import Search
from pare.build import build
from pare.errors import ConfigError
from pare.searching.space import Interval, Space, Steps, Values, dimension_of, typed
from pare.searching.trials import forgotten
from test_trials import SEARCH


def dimension(text: str) -> Any:
    (override,) = OverridesParser.create().parse_overrides([text])
    return dimension_of(override)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1,2,2", Values(("1", "2"))),
        ("a=choice('x y',[b],{c:1})", Values((r"x\ y", "[b]", "{c:1}"))),
        ("a=range(1,4)", Steps((1, 2, 3))),
        ("a=range(3,1,-1)", Steps((2, 3))),
        ("a=range(0.25,0.8,0.25)", Steps((0.25, 0.5, 0.75))),
        ("a=range(0.1,0.5,0.1)", Steps((0.1, 0.2, 0.3, 0.4))),
        ("a=interval(0,1)", Interval(0.0, 1.0, False, False)),
        ("a=tag(log,interval(1e-4,1e-2))", Interval(1e-4, 1e-2, True, False)),
        ("a=shuffle(a,b,c,d,e,f,g,h,i,j,k,l)", Values(tuple("abcdefghijkl"))),
        ("a=true,null", Values(("true", "null"))),
        ("a=int(interval(1,8))", Interval(1, 8, False, True)),
        ("+a.b=null", Values(("null",))),
    ],
)
def test_sweeps_are_dimensions(text: str, expected: object) -> None:
    assert dimension(text) == expected


@pytest.mark.parametrize(
    "text", ["a=interval(2,1)", "a=tag(log,interval(0,1))", "a=range(3,1)", "a=range(0,5,0)"]
)
def test_a_dimension_without_values_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^a="):
        dimension(text)


def test_a_range_of_more_numbers_than_can_be_listed_is_refused() -> None:
    assert len(dimension("a=range(0,10000)").all()) == 10_000
    with pytest.raises(ConfigError, match=r"^a=range\(0,10001\): holds more than 10000 .* int\(interval"):
        dimension("a=range(0,10001)")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("a=range(0.1,0.9,0.1)", ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]),
        ("a=range(0,9,3)", ["0", "3", "6"]),
        ("a=range(5,6)", ["5"]),
    ],
)
def test_steps_are_asked_as_a_person_would_type_them(text: str, allowed: list[str]) -> None:
    trials = forgotten(SEARCH, Space({"a": dimension(text)}, {}))
    found = {trials.ask(None).point["a"] for _ in range(60)}
    assert found == set(allowed)


def test_what_is_asked_from_an_interval_can_be_typed() -> None:
    trials = forgotten(SEARCH, Space({"a": dimension("a=tag(log,interval(1e-5,1e-2))")}, {}))
    for _ in range(20):
        value = trials.ask(None).point["a"]
        assert 1e-5 <= float(value) <= 1e-2
        assert len(value.replace("e-05", "").replace(".", "").lstrip("0")) <= 4


CONDITIONS = {
    "compression.width.keep": {"compression": ("width",)},
    "model@compression.distill.student": {"compression": ("distill",)},
    "student.size": {"model@compression.distill.student": ("new",)},
}
CONDITIONAL = Space(
    {
        "student.size": Values(("8", "16")),  # waits for one that waits for another
        "compression": Values(("none", "width", "distill")),
        "compression.width.keep": Values(("0.25", "0.5")),
        "model@compression.distill.student": Values(("mini", "new")),
    },
    CONDITIONS,
)


def test_a_key_is_there_only_with_what_it_belongs_to() -> None:
    points = list(CONDITIONAL.points())
    assert {tuple(sorted(point.values())) for point in points} == {
        ("none",),
        ("0.25", "width"),
        ("0.5", "width"),
        ("distill", "mini"),
        ("8", "distill", "new"),
        ("16", "distill", "new"),
    }
    assert len(points) == 6
    trials = forgotten(SEARCH, CONDITIONAL)
    asked = [trials.ask(None).point for _ in range(60)]
    assert {str(sorted(point.items())) for point in asked} == {str(sorted(p.items())) for p in points}


def test_a_condition_may_be_about_what_is_not_searched() -> None:
    def elsewhere(key: str) -> str | None:
        return {"compression": "width"}.get(key)

    space = Space({"compression.width.keep": Values(("0.5",))}, CONDITIONS, elsewhere)
    assert list(space.points()) == [{"compression.width.keep": "0.5"}]
    assert list(Space(space.dimensions, CONDITIONS).points()) == [{}]


@pytest.mark.parametrize("condition", [True, "true"])
def test_a_condition_may_be_about_what_is_true_or_false(condition: Any) -> None:
    switch, steps = dimension("switch=true,false"), dimension("steps=5")
    searched = Space({"switch": switch, "steps": steps}, {"steps": {"switch": [condition]}})
    assert list(searched.points()) == [{"switch": "true", "steps": "5"}, {"switch": "false"}]
    settings = {"objectives": {"quality": "maximize"}, "when": {"steps": {"switch": [condition]}}}
    problems: list[str] = []
    build(settings, "sweep.search", problems, Search)
    assert problems == []


def test_keys_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="waits for"):
        Space({"a": Values(("1",)), "b": Values(("1",))}, {"a": {"b": ("1",)}, "b": {"a": ("1",)}})


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 1e-05, "", "100", "null", "a b,c=[d]", "词表/模型", "back\\slash", "end\\",
        "q\"u'o\\\"te", ["x", None, "1"], {"a b": None, "c": [{"d": "2"}]},
    ],
)  # fmt: skip
def test_values_are_typed_as_hydra_reads_them(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"key={typed(value)}"])
    assert override.value() == value
    assert type(override.value()) is type(value)
