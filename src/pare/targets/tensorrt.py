"""What TensorRT is told when ONNX Runtime builds an engine: the shapes to expect, precisions, caches.

Options of the provider: https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pare.checkpoint import TOKENIZER, Checkpoint
from pare.decoding import Text
from pare.provenance import file_digest
from pare.tasks.text import TextEncoder

#: what pip calls it, by CUDA's version; the last takes one of the others along
PACKAGES = ("tensorrt-cu13", "tensorrt-cu12", "tensorrt")
VERSIONS = "10.*"  #: that ONNX Runtime's provider is built against
INPUTS = ("input_ids", "attention_mask")
FLAGS = {"fp16": "trt_fp16_enable", "bf16": "trt_bf16_enable", "int8": "trt_int8_enable"}
SHORTEST = 2  # tokens: of an empty text, its two marks


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Between which shapes an engine works, and for which it is tuned; each is texts and tokens."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]

    def __post_init__(self) -> None:
        for side in range(2):
            found = [shape[side] if len(shape) == 2 else 0 for shape in (self.least, self.usual, self.most)]
            if found != sorted(found) or found[0] < 1:
                raise ValueError(
                    f"least={list(self.least)}, usual={list(self.usual)}, most={list(self.most)}: "
                    "two numbers each, texts and tokens, none smaller than the one before"
                )


def shapes_of(
    lengths: Sequence[int], batch: int, largest_batch: int, longest: int, padded: int | None = None
) -> Shapes:
    """From the tokens of the task's texts.

    longest: how many the model reads at most. padded: to how many texts are padded or cut to be timed.
    """
    cut = [min(length, longest) for length in lengths] or [longest]
    usual = padded or max(min(cut), round(statistics.median(cut)))
    return Shapes(
        least=(1, min(SHORTEST, *cut)),
        usual=(batch, usual),
        most=(max(batch, largest_batch), max(longest, usual)),
    )


#: by the name of the texts, and the tokenizer and length that they are read with
_counted: dict[tuple[str, str, int], list[int]] = {}


def token_counts(checkpoint: Checkpoint, texts: Sequence[Text], rows: str | None) -> list[int]:
    """Of each text as the checkpoint reads it; where `rows` names them, counted once in a process."""
    if rows is None:
        return counted(checkpoint, texts)
    key = (rows, file_digest(checkpoint.path / TOKENIZER), checkpoint.max_length)
    if key not in _counted:
        _counted[key] = counted(checkpoint, texts)
    return _counted[key]


def counted(checkpoint: Checkpoint, texts: Sequence[Text]) -> list[int]:
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    return [len(e.ids) for e in encoder.encode(texts, places=False)]


def options(
    shapes: Shapes | None,
    precision: str,
    cache: Path | None,
    digest: str,
    fixed: Sequence[int | None] = (None, None),
) -> dict[str, str]:
    """The provider's options, all of them text: of two words for yes and no it reads these alone.

    precision: the graph's. cache: the folder of engines and timings. digest: of the checkpoint; ONNX Runtime
    names an engine by its graph without its weights, so each checkpoint has a folder of its own. fixed: the
    sides that the graph's inputs have for good.
    """
    found = {flag: str(precision == name) for name, flag in FLAGS.items()}
    if precision == "int8":
        found[FLAGS["fp16"]] = "True"  # what stands outside Q/DQ: without it TensorRT computes that in FP32
    if shapes is not None and None in fixed:
        for name, shape in (("min", shapes.least), ("opt", shapes.usual), ("max", shapes.most)):
            sides = [given or side for given, side in zip(fixed, shape, strict=True)]
            told = "x".join(map(str, sides))
            found[f"trt_profile_{name}_shapes"] = ",".join(f"{value}:{told}" for value in INPUTS)
    if cache is not None and digest:
        found |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(cache / digest[:16]),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(cache / "timing"),
        }
    return found


def fixed_sides(facts: Mapping[str, Any]) -> list[int | None]:
    """What a `shape` stage has fixed."""
    return list(facts.get("input_shape", (None, None)))
