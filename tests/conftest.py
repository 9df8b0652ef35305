"""What several test modules share: one fine-tuned network, made once."""

from pathlib import Path

import pytest

from pare.checkpoint import Checkpoint
from small import FINETUNE, pipeline


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the fine-tuned network."""
    folder = tmp_path_factory.mktemp("store")
    pipeline(folder).produce(FINETUNE, {})
    return folder


@pytest.fixture(scope="session")
def finetuned(root: Path) -> Checkpoint:
    entry, cached = pipeline(root).produce(FINETUNE, {})
    assert cached
    return Checkpoint(entry.path, entry.digest)
