"""What every recipe is given: an FP32 graph, its shape, and token ids of training and dev texts.

Each recipe is a script of its own environment: python SCRIPT RECIPE GIVEN OUTPUT reads the folder GIVEN and
writes the graph OUTPUT. REQUIRES, in each script, is what its environment has; the first gives it its name.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Given:
    """A folder: model.onnx (FP32, input_ids and attention_mask), shape.json, calibration.npz, dev.npz, and
    the encoder's config.json, as transformers has it."""

    folder: Path

    @property
    def graph(self) -> str:
        return str(self.folder / "model.onnx")

    @property
    def shape(self) -> Mapping[str, int]:
        """heads, hidden, layers."""
        found: dict[str, int] = json.loads((self.folder / "shape.json").read_text("utf-8"))
        return found

    def calibration(self) -> list[Feed]:
        """Training texts, one each, at their own lengths."""
        with np.load(self.folder / "calibration.npz") as file:
            rows = [file[f"ids_{i}"][None] for i in range(len(file.files))]
        return [feed(row, np.ones_like(row)) for row in rows]

    def dev(self) -> Iterator[tuple[Feed, np.ndarray]]:
        """Batches of dev texts, padded, and their labels."""
        with np.load(self.folder / "dev.npz") as file:
            for i in range(len(file.files) // 3):
                yield feed(file[f"ids_{i}"], file[f"mask_{i}"]), file[f"labels_{i}"]


def feed(ids: np.ndarray, mask: np.ndarray) -> Feed:
    return {"input_ids": ids.astype(np.int64), "attention_mask": mask.astype(np.int64)}


class Reader:
    """Calibration as ONNX Runtime's tools read it: one feed after another, then None."""

    def __init__(self, given: Given) -> None:
        self.feeds = given.calibration()
        self.rewind()

    def get_next(self) -> Feed | None:
        return next(self.rest, None)

    def rewind(self) -> None:
        self.rest = iter(self.feeds)

    def __len__(self) -> int:
        return len(self.feeds)


def fused(given: Given, output: Path) -> str:
    """The graph after ONNX Runtime's optimizer for BERT, as its notebook on quantizing BERT has it."""
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False  # "required for quantization", says the notebook
    found = optimizer.optimize_model(
        given.graph,
        "bert",
        num_heads=given.shape["heads"],
        hidden_size=given.shape["hidden"],
        optimization_options=options,
    )
    file = output.with_suffix(".fused.onnx")
    found.save_model_to_file(str(file))
    return str(file)


def prepared(graph: str, output: Path) -> str:
    """The graph after ONNX Runtime's own preparation for quantizing: shapes inferred, constants folded."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    file = output.with_suffix(".prepared.onnx")
    quant_pre_process(graph, file, auto_merge=True)  # both inputs have as many tokens
    return str(file)


def run(recipes: Mapping[str, Callable[[Given, Path], None]]) -> None:
    """Called by each script."""
    recipe, folder, output = sys.argv[1:]
    recipes[recipe](Given(Path(folder)), Path(output))
