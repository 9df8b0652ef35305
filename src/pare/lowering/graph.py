"""Small edits of ONNX graphs."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


def constants(model: ModelProto) -> dict[str, np.ndarray]:
    """Every tensor whose value is fixed: initializers and Constant nodes."""
    found = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def producers(model: ModelProto) -> dict[str, NodeProto]:
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: ModelProto) -> dict[str, list[NodeProto]]:
    found: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def replace_nodes(model: ModelProto, nodes: Iterable[NodeProto]) -> None:
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def drop_unused(model: ModelProto) -> None:
    """Removes nodes and initializers that no output depends on."""
    wanted = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(list(model.graph.node)):  # exported graphs are in topological order
        if any(output in wanted for output in node.output):
            wanted.update(node.input)
            kept.append(node)
    replace_nodes(model, reversed(kept))
    initializers = [i for i in model.graph.initializer if i.name in wanted]
    del model.graph.initializer[:]
    model.graph.initializer.extend(initializers)


def simplify(model: ModelProto) -> None:
    """Ties `MultiHeadAttention` and rotations straight to the maps around them and drops what is left over.

    The exporter leaves (texts, tokens, heads * size) -> heads -> back again on each side of the node; both
    ways are pure relabelling and cancel out.
    """
    made_by = producers(model)

    def source(name: str) -> str:
        node = made_by.get(name)
        while node is not None and node.op_type in ("Reshape", "Transpose"):
            name = node.input[0]
            node = made_by.get(name)
        return name

    for node in model.graph.node:
        if node.op_type == "MultiHeadAttention":
            for i in range(3):
                node.input[i] = source(node.input[i])
            node.input[3] = ""
        elif node.op_type == "RotaryEmbedding":
            node.input[0] = source(node.input[0])
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            maker = made_by.get(name)
            if maker is None or maker.op_type != "Reshape":
                continue
            origin = made_by.get(source(name))
            if origin is not None and origin.op_type == "MultiHeadAttention" and node.op_type == "MatMul":
                node.input[i] = origin.output[0]
    fold_fixed_lookups(model)
    share_casts(model)
    drop_unused(model)


def fold_fixed_lookups(model: ModelProto) -> None:
    """A table looked up at 0 everywhere, as token types of single texts are, becomes that one row."""
    fixed, made_by = constants(model), producers(model)
    kept = []
    for node in model.graph.node:
        indices = made_by.get(node.input[1]) if node.op_type == "Gather" else None
        if indices is not None and indices.op_type == "ConstantOfShape" and node.input[0] in fixed:
            values = [numpy_helper.to_array(a.t) for a in indices.attribute if a.name == "value"]
            if not any(value.any() for value in values):
                row = fixed[node.input[0]][0]
                model.graph.initializer.append(numpy_helper.from_array(row, node.output[0]))
                continue
        kept.append(node)
    replace_nodes(model, kept)


def share_casts(model: ModelProto) -> None:
    """One Cast of the 0/1 mask where there were two in a row, one for each layer."""
    made_by = producers(model)
    first: dict[tuple[str, int], str] = {}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
        if node.op_type != "Cast":
            continue
        inner = made_by.get(node.input[0])
        if inner is not None and inner.op_type == "Cast" and inner.attribute[0].i == TensorProto.BOOL:
            node.input[0] = inner.input[0]
        key = (node.input[0], int(node.attribute[0].i))
        renamed[node.output[0]] = first.setdefault(key, node.output[0])


def fix_shape(model: ModelProto, texts: int | None, tokens: int | None) -> None:
    """Gives the free sides of inputs and outputs these sizes; None leaves a side free."""
    sizes = {"texts": texts, "tokens": tokens}
    for value in (*model.graph.input, *model.graph.output):
        for side in value.type.tensor_type.shape.dim:
            size = sizes.get(side.dim_param)
            if size is not None:
                side.dim_value = size
    if texts is not None or tokens is not None:
        del model.graph.value_info[:]  # what was inferred from free sides


def take_int32(model: ModelProto) -> None:
    """Inputs of 32 bits, widened inside the graph: its look-ups are made for 64."""
    casts = []
    for value in model.graph.input:
        value.type.tensor_type.elem_type = TensorProto.INT32
        for node in model.graph.node:
            for i, name in enumerate(node.input):
                if name == value.name:
                    node.input[i] = f"{value.name}_64"
        casts.append(
            helper.make_node(
                "Cast", [value.name], [f"{value.name}_64"], name=f"{value.name}_widen", to=TensorProto.INT64
            )
        )
    replace_nodes(model, [*casts, *model.graph.node])


def use_microsoft(model: ModelProto) -> None:
    """Lets the graph have nodes of ONNX Runtime's own."""
    if MICROSOFT not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def save(model: ModelProto, file: Path) -> None:
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
