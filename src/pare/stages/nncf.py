"""Static INT8 for OpenVINO: NNCF's post-training quantization, in kernels that OpenVINO has for it.

ONNX Runtime is served by `quantize`: a graph that NNCF quantized ran slower there than FP32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pare.checkpoint import OPENVINO_MODEL, TOKENIZER, Checkpoint, Format, write_record
from pare.errors import StageFailed
from pare.lowering import openvino
from pare.lowering.calibration import Sampling, sample
from pare.lowering.integer import Weights, matching
from pare.stages.networks import open_text_encoder
from pare.stages.stage import Context, Stage
from pare.tasks.example import lengths_of


@dataclass(frozen=True, kw_only=True)
class Nncf(Stage):
    """INT8 linear maps and embedding tables, calibrated on training texts.

    activations: how a tensor's range is found; percentile cuts off what is rare in each text.
    symmetric: activations too, not only weights. smooth: SmoothQuant. keep_float: patterns of linear maps
    to leave alone.
    """

    activations: openvino.Estimator = "avg"
    weights: Weights = "channel_wise_abs_max"
    symmetric: bool = False
    smooth: bool = True
    correct_bias: bool = True
    calibration_rows: int = 256
    sampling: Sampling = "random"
    keep_float: tuple[str, ...] = ()

    accepts: ClassVar[Format | None] = "openvino"
    produces: ClassVar[Format] = "openvino"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    computes: ClassVar[str | None] = "int8"
    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf", "tokenizers")

    def __post_init__(self) -> None:
        if self.calibration_rows < 1:
            raise ValueError(f"calibration_rows={self.calibration_rows}: must be at least 1")

    def run(self, inputs: Mapping[str, Checkpoint], context: Context) -> None:
        source = inputs["model"]
        model = openvino.read(source.model_file)
        maps = openvino.linear_maps(model)
        keep_float = matching(list(maps), self.keep_float)
        if all(integer or name in keep_float for name, integer in maps.items()):
            raise StageFailed("nncf: the graph has no linear map to quantize (already integer?)")
        texts = context.task.texts("train")
        rows = sample(lengths_of(texts), self.calibration_rows, self.sampling, context.seed)
        samples = []
        for encoded in open_text_encoder(source).encode([texts[row] for row in rows]):
            ids = np.array([encoded.ids], dtype=np.int64)
            samples.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
        quantized = openvino.to_int8(
            model,
            samples,
            self.activations,
            self.weights,
            self.symmetric,
            self.smooth,
            self.correct_bias,
            sorted(keep_float),
        )
        openvino.save(quantized, context.output / OPENVINO_MODEL)
        stored = openvino.linear_maps(openvino.read(context.output / OPENVINO_MODEL))
        write_record(
            context.output,
            format="openvino",
            outputs=source.outputs,
            tokenizer=(source.path / TOKENIZER).read_text(encoding="utf-8"),
            max_length=source.max_length,
            pad_id=source.pad_id,
            parameters=source.parameters,
            facts={
                **source.facts,
                "precision": "int8",
                "integer_linear_maps": [sum(stored.values()), len(stored)],
            },
        )
