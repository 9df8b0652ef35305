"""Embedding tables as INT8 rows that are scaled after the look-up."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from pare.lowering.graph import constants, consumers, drop_unused, replace_nodes

Scales = Literal["row", "table"]


def quantize_rows(table: np.ndarray, scales: Scales) -> tuple[np.ndarray, np.ndarray]:
    """(S8 rows, scales of shape (rows, 1) or (1, 1)), symmetric."""
    wide = table.astype(np.float32)
    highest = np.abs(wide).max(axis=1 if scales == "row" else None, keepdims=True)
    scale = np.maximum(highest / 127, 1e-12).astype(np.float32)
    return np.clip(np.round(wide / scale), -127, 127).astype(np.int8), scale


def table_in(
    node: NodeProto, fixed: Mapping[str, np.ndarray], used_by: Mapping[str, list[NodeProto]], smallest: int
) -> np.ndarray | None:
    """The float table that a node looks rows up in, if it has so many values and nothing else needs it."""
    table = fixed.get(node.input[0]) if node.op_type == "Gather" else None
    if table is None or table.ndim != 2 or table.dtype not in (np.float32, np.float16):
        return None
    return table if table.size >= smallest and len(used_by[node.input[0]]) == 1 else None


def quantize_tables(model: ModelProto, scales: Scales, smallest: int) -> list[dict[str, int | str]]:
    """Rewrites `model` in place; one record for each table: its name and its bytes before and after."""
    fixed, used_by = constants(model), consumers(model)
    done: list[dict[str, int | str]] = []
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        table = table_in(node, fixed, used_by, smallest)
        if table is None:
            nodes.append(node)
            continue
        rows, scale = quantize_rows(table, scales)
        nodes += lookup(model, node, rows, scale.astype(table.dtype))
        after = rows.nbytes + scale.astype(table.dtype).nbytes
        done.append({"table": node.input[0], "bytes_before": table.nbytes, "bytes_after": after})
    replace_nodes(model, nodes)
    drop_unused(model)
    return done


def lookup(model: ModelProto, node: NodeProto, rows: np.ndarray, scale: np.ndarray) -> list[NodeProto]:
    """Rows and their scales looked up, multiplied."""
    name = node.output[0]
    for part, value in (("rows_s8", rows), ("scales", scale)):
        model.graph.initializer.append(numpy_helper.from_array(value, f"{name}_{part}"))
    float_type = TensorProto.FLOAT16 if scale.dtype == np.float16 else TensorProto.FLOAT
    found = [
        helper.make_node("Gather", [f"{name}_rows_s8", node.input[1]], [f"{name}_s8"], name=f"{name}_rows"),
        helper.make_node("Cast", [f"{name}_s8"], [f"{name}_wide"], name=f"{name}_widen", to=float_type),
    ]
    factor = f"{name}_scales"
    if len(scale) > 1:
        found.append(helper.make_node("Gather", [factor, node.input[1]], [f"{name}_scale"], name=f"{name}_s"))
        factor = f"{name}_scale"
    return [*found, helper.make_node("Mul", [f"{name}_wide", factor], [name], name=f"{name}_scaled")]
