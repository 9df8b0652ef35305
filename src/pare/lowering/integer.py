"""INT8 in the kernels that ONNX Runtime has on x86: U8 activations, S8 weights, float between layers.

A generic Q/DQ graph leaves it to the runtime to find integer kernels, and it finds few of them in encoders.
Here every linear map becomes QuantizeLinear (static) or DynamicQuantizeLinear + MatMulIntegerToFloat with its
bias inside, and the embedding table becomes S8 rows that are scaled after the look-up. Nothing else of an
encoder has an integer kernel that pays: QAttention packs query, key and value into one map of its own, and
LayerNorm, GELU and the additions are float on every path.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from pare.errors import StageFailed
from pare.lowering.graph import MICROSOFT, constants, consumers, drop_unused, replace_nodes, use_microsoft
from pare.lowering.tables import quantize_rows, table_in

Weights = Literal["channel_wise_abs_max", "abs_max"]
SMALLEST_TABLE = 4096  # values
#: stores a value under a name and returns the name
Constant = Callable[[str, "np.ndarray | np.generic"], str]


@dataclass(frozen=True)
class Linear:
    """A linear map in the graph: `output = input @ weight + bias`, made of one or two nodes."""

    name: str
    input: str
    output: str
    weight: np.ndarray  # (in, out)
    bias: np.ndarray | None
    nodes: tuple[str, ...]  # outputs of the nodes it is made of


def linear_maps(model: ModelProto) -> list[Linear]:
    """MatMul with a constant weight, with the Add of its bias, and Gemm."""
    fixed, used_by = constants(model), consumers(model)
    found = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in fixed and fixed[node.input[1]].ndim == 2:
            output, bias, nodes = node.output[0], None, [node.output[0]]
            after = used_by.get(output, [])
            if len(after) == 1 and after[0].op_type == "Add":
                other = next(name for name in after[0].input if name != output)
                if other in fixed and fixed[other].ndim == 1:
                    output, bias = after[0].output[0], fixed[other]
                    nodes.append(output)
            found.append(Linear(node.name, node.input[0], output, fixed[node.input[1]], bias, tuple(nodes)))
        elif node.op_type == "Gemm" and node.input[1] in fixed:
            flipped = any(a.name == "transB" and a.i for a in node.attribute)
            weight = fixed[node.input[1]].T if flipped else fixed[node.input[1]]
            bias = fixed[node.input[2]] if len(node.input) > 2 else None
            found.append(Linear(node.name, node.input[0], node.output[0], weight, bias, (node.output[0],)))
    return found


def matching(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """The names that one of the patterns names; a pattern that names none is a mistake."""
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            there = dict.fromkeys(re.sub(r"\d+", "*", name) for name in names)
            raise StageFailed(
                f"keep_float: {pattern!r} matches no linear map; there are {', '.join(there) or 'none'}"
            )
    return {name for name in names if any(fnmatch(name, pattern) for pattern in patterns)}


def quantize_weight(
    weight: np.ndarray, bits: int, weights: Weights = "channel_wise_abs_max"
) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric, one scale a column or one for all: (S8 weight, scales). Fewer bits: a narrower range."""
    top = 2 ** (bits - 1) - 1
    highest = np.abs(weight).max(axis=None if weights == "abs_max" else 0)
    scale = np.maximum(highest / top, 1e-12).astype(np.float32)
    return np.clip(np.round(weight / scale), -top, top).astype(np.int8), scale


def activation_scale(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of U8 values that span [low, high] and hold 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, 1e-12))
    return scale, np.uint8(np.clip(round(-low / float(scale)), 0, 255))


def to_integer(
    model: ModelProto,
    ranges: Mapping[str, tuple[float, float]] | None,
    keep_float: Collection[str],
    weight_bits: int,
    embeddings: bool,
    weights: Weights = "channel_wise_abs_max",
) -> int:
    """Rewrites `model` in place; returns how many linear maps became integer.

    ranges: (lowest, highest) value of the input of each linear map; None: found anew for each input while
    the graph runs (dynamic). keep_float: linear maps to leave.
    """

    def quantized(name: str, constant: Constant) -> list[NodeProto]:
        scale, zero = f"{name}_scale", f"{name}_zero"
        if ranges is None:
            outputs = [f"{name}_u8", scale, zero]
            return [helper.make_node("DynamicQuantizeLinear", [name], outputs, name=f"{name}_quantize")]
        step, offset = activation_scale(*ranges[name])
        inputs = [name, constant(scale, step), constant(zero, offset)]
        return [helper.make_node("QuantizeLinear", inputs, [f"{name}_u8"], name=f"{name}_quantize")]

    def integer(linear: Linear, constant: Constant) -> list[NodeProto]:
        weight, scale = quantize_weight(linear.weight, weight_bits, weights)
        w = constant(f"{linear.name}_s8", weight)
        w_scale = constant(f"{linear.name}_scale", scale)
        w_zero = constant(f"{linear.name}_zero", np.zeros(scale.shape, np.int8))
        x = linear.input
        inputs = [f"{x}_u8", w, f"{x}_scale", w_scale, f"{x}_zero", w_zero]
        if linear.bias is not None:
            inputs.append(constant(f"{linear.name}_bias", linear.bias.astype(np.float32)))
        kernel = "MatMulIntegerToFloat"
        return [helper.make_node(kernel, inputs, [linear.output], name=linear.name, domain=MICROSOFT)]

    use_microsoft(model)
    return replace_linear_maps(model, keep_float, embeddings, quantized, integer)


def replace_linear_maps(
    model: ModelProto,
    keep_float: Collection[str],
    embeddings: bool,
    quantized: Callable[[str, Constant], list[NodeProto]],
    integer: Callable[[Linear, Constant], list[NodeProto]],
) -> int:
    """Puts other nodes in the place of linear maps and, with `embeddings`, of look-ups; counts the maps.

    quantized: the nodes that quantize a tensor, made once for all maps that read it. integer: the map itself.
    """
    maps = [m for m in linear_maps(model) if m.name not in keep_float]
    first_node = {m.nodes[0]: m for m in maps}
    swallowed = {output for m in maps for output in m.nodes[1:]}
    fixed, used_by = constants(model), consumers(model)
    nodes: list[NodeProto] = []
    done: set[str] = set()

    def constant(name: str, value: np.ndarray | np.generic) -> str:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    for node in model.graph.node:
        if node.output[0] in swallowed:
            continue
        linear = first_node.get(node.output[0])
        table = table_in(node, fixed, used_by, SMALLEST_TABLE) if embeddings else None
        if linear is not None:
            if linear.input not in done:
                done.add(linear.input)
                nodes += quantized(linear.input, constant)
            nodes += integer(linear, constant)
        elif table is not None and table.dtype == np.float32:
            nodes += integer_lookup(node, table, constant)
        else:
            nodes.append(node)
    replace_nodes(model, nodes)
    drop_unused(model)
    return len(maps)


def integer_lookup(node: NodeProto, table: np.ndarray, constant: Constant) -> list[NodeProto]:
    """Gather from S8 rows, then one scale for the whole table."""
    name = node.output[0]
    integers, scale = quantize_rows(table, "table")
    rows = constant(f"{name}_table_s8", integers)
    scales = [constant(f"{name}_table_scale", scale[0, 0]), constant(f"{name}_table_zero", np.int8(0))]
    return [
        helper.make_node("Gather", [rows, node.input[1]], [f"{name}_s8"], name=f"{name}_lookup"),
        helper.make_node("DequantizeLinear", [f"{name}_s8", *scales], [name], name=f"{name}_dequantize"),
    ]
