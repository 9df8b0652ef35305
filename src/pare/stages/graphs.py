"""What stages that rewrite graphs share: the graph of a checkpoint, and one written back with its facts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from pare.checkpoint import ONNX_MODEL, TOKENIZER, Checkpoint, write_record
from pare.lowering.graph import save


def open_graph(checkpoint: Checkpoint) -> ModelProto:
    return onnx.load(str(checkpoint.path / ONNX_MODEL))


def write_graph(
    folder: Path,
    model: ModelProto,
    source: Checkpoint,
    facts: Mapping[str, Any],
    max_length: int | None = None,
) -> None:
    """A checkpoint like `source` but for its graph. facts: what is new. max_length: where it is another."""
    save(model, folder / ONNX_MODEL)
    write_record(
        folder,
        format="onnx",
        outputs=source.outputs,
        tokenizer=(source.path / TOKENIZER).read_text(encoding="utf-8"),
        max_length=max_length or source.max_length,
        pad_id=source.pad_id,
        parameters=source.parameters,
        facts={**source.facts, **facts},
    )
