"""How thoroughly to measure, and what is found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pare.decoding import Text
from pare.ondemand import drawn
from pare.targets.intervals import Speedup


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How thoroughly to measure. `fresh` repeats what the store already holds.

    launches: fresh processes of each arm, one after another. more: as many beyond that, while the interval of
    the speed-up or of the control is wider than half_width, a share. seconds: of timing in all, without those
    that go beyond, but at least two rounds a launch. calls: how many there must be of each arm, whatever time
    it takes. texts: drawn from the test split. peak: whether the machine's multiply peak is measured too.
    """

    mode: Literal["quick", "strict"] = "quick"
    launches: int = 8
    more: int = 0
    half_width: float = 0.015
    seconds: float = 10
    calls: int = 0
    texts: int = 512
    peak: bool = True
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.launches < 2:
            raise ValueError(f"launches={self.launches}: at least 2 are needed, or there is no interval")
        if not self.seconds > 0 or self.calls < 0 or self.texts < 1 or self.more < 0:
            raise ValueError(
                f"seconds={self.seconds}, calls={self.calls}, texts={self.texts}, more={self.more}: "
                "seconds must be above 0, texts at least 1, calls and more at least 0"
            )

    def timed(self, texts: Sequence[Text]) -> list[Text]:
        """Those of the split that are timed: the same in every measurement."""
        return drawn(texts, self.texts, seed=0)


@dataclass(frozen=True)
class Rate:
    """Texts a second in batches: padded as they come, and sorted by length first."""

    batch: int
    padded_per_s: float
    bucketed_per_s: float


@dataclass(frozen=True)
class Arithmetic:
    """What a text needs, what is done, and what this machine could do; peak: None where nobody knows."""

    flops_per_text: float
    flops_per_s: float
    peak_flops_per_s: float | None
    fraction: float | None


@dataclass(frozen=True)
class Measurement:
    """What one checkpoint costs on one target.

    speedup: against the baseline. control: of the baseline against itself, in another process: what is no
    larger than that is noise. precision: that most of the work was done in, and what was asked for where
    that is another; ran: providers, kernels, what fell back. throughput_per_s: of the largest batch, sorted
    by length. load_ms, first_ms: loading the graph, and its first call.
    """

    hardware: str
    runtime: str
    device: str
    precision: str
    lowering: str
    threads: int
    batch: int
    length: int | None
    mode: str
    latency_ms: Mapping[str, float]  # p50, n, and with enough calls p90 …
    end_to_end_ms: Mapping[str, float] | None  # from the text to the answer; None at a fixed length
    load_ms: float
    first_ms: float
    throughput_per_s: float
    throughput_batch: int
    rates: Sequence[Rate]
    size_mb: float
    memory_mb: float | None
    gpu_memory_mb: float | None  # of the process, as the driver says
    gpu_allocated_mb: float | None  # the peak of PyTorch's allocator
    arithmetic: Arithmetic | None
    energy_j: float | None  # a text, in the largest batch
    speedup: Speedup
    end_to_end_speedup: Speedup | None
    control: Speedup
    ran: Mapping[str, Any]
    conditions: Mapping[str, Any]
    fingerprint: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Measurement":
        end_to_end, arithmetic = value["end_to_end_speedup"], value["arithmetic"]
        return cls(
            **{
                **value,
                "speedup": Speedup(**value["speedup"]),
                "control": Speedup(**value["control"]),
                "end_to_end_speedup": None if end_to_end is None else Speedup(**end_to_end),
                "rates": tuple(Rate(**rate) for rate in value["rates"]),
                "arithmetic": None if arithmetic is None else Arithmetic(**arithmetic),
            }
        )
