"""ONNX Runtime's own dynamic quantization, with or without its optimizer for BERT before."""

from pathlib import Path

from given import Given, fused, prepared, run

REQUIRES = ("onnxruntime==1.31.1", "onnx==1.23.2", "sympy==1.14.0", "torch==2.13.0")


def quantized(graph: str, output: Path, per_channel: bool = False) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(prepared(graph, output), output, weight_type=QuantType.QInt8, per_channel=per_channel)


def plain(given: Given, output: Path) -> None:
    quantized(given.graph, output)


def optimized(given: Given, output: Path) -> None:
    quantized(fused(given, output), output)


def optimized_per_channel(given: Given, output: Path) -> None:
    quantized(fused(given, output), output, per_channel=True)


if __name__ == "__main__":
    run({"plain": plain, "optimized": optimized, "optimized, per channel": optimized_per_channel})
