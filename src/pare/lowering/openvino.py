"""Graphs in OpenVINO's own form, and NNCF's INT8 for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pare.lowering.integer import Weights
from pare.lowering.nncf_quiet import quietly

Estimator = Literal["min_max", "avg", "percentile", "histogram"]

#: what may stand between a linear map and its weight
_BETWEEN = ("Convert", "Multiply", "Subtract", "Reshape", "Transpose", "FakeQuantize")


def linear_maps(model: Any) -> dict[str, bool]:
    """The multiplications by a weight, by name, and whether that weight is stored as INT8."""
    found = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MatMul":
            weight = _constant(node.input_value(1).get_node())
            if weight is not None:
                found[node.get_friendly_name()] = weight.get_element_type().size == 1
    return found


def _constant(node: Any) -> Any | None:
    while node.get_type_name() in _BETWEEN:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def to_int8(
    model: Any,
    samples: Sequence[Mapping[str, np.ndarray]],
    estimator: Estimator,
    weights: Weights,
    symmetric: bool,
    smooth: bool,
    correct_bias: bool,
    keep_float: Sequence[str],
) -> Any:
    """A copy with INT8 linear maps, and the embedding tables INT8 too, as NNCF does it.

    smooth: SmoothQuant, which moves large activations into the weights (Xiao et al., 2022).
    correct_bias: shifts each bias by what rounding moved its output on average (Nagel et al., 2019).
    """
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet as Sets

    estimators = {
        "min_max": Sets.MINMAX,
        "avg": Sets.MEAN_MINMAX,
        "percentile": Sets.MEAN_QUANTILE,
        "histogram": Sets.HISTOGRAM,
    }
    presets = nncf.QuantizationPreset
    advanced = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=estimators[estimator],
        weights_quantization_params=QuantizationParameters(per_channel=weights == "channel_wise_abs_max"),
        disable_bias_correction=not correct_bias,
    )
    if not smooth:
        advanced.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1)
    with quietly():
        return nncf.quantize(
            model,
            nncf.Dataset([dict(sample) for sample in samples]),
            subset_size=len(samples),
            preset=presets.PERFORMANCE if symmetric else presets.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(names=list(keep_float)) if keep_float else None,
            advanced_parameters=advanced,
        )


def read(file: Path) -> Any:
    """A graph of either form: model.onnx or model.xml."""
    import openvino

    return openvino.Core().read_model(str(file))


def save(model: Any, file: Path) -> None:
    """Writes `file` and, beside it, its weights as they are."""
    import openvino

    openvino.save_model(model, str(file), compress_to_fp16=False)
