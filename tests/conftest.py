"""What several test modules share: one fine-tuned network, made once; one thread for each process."""

import os
from pathlib import Path

# Tests run side by side, one process a core. Before torch is loaded, which reads it only then.
os.environ |= {"OMP_NUM_THREADS": "1", "PARE_THREADS": "1"}

import pytest

from pare.checkpoint import Checkpoint
from small import FINETUNE, pipeline


@pytest.fixture(scope="session", autouse=True)
def leases_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests measure need not be exact, and one process's would wait for another's."""
    os.environ["PARE_LEASES"] = str(tmp_path_factory.mktemp("leases"))


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
