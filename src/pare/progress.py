"""How long-running work says how far it is, without knowing who listens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

#: advance(steps done since the last call, a few words on the state)
Advance = Callable[[int, str], None]
#: progress(title, total steps) -> a context that yields `advance`
Progress = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def silent(title: str, total: int) -> Iterator[Advance]:
    """Tells nobody."""
    yield lambda steps, state: None
