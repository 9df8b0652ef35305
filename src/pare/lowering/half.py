"""Half precision: fusion by ONNX Runtime's transformer optimizer, then FP16 or BF16 where it is safe."""

import logging
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from pare.lowering.graph import use_microsoft

Half = Literal["fp16", "bf16"]


def fused(model: ModelProto, heads: Sequence[int], hidden: int) -> tuple[ModelProto, dict[str, int]]:
    """The graph with fused layers, and how many of each kind of node were made.

    heads: of each layer. Attention is fused only where all layers have as many and they fill `hidden`.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    whole = len(set(heads)) == 1 and hidden % heads[0] == 0
    options.enable_attention = whole
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    optimized = optimize_model(
        model,
        model_type="bert",
        num_heads=heads[0] if whole else 0,
        hidden_size=hidden if whole else 0,
        optimization_options=options,
        opt_level=0,
    )
    counted = {kind: int(count) for kind, count in optimized.get_fused_operator_statistics().items() if count}
    found: ModelProto = optimized.model
    use_microsoft(found)
    return found, counted


def to_half(model: ModelProto, precision: Half, keep_float: Collection[str]) -> ModelProto:
    """Weights and arithmetic in half precision; inputs, outputs and nodes in `keep_float` stay FP32."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted: ModelProto = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=sorted({*DEFAULT_OP_BLOCK_LIST, *keep_float}),
        disable_shape_infer=False,
    )
    OnnxModel(converted).topological_sort()  # its casts come at the end of the graph
    if precision == "bf16":
        relabel(converted)
    return converted


def relabel(model: ModelProto) -> None:
    """FP16 everywhere becomes BF16, in place: it has fewer digits and the range of FP32."""
    for tensor in model.graph.initializer:
        widen_range(tensor)
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.BFLOAT16
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
            if attribute.HasField("t"):
                widen_range(attribute.t)


def widen_range(tensor: Any) -> None:
    if tensor.data_type != TensorProto.FLOAT16:
        return
    bits = numpy_helper.to_array(tensor).astype(np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to nearest, ties to even
    tensor.ClearField("int32_data")
    tensor.raw_data = rounded.tobytes()
    tensor.data_type = TensorProto.BFLOAT16
