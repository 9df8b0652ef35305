"""Many graphs timed in one rotation: each in a fresh process, short blocks that go round and back again.

Every round visits all graphs in a random order and then in the reverse one, on the same inputs, so that
whatever drifts within a round weighs on all alike. A graph's ratio in a round is the median over the calls
of its time over the reference's on the same input, both ways; the ratio is the median over the rounds.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ARM = Path(__file__).parent / "peer_arms" / "timed_graph.py"
#: a block of calls from an input on: the milliseconds of each
Block = Callable[[str, int, int], Sequence[float]]


@dataclass(frozen=True)
class Ratio:
    """How long a call takes over the reference's, with a 95 % interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """p50_ms is of single calls, over all inputs."""

    p50_ms: float
    ratio: Ratio
    calls: int


@contextmanager
def started(model: Path, inputs: Path, threads: int) -> Iterator[Block]:
    command = [sys.executable, str(ARM), str(model), str(inputs), str(threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def answer() -> list[float]:
            line = stdout.readline()
            if not line:
                raise RuntimeError(f"{model}: its process ended with {process.wait()}")
            found: list[float] = json.loads(line)
            return found

        def block(kind: str, calls: int, first: int) -> list[float]:
            stdin.write(json.dumps({"kind": kind, "calls": calls, "first": first}) + "\n")
            stdin.flush()
            return answer()

        try:
            answer()
            yield block
        finally:
            process.kill()


def timed(
    models: Mapping[str, Path],
    reference: str,
    inputs: Path,
    kinds: Mapping[str, tuple[int, int]],
    threads: int = 1,
    says: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Timing]]:
    """By name and kind. kinds: rounds and calls a block."""
    with ExitStack() as stack:
        arms = {name: stack.enter_context(started(model, inputs, threads)) for name, model in models.items()}
        found: dict[str, dict[str, Timing]] = {name: {} for name in models}
        for kind, (rounds, calls) in kinds.items():
            for name, timing in rotated(arms, reference, kind, rounds, calls, says).items():
                found[name][kind] = timing
    return found


def rotated(
    arms: Mapping[str, Block], reference: str, kind: str, rounds: int, calls: int, says: Callable[[str], None]
) -> dict[str, Timing]:
    rng = random.Random(0)
    names = list(arms)
    times: dict[str, list[np.ndarray]] = {name: [] for name in names}  # (2, calls) a round
    for name in names:
        arms[name](kind, calls, 0)
    for number in range(rounds):
        rng.shuffle(names)
        spent: dict[str, list[Sequence[float]]] = {name: [] for name in names}
        for name in (*names, *reversed(names)):
            spent[name].append(arms[name](kind, calls, number * calls))
        for name, both in spent.items():
            times[name].append(np.array(both))
        says(f"{kind}: round {number + 1} of {rounds}")
    base = np.array(times[reference])
    return {
        name: Timing(
            p50_ms=float(np.median(values)),
            ratio=ratio_of(round_ratios(np.array(values), base)),
            calls=int(np.size(values)),
        )
        for name, values in times.items()
    }


def round_ratios(times: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Log-ratio of each round, from (rounds, 2, calls) of both: median over calls, mean over the two ways."""
    found: np.ndarray = np.median(np.log(times / base), axis=2).mean(axis=1)
    return found


def ratio_of(logs: np.ndarray, resamples: int = 2000) -> Ratio:
    """Median of log-ratios with a 95 % percentile bootstrap; seeded, so that it can be repeated."""
    rng = np.random.default_rng(0)
    medians = np.median(logs[rng.integers(0, len(logs), (resamples, len(logs)))], axis=1)
    low, high = np.exp(np.percentile(medians, (2.5, 97.5)))
    return Ratio(float(np.exp(np.median(logs))), float(low), float(high))
