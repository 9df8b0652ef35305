"""optimum-onnx: the configurations for AVX512-VNNI of its guide on quantization, and those of its example."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from given import Given, run

REQUIRES = (
    "optimum-onnx==0.1.0",
    "onnxruntime==1.31.1",
    "transformers==4.57.6",  # it wants less than 4.58
    "torch==2.13.0",
    "datasets==5.0.1",
)


def vnni(static: bool, **options: Any) -> Any:
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    return AutoQuantizationConfig.avx512_vnni(is_static=static, **options)


def quantized(folder: Path, output: Path, config: Any, ranges: Any = None, **options: Any) -> None:
    from optimum.onnxruntime import ORTQuantizer

    with TemporaryDirectory() as elsewhere:
        quantizer = ORTQuantizer.from_pretrained(folder)
        if ranges is not None:
            ranges = ranges(quantizer)
        quantizer.quantize(config, elsewhere, calibration_tensors_range=ranges, **options)
        (made,) = Path(elsewhere).glob("*.onnx")
        shutil.move(made, output)


def ranges_of(given: Given, config: Any) -> Any:
    """Calibration as its guide has it: min-max."""
    from datasets import Dataset
    from optimum.onnxruntime.configuration import AutoCalibrationConfig

    rows = [{name: value[0].tolist() for name, value in feed.items()} for feed in given.calibration()]
    dataset = Dataset.from_list(rows)

    def found(quantizer: Any) -> Any:
        with TemporaryDirectory() as elsewhere:
            return quantizer.fit(
                dataset,
                AutoCalibrationConfig.minmax(dataset),
                f"{elsewhere}/augmented.onnx",
                operators_to_quantize=config.operators_to_quantize,
            )

    return found


def dynamic(given: Given, output: Path) -> None:
    quantized(given.folder, output, vnni(False, per_channel=False))


def optimized_dynamic(given: Given, output: Path) -> None:
    """Its optimization level 2 first: what ONNX Runtime's optimizer for BERT fuses."""
    from optimum.onnxruntime import AutoOptimizationConfig, ORTOptimizer
    from transformers import AutoConfig

    with TemporaryDirectory() as folder:
        optimizer = ORTOptimizer([Path(given.graph)], AutoConfig.from_pretrained(given.folder))
        optimizer.optimize(AutoOptimizationConfig.O2(), folder, file_suffix="")
        quantized(Path(folder), output, vnni(False, per_channel=False))


def static(given: Given, output: Path) -> None:
    config = vnni(True, per_channel=False)
    quantized(given.folder, output, config, ranges_of(given, config))


def static_linear(given: Given, output: Path) -> None:
    """As its example for text classification: MatMul and Add, but not those of LayerNorm, GELU and skips."""
    from optimum.onnxruntime.preprocessors import QuantizationPreprocessor
    from optimum.onnxruntime.preprocessors.passes import (
        ExcludeGeLUNodes,
        ExcludeLayerNormNodes,
        ExcludeNodeAfter,
        ExcludeNodeFollowedBy,
    )

    config = vnni(True, per_channel=False, operators_to_quantize=["MatMul", "Add"])
    leave = QuantizationPreprocessor()
    for one in (
        ExcludeLayerNormNodes(),
        ExcludeGeLUNodes(),
        ExcludeNodeAfter("Add", "Add"),
        ExcludeNodeAfter("Gather", "Add"),
        ExcludeNodeFollowedBy("Add", "Softmax"),
    ):
        leave.register_pass(one)
    quantized(given.folder, output, config, ranges_of(given, config), preprocessor=leave)


if __name__ == "__main__":
    run(
        {
            "dynamic": dynamic,
            "O2, dynamic": optimized_dynamic,
            "static": static,
            "static, linear maps": static_linear,
        }
    )
