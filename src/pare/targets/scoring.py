"""The answers of a checkpoint on a split, from the very artifact that would be deployed."""

from typing import Any

from pare.answering import Run, answers_of_run, network_run
from pare.checkpoint import TOKENIZER, Checkpoint
from pare.encoders.network import load
from pare.outputs import has_places
from pare.runtimes.session import session_class
from pare.targets.hardware import Hardware
from pare.tasks.task import Split, Task
from pare.tasks.text import TextEncoder


def answers_of(checkpoint: Checkpoint, task: Task, split: Split, hardware: Hardware) -> list[dict[str, Any]]:
    """One answer for each text of the split, in order."""
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    texts = task.texts(split)
    encoded = encoder.encode(texts, places=has_places(checkpoint.outputs))
    run = runner(checkpoint, hardware)
    return answers_of_run(run, checkpoint.outputs, texts, encoded, checkpoint.pad_id)


def runner(checkpoint: Checkpoint, hardware: Hardware) -> Run:
    """Runs graphs in the target's runtime, and networks in PyTorch."""
    if checkpoint.format == hardware.runs:
        session_of = session_class(hardware.runtime)
        return session_of(str(checkpoint.model_file), hardware.device, hardware.threads).run
    return network_run(load(checkpoint.path, checkpoint.outputs))
