"""Where a training run stands, on disk: after `kill -9` it goes on at the same step, to the same bits.

Random numbers need no place in it: each step has its own, see `pare.fitting.seeds_of_a_step`.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pare.files import fsync_path, remove_stale

log = logging.getLogger(__name__)

FILE = "training.safetensors"


@dataclass
class Standing:
    """What has been done: optimizer steps taken, the curve so far, the best look at dev."""

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float | None = None
    best_step: int = 0
    best: dict[str, Tensor] | None = None  # the weights then


def save_standing(
    folder: Path, standing: Standing, modules: nn.Module, optimizer: torch.optim.Optimizer, scaler: Any
) -> None:
    """One file, replaced in one step, that knows its own digest."""
    tensors = {f"modules.{name}": tensor for name, tensor in modules.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (standing.best or {}).items()}
    about = {
        "step": standing.step,
        "history": standing.history,
        "best_score": standing.best_score,
        "best_step": standing.best_step,
        "scaler": scaler.state_dict(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{FILE}.{os.urandom(4).hex()}"
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    told = json.dumps(about)
    try:
        save_file(plain, temporary, metadata={"standing": told, "digest": digest_of(told, plain)})
        fsync_path(temporary)
        temporary.replace(folder / FILE)
    except (FileNotFoundError, SafetensorError):
        if folder.exists():
            raise  # else another machine, where locks do not reach it, has published what is trained here
    finally:
        temporary.unlink(missing_ok=True)


def restore_standing(
    folder: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, scaler: Any
) -> Standing:
    """Brings modules and optimizer to where they were; a fresh start where nothing is, or nothing whole."""
    for unfinished in (f"{FILE}.*", ".tmp*"):  # ours, and those that safetensors fills first
        remove_stale(folder, unfinished)
    file = folder / FILE
    if not file.is_file():
        return Standing()
    found = read(file)
    if found is None:
        log.warning("%s is damaged; training starts anew", file)
        return Standing()
    about, tensors = found
    modules.load_state_dict(below(tensors, "modules"))
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in below(tensors, "optimizer").items():
        index, _, what = name.partition(".")
        states.setdefault(int(index), {})[what] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    if about["scaler"]:
        scaler.load_state_dict(about["scaler"])
    best = below(tensors, "best")
    return Standing(about["step"], about["history"], about["best_score"], about["best_step"], best or None)


def read(file: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]] | None:
    """What was written there; None where that has changed since."""
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no iterator)
    except SafetensorError:
        return None
    told = metadata.get("standing", "")
    return (json.loads(told), tensors) if metadata.get("digest") == digest_of(told, tensors) else None


def digest_of(told: str, tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(told.encode("utf-8"))
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")}
