"""Intel Neural Compressor, in its last version that quantizes ONNX, as its example for BERT has it.

The example optimizes with ONNX Runtime's optimizer for BERT, leaves the outputs of products in float, and
tunes: where accuracy on dev falls by more than a hundredth, operators go back to float one after another.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from given import Feed, Given, fused, run

REQUIRES = (
    "neural-compressor==2.6",
    "onnx==1.16.2",
    "onnxruntime==1.18.1",
    "onnxruntime-extensions==0.15.2",
    "numpy==1.26.4",
    "setuptools==80.9.0",  # it imports pkg_resources
    "six==1.17.0",  # it does not say that it needs it
    "torch==2.13.0",  # ONNX Runtime's optimizer for BERT imports it
)


class Loader:
    """Calibration as the tool iterates over it: inputs and a label, which it ignores."""

    batch_size = 1

    def __init__(self, given: Given) -> None:
        self.feeds = given.calibration()

    def __iter__(self) -> Iterator[tuple[Feed, int]]:
        return ((feed, 0) for feed in self.feeds)

    def __len__(self) -> int:
        return len(self.feeds)


def quantized(given: Given, output: Path, approach: str, quant_format: str = "default") -> None:
    import onnx
    import onnxruntime
    from neural_compressor import PostTrainingQuantConfig, quantization

    def accuracy(model: Any) -> float:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        right = rows = 0
        for feed, labels in given.dev():
            (logits,) = session.run(None, feed)
            right += int((logits.argmax(-1) == labels).sum())
            rows += len(labels)
        return right / rows

    recipes = {"optypes_to_exclude_output_quant": ["MatMul", "Gemm", "Attention", "FusedGemm"]}
    config = PostTrainingQuantConfig(
        approach=approach,
        quant_format=quant_format,
        calibration_sampling_size=[len(given.calibration())],
        recipes=recipes if approach == "static" else {},
    )
    model = onnx.load(fused(given, output))
    found = quantization.fit(model, config, eval_func=accuracy, calib_dataloader=Loader(given))
    if found is None:
        raise SystemExit("Error: no quantized graph within a hundredth of the accuracy on dev")
    found.save(str(output))
    shutil.rmtree("nc_workspace", ignore_errors=True)


def dynamic(given: Given, output: Path) -> None:
    quantized(given, output, "dynamic")


def static(given: Given, output: Path) -> None:
    quantized(given, output, "static", "QOperator")


def static_qdq(given: Given, output: Path) -> None:
    quantized(given, output, "static", "QDQ")


if __name__ == "__main__":
    run({"dynamic": dynamic, "static": static, "static, QDQ": static_qdq})
