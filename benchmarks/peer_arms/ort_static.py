"""ONNX Runtime's own static quantization: U8 activations, S8 weights per channel, min-max calibration."""

from pathlib import Path
from typing import Any

from given import Given, Reader, fused, prepared, run

REQUIRES = ("onnxruntime==1.31.1", "onnx==1.23.2", "sympy==1.14.0", "torch==2.13.0")
LINEAR = ("MatMul", "Gemm", "Gather", "Attention")  # where the weights are


def quantized(graph: str, given: Given, output: Path, **options: Any) -> None:
    from onnxruntime.quantization import QuantType, quantize_static

    quantize_static(
        prepared(graph, output),
        output,
        Reader(given),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        **options,
    )


def qdq(given: Given, output: Path) -> None:
    quantized(given.graph, given, output)


def qdq_linear(given: Given, output: Path) -> None:
    quantized(given.graph, given, output, op_types_to_quantize=list(LINEAR))


def optimized_qdq(given: Given, output: Path) -> None:
    quantized(fused(given, output), given, output)


def optimized_qdq_linear(given: Given, output: Path) -> None:
    quantized(fused(given, output), given, output, op_types_to_quantize=list(LINEAR))


def optimized_qoperator(given: Given, output: Path) -> None:
    from onnxruntime.quantization import QuantFormat

    quantized(fused(given, output), given, output, quant_format=QuantFormat.QOperator)


if __name__ == "__main__":
    run(
        {
            "QDQ": qdq,
            "QDQ, linear maps": qdq_linear,
            "optimized, QDQ": optimized_qdq,
            "optimized, QDQ, linear maps": optimized_qdq_linear,
            "optimized, QOperator": optimized_qoperator,
        }
    )
