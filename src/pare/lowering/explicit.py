"""Explicit symmetric INT8: Q/DQ around every linear map, as TensorRT and other compilers read it.

All zero points are 0: activations S8 with one scale a tensor, weights S8 initializers behind a
DequantizeLinear, so that the file is small. Each MatMul has DequantizeLinear nodes of its own, for a compiler
to fuse the three into one integer kernel.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper

from pare.lowering.integer import Constant, Linear, Weights, quantize_weight, replace_linear_maps


def symmetric_scale(low: float, high: float) -> np.float32:
    """Of S8 values from -127 to 127 that span [low, high]."""
    return np.float32(max(max(-low, high) / 127, 1e-12))


def to_explicit(
    model: ModelProto,
    ranges: Mapping[str, tuple[float, float]],
    keep_float: Collection[str],
    weight_bits: int,
    embeddings: bool,
    weights: Weights = "channel_wise_abs_max",
) -> int:
    """Rewrites `model` in place; returns how many linear maps stand between Q/DQ.

    ranges: (lowest, highest) value of the input of each linear map. keep_float: linear maps to leave.
    """

    def quantized(name: str, constant: Constant) -> list[NodeProto]:
        scale = constant(f"{name}_scale", symmetric_scale(*ranges[name]))
        zero = constant(f"{name}_zero", np.int8(0))
        inputs = [name, scale, zero]
        return [helper.make_node("QuantizeLinear", inputs, [f"{name}_s8"], name=f"{name}_quantize")]

    def between(linear: Linear, constant: Constant) -> list[NodeProto]:
        name, x = linear.name, linear.input
        weight, scale = quantize_weight(linear.weight, weight_bits, weights)
        stored = [
            constant(f"{name}_weight_s8", weight),
            constant(f"{name}_weight_scale", scale),
            constant(f"{name}_weight_zero", np.zeros(scale.shape, np.int8)),
        ]
        rounded = [f"{name}_input", f"{name}_weight"]
        product = linear.output if linear.bias is None else f"{name}_product"
        nodes = [
            dequantize([f"{x}_s8", f"{x}_scale", f"{x}_zero"], rounded[0]),
            dequantize(stored, rounded[1]),
            helper.make_node("MatMul", rounded, [product], name=name),
        ]
        if scale.ndim:
            nodes[1].attribute.append(helper.make_attribute("axis", 1))
        if linear.bias is not None:
            bias = constant(f"{name}_bias", linear.bias.astype(np.float32))
            nodes.append(helper.make_node("Add", [product, bias], [linear.output], name=f"{name}_add"))
        return nodes

    return replace_linear_maps(model, keep_float, embeddings, quantized, between)


def dequantize(inputs: Sequence[str], output: str) -> NodeProto:
    return helper.make_node("DequantizeLinear", inputs, [output], name=f"{output}_dequantize")
