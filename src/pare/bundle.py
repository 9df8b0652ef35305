"""The folder you deploy: graph, tokenizer, labels, and a script that needs neither Pare nor PyTorch."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pare import decoding, feeding
from pare.bundled import predict
from pare.checkpoint import SHIPPED, TOKENIZER, Checkpoint
from pare.files import write_json
from pare.provenance import versions
from pare.runtimes.session import PACKAGES, RUNTIMES, module_file

RECORD = "bundle.json"
SCHEMA = "pare/bundle@1"


def write_bundle(folder: Path, checkpoint: Checkpoint, pairs: bool, about: Mapping[str, Any]) -> None:
    """Fills `folder`, all at once or not at all.

    pairs: whether it reads pairs of texts. about: how it was made and what it scored.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in (*SHIPPED[checkpoint.format], TOKENIZER):
        shutil.copyfile(checkpoint.path / name, unfinished / name)
    for module in (predict, decoding, feeding):
        source = Path(str(module.__file__))
        shutil.copyfile(source, unfinished / source.name)
    runtime = RUNTIMES[checkpoint.format]
    shutil.copyfile(module_file(runtime), unfinished / "session.py")
    needs = {k: v for k, v in versions((*PACKAGES[runtime], "tokenizers", "numpy")).items() if v}
    write_json(
        unfinished / RECORD,
        {
            "schema": SCHEMA,
            "model": checkpoint.model_file.name,
            "tokenizer": TOKENIZER,
            "max_length": checkpoint.max_length,
            "pad_id": checkpoint.pad_id,
            "pairs": pairs,
            "outputs": [asdict(output) for output in checkpoint.outputs],
            "requires": needs,
            **about,
        },
    )
    (unfinished / "requirements.txt").write_text(
        "".join(f"{name}=={version}\n" for name, version in needs.items()), encoding="utf-8"
    )
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
