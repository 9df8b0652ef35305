"""Olive, by the passes of its example for BERT on a CPU: transformers optimization, then quantization.

The example quantizes "per_channel": false, "reduce_range": false, "calibrate_method": "MinMax" after
"quant_preprocess": true; what remains are the defaults of the passes.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from given import Given, run

REQUIRES = ("olive-ai==0.13.0", "onnxruntime==1.31.1", "sympy==1.14.0", "torch==2.13.0", "requests==2.32.5")


def quantized(given: Given, output: Path, quantization: dict[str, Any]) -> None:
    os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"
    from olive.data.registry import Registry
    from olive.workflows import run as olive_run

    @Registry.register_dataset("training_texts")
    def training_texts(**options: Any) -> list[Any]:
        """A batch of one text each, and a label, which is not read."""
        return [(feed, 0) for feed in given.calibration()]

    shape = given.shape
    texts = {
        "name": "texts",
        "type": "DataContainer",
        "load_dataset_config": {"type": "training_texts"},
        "dataloader_config": {"type": "no_auto_batch_dataloader"},
    }
    common = {"quant_preprocess": True, "per_channel": False, "reduce_range": False}
    olive_run(
        {
            "input_model": {"type": "ONNXModel", "model_path": given.graph},
            "systems": {
                "here": {
                    "type": "LocalSystem",
                    "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
                }
            },
            "data_configs": [texts],
            "passes": {
                "optimization": {
                    "type": "OrtTransformersOptimization",
                    "model_type": "bert",
                    "num_heads": shape["heads"],
                    "hidden_size": shape["hidden"],
                    "float16": False,
                    "only_onnxruntime": False,
                },
                "quantization": {**common, **quantization},
            },
            "host": "here",
            "target": "here",
            "cache_dir": str(output.parent / "cache"),
            "output_dir": str(output.parent / "olive"),
        }
    )
    made = sorted((output.parent / "olive").rglob("*.onnx"))
    if not made:
        raise SystemExit("Error: Olive wrote no graph")
    shutil.copy(made[-1], output)


def dynamic(given: Given, output: Path) -> None:
    quantized(given, output, {"type": "OnnxDynamicQuantization"})


def static(given: Given, output: Path) -> None:
    static = {"type": "OnnxStaticQuantization", "calibrate_method": "MinMax", "data_config": "texts"}
    quantized(given, output, static)


if __name__ == "__main__":
    run({"dynamic": dynamic, "static": static})
