"""The answers of a graph on texts, in the target's runtime: the very artifact that would be deployed."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pare.answering import Run, answers_of_run
from pare.checkpoint import TOKENIZER, Checkpoint
from pare.decoding import Text
from pare.errors import StageFailed
from pare.outputs import has_places
from pare.progress import Advance
from pare.runtimes.session import session_class
from pare.targets.hardware import Hardware
from pare.tasks.text import TextEncoder

log = logging.getLogger(__name__)


def answers_of(checkpoint: Checkpoint, texts: Sequence[Text], run: Run) -> list[dict[str, Any]]:
    """One answer for each text, in order."""
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    encoded = encoder.encode(texts, places=has_places(checkpoint.outputs))
    return answers_of_run(run, checkpoint.outputs, texts, encoded, checkpoint.pad_id)


def warn_of_cut(checkpoint: Checkpoint, texts: Mapping[str, Sequence[Text]]) -> None:
    """Says how many of the texts are longer than the model reads. texts: by a name for them."""
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    counts = {name: encoder.count_cut(each) for name, each in texts.items()}
    if told := ", ".join(
        f"{count} of {len(texts[name])} ({name})" for name, count in counts.items() if count
    ):
        log.warning("texts longer than max_length=%d are cut to that: %s", checkpoint.max_length, told)


def counted(run: Run, advance: Advance) -> Run:
    """Says of how many texts it has the answers."""

    def counting(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        found = run(ids, mask)
        advance(len(ids), "")
        return found

    return counting


def graph_run(checkpoint: Checkpoint, hardware: Hardware) -> Run:
    """Raises StageFailed where the runtime cannot load it, or fails while it runs."""
    session_of = session_class(hardware.runtime)
    options = hardware.session_options(checkpoint)
    try:
        session = session_of(str(checkpoint.model_file), hardware.device, hardware.threads, options)
    except RuntimeError as e:
        raise StageFailed(f"hardware={hardware.name}: {e}") from e

    def run(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        try:
            return session.run(ids, mask)
        except Exception as e:  # ONNX Runtime's have no class in common
            texts, tokens = ids.shape
            told = " ".join(str(e).split())
            raise StageFailed(f"hardware={hardware.name}: {texts} texts of {tokens} tokens: {told}") from e

    return run
