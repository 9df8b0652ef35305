"""Latency, throughput, memory and size of a graph beside its baseline, interleaved and paired.

Each arm is a fresh process that loads one graph. Short blocks of calls on the same texts alternate A B B A;
the speed-up is the median of the blocks' ratios with a bootstrap interval over the pairs.
"""

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pare.answering import batches_by_length, padded
from pare.checkpoint import TOKENIZER, Checkpoint
from pare.decoding import Text
from pare.errors import StageFailed
from pare.progress import Progress
from pare.targets.hardware import Hardware
from pare.tasks.text import TextEncoder


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How thoroughly to measure. `fresh` repeats what the store already holds."""

    pairs: int = 30
    calls: int = 50  # a block
    texts: int = 512  # drawn from the test split
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.pairs < 5 or self.calls < 5 or self.texts < self.calls:
            raise ValueError(
                f"pairs={self.pairs}, calls={self.calls}, texts={self.texts}: at least 5 pairs of 5 calls, "
                "and as many texts as calls"
            )


@dataclass(frozen=True)
class Speedup:
    """How many times faster than the baseline, with a 95 % interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Measurement:
    """What one checkpoint costs on one target."""

    hardware: str
    runtime: str
    device: str
    precision: str
    lowering: str
    threads: int
    batch: int
    length: int | None
    latency_ms: Mapping[str, float]  # p50, p90, n
    throughput_per_s: float
    throughput_batch: int
    size_mb: float
    memory_mb: float | None
    speedup: Speedup
    fingerprint: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Measurement":
        return cls(**{**value, "speedup": Speedup(**value["speedup"])})


class Arm:
    """One measuring process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.latencies: list[float] = []
        self._answer()

    def block(self, kind: str, calls: int, first: int) -> list[float]:
        times: list[float] = self._ask({"kind": kind, "calls": calls, "first": first})["ms"]
        return times

    def memory_mb(self) -> float | None:
        found: float | None = self._ask({"memory": True})["memory_mb"]
        return found

    def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            reason = errors.strip().splitlines()[-1] if errors.strip() else "no message"
            raise StageFailed(f"measuring: the process ended with {self.process.returncode}: {reason}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def started(checkpoint: Checkpoint, inputs: Path, hardware: Hardware) -> Iterator[Arm]:
    command = [sys.executable, "-m", "pare.targets.arm", hardware.runtime, str(checkpoint.model_file)]
    with subprocess.Popen(
        [*command, str(inputs), hardware.device, str(hardware.threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Arm(process)
        finally:
            process.kill()


def measure(
    candidate: Checkpoint,
    baselines: Sequence[Checkpoint],
    texts: Sequence[Text],
    hardware: Hardware,
    settings: Measure,
    progress: Progress,
) -> tuple[Measurement, Measurement, int]:
    """(candidate, baseline, which of `baselines` was faster and therefore is the baseline)."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        arms = []
        for number, checkpoint in enumerate((candidate, *baselines)):
            inputs = Path(folder) / f"inputs-{number}.npz"
            write_inputs(inputs, checkpoint, texts[: settings.texts], hardware)
            arms.append(stack.enter_context(started(checkpoint, inputs, hardware)))
        for arm in arms:
            arm.block("latency", settings.calls, 0)  # warm-up
        best = fastest(arms[1:], settings.calls)
        pair = (arms[0], arms[1 + best])
        with progress(f"measuring on {hardware.name}", settings.pairs) as advance:
            ratios = []
            for i in range(settings.pairs):
                order = pair if i % 2 else pair[::-1]
                spent = {}
                for arm in order:
                    times = arm.block("latency", settings.calls, i * settings.calls)
                    arm.latencies += times
                    spent[id(arm)] = sum(times)
                ratios.append(spent[id(pair[1])] / spent[id(pair[0])])
                advance(1, f"{statistics.median(ratios):.2f}x")
        rates = [throughput(arm, hardware.throughput_batch) for arm in pair]
        memory = [arm.memory_mb() for arm in pair]
    speedups = (speedup_of(ratios), Speedup(1.0, 1.0, 1.0))
    found = [
        measurement(checkpoint, arm, rate, mb, speedup, hardware)
        for checkpoint, arm, rate, mb, speedup in zip(
            (candidate, baselines[best]), pair, rates, memory, speedups, strict=True
        )
    ]
    return found[0], found[1], best


def measurement(
    checkpoint: Checkpoint,
    arm: Arm,
    throughput_per_s: float,
    memory_mb: float | None,
    speedup: Speedup,
    hardware: Hardware,
) -> Measurement:
    p50, p90 = np.percentile(arm.latencies, (50, 90))
    return Measurement(
        hardware=hardware.name,
        runtime=hardware.runtime,
        device=hardware.device,
        precision=str(checkpoint.facts.get("precision", "fp32")),
        lowering=str(checkpoint.facts.get("lowering")),
        threads=hardware.threads,
        batch=hardware.batch,
        length=hardware.length,
        latency_ms={"p50": float(p50), "p90": float(p90), "n": len(arm.latencies)},
        throughput_per_s=throughput_per_s,
        throughput_batch=hardware.throughput_batch,
        size_mb=checkpoint.model_bytes() / 1e6,
        memory_mb=memory_mb,
        speedup=speedup,
        fingerprint=hardware.fingerprint(),
    )


def write_inputs(file: Path, checkpoint: Checkpoint, texts: Sequence[Text], hardware: Hardware) -> None:
    """The same texts for every arm, as its own tokenizer reads them.

    Batches as they come for latency, by length for throughput.
    """
    encoder = TextEncoder.load(checkpoint.path / TOKENIZER, checkpoint.max_length)
    rows = [e.ids for e in encoder.encode(texts)]
    arrays: dict[str, np.ndarray] = {}

    def put(kind: str, number: int, batch: Sequence[Sequence[int]]) -> None:
        ids, mask = padded(batch, checkpoint.pad_id, hardware.length)
        arrays[f"{kind}_{number}_ids"], arrays[f"{kind}_{number}_mask"] = ids, mask

    for number, start in enumerate(range(0, len(rows) - hardware.batch + 1, hardware.batch)):
        put("latency", number, rows[start : start + hardware.batch])
    if not arrays:
        raise StageFailed(f"measuring: {len(rows)} texts are fewer than hardware.batch={hardware.batch}")
    size = hardware.throughput_batch
    whole = [b for b in batches_by_length([len(r) for r in rows], size) if len(b) == size]
    if not whole:
        whole = [[i % len(rows) for i in range(size)]]
    for number, batch in enumerate(whole):
        put("throughput", number, [rows[i] for i in batch])
    np.savez(file, allow_pickle=False, **arrays)


def fastest(arms: Sequence[Arm], calls: int) -> int:
    """The index of the arm with the lowest median over a few interleaved blocks."""
    if len(arms) == 1:
        return 0
    times: list[list[float]] = [[] for _ in arms]
    for round_ in range(6):
        for i, arm in enumerate(arms):
            times[i] += arm.block("latency", calls, round_ * calls)
    return min(range(len(arms)), key=lambda i: statistics.median(times[i]))


def throughput(arm: Arm, batch: int) -> float:
    """Texts per second over whole batches, the median of a few blocks."""
    calls = 4
    arm.block("throughput", calls, 0)
    rates = [calls * batch / sum(arm.block("throughput", calls, i * calls)) * 1e3 for i in range(8)]
    return statistics.median(rates)


def speedup_of(ratios: Sequence[float], resamples: int = 2000) -> Speedup:
    """Median of paired ratios with a 95 % percentile bootstrap; seeded, so that it can be repeated."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(resamples))
    return Speedup(
        median=statistics.median(ratios),
        low=medians[round(0.025 * (resamples - 1))],
        high=medians[round(0.975 * (resamples - 1))],
    )
