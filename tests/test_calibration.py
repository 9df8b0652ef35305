"""Ranges of activations: each rule against brute force on the raw values, which Pare itself never keeps."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pare.errors import StageFailed
from pare.lowering.calibration import Observer, activation_ranges, sample
from pare.lowering.explicit import symmetric_scale
from pare.lowering.histogram import (
    Histogram,
    divergence,
    entropy_range,
    mse_range,
    percentile_range,
    squared_error,
)
from pare.lowering.integer import activation_scale
from pare.tasks.example import lengths_of


def values(shape: str, size: int = 40_000) -> np.ndarray:
    """What flows in encoders: LayerNorm's outputs, GELU's, and those with a few giants."""
    x = np.random.default_rng(7).normal(size=size)
    if shape == "gelu":
        x *= 1 / (1 + np.exp(-1.702 * x))
    elif shape == "giants":
        x[: size // 1000] *= 20
    return x.astype(np.float32)


SHAPES = ("normal", "gelu", "giants")


def seen(x: np.ndarray, parts: int = 10) -> Histogram:
    histogram = Histogram()
    for part in np.array_split(x, parts):
        histogram.add(part)
    return histogram


def test_a_histogram_that_grew_counts_as_one_that_knew_the_range() -> None:
    x = np.sort(np.abs(values("giants"))) * np.where(np.arange(40_000) % 2, 1, -1)  # grows all the time
    rising, falling = seen(x, 50), seen(x[::-1], 50)
    assert rising.width == falling.width
    assert np.array_equal(rising.counts, falling.counts)
    assert np.array_equal(rising.counts, np.histogram(x, rising.edges())[0])
    assert (rising.low, rising.high) == (x.min(), x.max())


def test_a_histogram_takes_the_same_room_whatever_it_saw() -> None:
    small, large = seen(values("normal", 100)), seen(values("giants", 400_000))
    assert small.counts.nbytes == large.counts.nbytes < 100_000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("percentile", [99.0, 99.9, 100.0])
def test_percentile_is_that_of_the_values(shape: str, percentile: float) -> None:
    x = values(shape)
    cut = round(x.size * (100 - percentile) / 100)
    low, high = percentile_range(seen(x), percentile)
    wanted = np.sort(x)[[cut // 2, -1 - cut // 2]]
    assert np.abs(np.array([low, high]) - wanted).max() <= seen(x).width
    assert np.sum((x < low) | (x > high)) <= cut
    top = percentile_range(seen(x).magnitudes(), percentile)[1]
    assert abs(top - np.sort(np.abs(x))[-1 - cut]) <= seen(x).width


def raw_divergence(x: np.ndarray, width: float, first: int, last: int, levels: int) -> float:
    """TensorRT's, in plain loops over the raw values; bins are numbered from zero on."""
    size = last - first
    inside, clipped = [0] * size, [0] * size
    for place in np.floor(x / width).astype(int).tolist():
        clipped[min(max(place, first), last - 1) - first] += 1
        if first <= place < last:
            inside[place - first] += 1
    q = [0.0] * size
    for level in range(levels):
        bins = [i for i in range(size) if i * levels // size == level and clipped[i] > 0]
        for i in bins:
            q[i] = max(0.5, sum(inside[j] for j in bins) / len(bins))
    return sum(
        a / sum(clipped) * math.log((a / sum(clipped)) / (b / sum(q)))
        for a, b in zip(clipped, q, strict=True)
        if a > 0
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_divergence_is_that_of_the_raw_values(shape: str) -> None:
    x = values(shape, 4000)
    histogram, middle = seen(x), seen(x).counts.size // 2
    for first, last, levels in ((-300, 300, 256), (-20, 260, 256), (0, 1000, 128)):
        found = divergence(histogram.counts, middle + first, middle + last, levels)
        assert found == pytest.approx(raw_divergence(x, histogram.width, first, last, levels), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_entropy_cuts_where_no_other_cut_loses_much_less(shape: str) -> None:
    x = values(shape)
    magnitudes = seen(x).magnitudes()
    middle, used = magnitudes.counts.size // 2, int(np.abs(x).max() / magnitudes.width) + 1
    low, high = entropy_range(seen(x), symmetric=True)
    every = {cut: divergence(magnitudes.counts, middle, middle + cut, 128) for cut in range(128, used + 1)}
    assert every[min(used, round(high / magnitudes.width))] <= 1.1 * min(every.values()) + 1e-4
    low, high = entropy_range(seen(x), symmetric=False)
    assert x.min() <= low < high <= x.max()
    if shape == "giants":
        assert max(-low, high) < 0.5 * np.abs(x).max()
    else:
        assert np.mean((x < low) | (x > high)) < 0.001


def rounded(x: np.ndarray, low: float, high: float) -> float:
    scale, zero = activation_scale(low, high)
    integers = np.clip(np.round(x / scale) + int(zero), 0, 255)
    return float(np.mean(((integers - int(zero)) * float(scale) - x) ** 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_of_a_histogram_is_that_of_the_raw_values(shape: str) -> None:
    x = values(shape).astype(np.float64)
    for share in (0.1, 0.5, 1.0):
        low, high = x.min() * share, x.max() * share
        scale, zero = activation_scale(low, high)
        found = squared_error(seen(x), float(scale), -int(zero), 255 - int(zero))
        assert found == pytest.approx(rounded(x, low, high), rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_mse_finds_the_two_ends_that_brute_force_finds(shape: str) -> None:
    x = values(shape).astype(np.float64)
    shares = np.linspace(0.05, 1, 20)
    best = min(rounded(x, x.min() * a, x.max() * b) for a in shares for b in shares)
    assert rounded(x, *mse_range(seen(x), symmetric=False)) <= 1.02 * best
    assert rounded(x, *mse_range(seen(x), symmetric=False)) <= rounded(x, float(x.min()), float(x.max()))


@pytest.mark.parametrize("shape", SHAPES)
def test_symmetric_mse_finds_the_cut_that_brute_force_finds(shape: str) -> None:
    x = values(shape).astype(np.float64)

    def error(top: float) -> float:
        scale = float(symmetric_scale(-top, top))
        return float(np.mean((np.clip(np.round(x / scale), -127, 127) * scale - x) ** 2))

    low, high = mse_range(seen(x), symmetric=True)
    assert low == -high
    assert error(high) <= 1.02 * min(error(np.abs(x).max() * share) for share in np.linspace(0.02, 1, 99))


def doubling() -> onnx.ModelProto:
    """A graph whose tensor "twice" is twice its ids."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["float", "float"], ["twice"]),
        helper.make_node("Mul", ["twice", "twice"], ["output"]),
        helper.make_node("Identity", ["attention_mask"], ["mask"]),
    ]
    ends = [("input_ids", "attention_mask"), ("output", "mask")]
    inputs, outputs = (
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT if n == "output" else TensorProto.INT64, None)
            for n in names
        ]
        for names in ends
    )
    graph = helper.make_graph(nodes, "doubling", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("observer", "symmetric", "wanted"),
    [
        ("min_max", False, (-4, 20)),
        ("min_max", True, (-20, 20)),
        ("abs_max", False, (-20, 20)),
        ("avg", False, (-1, 12)),
        ("avg", True, (-12, 12)),
        ("percentile", False, (-4, 20)),
        ("percentile", True, (-20, 20)),
    ],
)
def test_what_each_rule_makes_of_two_texts(
    observer: Observer, symmetric: bool, wanted: tuple[float, float]
) -> None:
    texts = [[-2, 1, 2], [1, 5, 10]]
    found = activation_ranges(
        doubling(), ["twice"], texts, observer, 1, lambda n, s: None, percentile=100.0, symmetric=symmetric
    )
    assert found == {"twice": wanted}


def test_a_tensor_of_zeros_has_a_range_for_every_rule() -> None:
    for observer in ("min_max", "abs_max", "avg", "percentile", "entropy", "mse"):
        for symmetric in (False, True):
            found = activation_ranges(
                doubling(), ["twice"], [[0, 0]], observer, 1, lambda n, s: None, symmetric=symmetric
            )
            assert found == {"twice": (0, 0)}


def test_a_value_that_is_not_finite_is_named() -> None:
    model = doubling()
    model.graph.node[1].op_type = "Div"  # 0 / 0
    with pytest.raises(StageFailed, match="calibration: twice is not finite on a training text"):
        activation_ranges(model, ["twice"], [[0, 1]], "entropy", 1, lambda n, s: None)


def test_texts_to_calibrate_on() -> None:
    lengths = [5, 1, 9, 3, 7]
    assert sample(lengths, 2, "first", 0) == [0, 1]
    assert sample(lengths, 2, "longest", 0) == [2, 4]
    assert [lengths[i] for i in sample(lengths, 3, "stratified", 0)] == [1, 5, 9]
    assert sample(lengths, 3, "random", 0) == sample(lengths, 3, "random", 0)
    assert any(sample(lengths, 3, "random", 0) != sample(lengths, 3, "random", seed) for seed in range(1, 5))
    for sampling in ("random", "first", "longest", "stratified"):
        assert sorted(sample(lengths, 99, sampling, 0)) == [0, 1, 2, 3, 4]


def test_a_pair_is_as_long_as_both_of_its_texts() -> None:
    texts = [("one", "two"), "quite a long text", ("and a pair", "longer than that")]
    assert sample(lengths_of(texts), 2, "longest", 0) == [2, 1]
