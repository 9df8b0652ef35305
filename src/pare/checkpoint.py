"""A checkpoint on disk: weights, tokenizer, and the facts needed to use them. Never pickle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pare.errors import PareError
from pare.files import write_json
from pare.outputs import Output

#: torch: a network to go on with; program: one to run in PyTorch alone; cohort: networks, one folder each
Format = Literal["torch", "onnx", "openvino", "program", "cohort"]

SCHEMA = "pare/checkpoint@1"
RECORD, TOKENIZER, HISTORY = "checkpoint.json", "tokenizer.json", "history.jsonl"
ONNX_MODEL, OPENVINO_MODEL, PROGRAM = "model.onnx", "model.xml", "program.json"

#: what has to be shipped to run a model, the file that is opened first
SHIPPED: Mapping[Format, tuple[str, ...]] = {
    "torch": ("model.safetensors",),
    "onnx": (ONNX_MODEL,),
    "openvino": (OPENVINO_MODEL, "model.bin"),
    "program": (PROGRAM, "program.safetensors"),
}


@dataclass(frozen=True)
class Checkpoint:
    """An immutable folder. `digest` names its content: equal content, equal digest."""

    path: Path
    digest: str

    @cached_property
    def record(self) -> Mapping[str, Any]:
        record: dict[str, Any] = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        if record.get("schema") != SCHEMA:
            raise PareError(f"{self.path / RECORD}: schema {record.get('schema')!r}, expected {SCHEMA!r}")
        return record

    @property
    def format(self) -> Format:
        found: Format = self.record["format"]
        return found

    @property
    def outputs(self) -> tuple[Output, ...]:
        return tuple(
            Output(**{**o, "labels": tuple(o["labels"]), "implied": tuple(map(tuple, o["implied"]))})
            for o in self.record["outputs"]
        )

    @property
    def max_length(self) -> int:
        return int(self.record["max_length"])

    @property
    def pad_id(self) -> int:
        return int(self.record["pad_id"])

    @property
    def parameters(self) -> int:
        return int(self.record["parameters"])

    @property
    def facts(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.record["facts"]
        return found

    @property
    def longest(self) -> int | None:
        """How many tokens its inputs may have; None where nobody wrote it down."""
        _, fixed = self.facts.get("input_shape", (None, None))
        found: int | None = fixed or self.facts.get("shape", {}).get("tokens")
        return found

    @property
    def members(self) -> tuple[str, ...]:
        """The names of a cohort's networks, each a folder below."""
        return tuple(self.record["members"])

    def history(self) -> list[dict[str, float]]:
        """The training curve, empty for stages that do not train."""
        file = self.path / HISTORY
        if not file.is_file():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def model_bytes(self) -> int:
        """What has to be shipped to run the model: its weights or graph; of a cohort, all of them."""
        if self.format == "cohort":
            return sum(Checkpoint(self.path / name, "").model_bytes() for name in self.members)
        return sum((self.path / name).stat().st_size for name in SHIPPED[self.format])

    @property
    def model_file(self) -> Path:
        """What a runtime opens."""
        return self.path / SHIPPED[self.format][0]


def write_cohort(folder: Path, members: Sequence[str]) -> None:
    """What holds the folders of several checkpoints together."""
    parts = [Checkpoint(folder / name, "") for name in members]
    write_json(
        folder / RECORD,
        {
            "schema": SCHEMA,
            "format": "cohort",
            "members": list(members),
            "outputs": parts[0].record["outputs"],
            "max_length": parts[0].max_length,
            "pad_id": parts[0].pad_id,
            "parameters": sum(part.parameters for part in parts),
            "facts": {},
        },
    )


def write_record(
    folder: Path,
    *,
    format: Format,
    outputs: Sequence[Output],
    tokenizer: str,
    max_length: int,
    pad_id: int,
    parameters: int,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, float]] = (),
) -> None:
    """Everything of a checkpoint but its weights. tokenizer: the text of its tokenizer.json."""
    (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    if history:
        lines = "".join(json.dumps(dict(row), allow_nan=False) + "\n" for row in history)
        (folder / HISTORY).write_text(lines, encoding="utf-8")
    write_json(
        folder / RECORD,
        {
            "schema": SCHEMA,
            "format": format,
            "outputs": [asdict(o) for o in outputs],
            "max_length": max_length,
            "pad_id": pad_id,
            "parameters": parameters,
            "facts": dict(facts),
        },
    )
