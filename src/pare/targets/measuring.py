"""A graph beside its baseline on the target: interleaved, paired, and held against a control.

Each launch is a fresh process for the candidate, the baseline, and the baseline once more. Short blocks of
calls on the same texts alternate A B C C B A in an order drawn by lot; the value of a
launch is the median of the paired log-ratios, and the speed-up the mean of these.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from pare.checkpoint import Checkpoint
from pare.decoding import Text
from pare.nursery import Nursery
from pare.progress import Progress
from pare.runtimes.session import Runtime, session_module
from pare.targets.arm import END_TO_END, pinned_to
from pare.targets.arms import Process
from pare.targets.comparison import BASELINE, CANDIDATE, CONTROL, Comparison, Side, precision_of, quickest
from pare.targets.conditions import Conditions, Watch, lease
from pare.targets.flops import mean_flops
from pare.targets.hardware import Hardware
from pare.targets.intervals import Speedup, percentiles
from pare.targets.measurement import Arithmetic, Measure, Measurement, Rate
from pare.targets.works import LATENCY, bucketed_work, padded_work, write_works

#: what runs, and where: the target, fitted to it
Graph = tuple[Checkpoint, Hardware]

ARM, PEAK = "pare.targets.arm", "pare.targets.peak"
CHOOSING = 3  # launches that the baseline is chosen by
NO_CHANGE = Speedup(1.0, 1.0, 1.0)


def measure(
    candidate: Graph,
    baselines: Sequence[Graph],
    texts: Sequence[Text],
    settings: Measure,
    progress: Progress,
) -> tuple[Measurement, Measurement, int]:
    """(candidate, baseline, which of `baselines` was faster and therefore is the baseline)."""
    hardware = candidate[1]
    with (
        TemporaryDirectory() as folder,
        lease(hardware.device),
        arms_of([hardware.runtime]) as nursery,
    ):
        sides = fed([candidate, *baselines], settings.timed(texts), Path(folder))
        watch = Watch(hardware.device)
        watch.own(nursery.pid)  # and with it its children
        best = least(quickest(sides[1:], CHOOSING, nursery)) if len(baselines) > 1 else 0
        found = Comparison({CANDIDATE: sides[0]}, sides[1 + best], settings, nursery)
        precisions = {precision_of(side.checkpoint) for side in found.sides.values()}
        peaks: dict[str, float] = {}
        with (
            peak_meter(hardware, settings.peak, watch) as peak,
            progress(f"measuring on {hardware.name}", settings.launches) as advance,
        ):
            for number in found.launches():
                for precision in precisions:  # what disturbs only makes it lower
                    peaks[precision] = max(peaks.get(precision, 0.0), peak(precision) or 0.0)
                watch.glance(beside_mine=True)
                advance(number < settings.launches, f"{found.speedup(CANDIDATE).median:.2f}x")
        conditions = watch.look()
    candidate_measured, baseline_measured = (
        measurement(found, role, peaks, conditions) for role in (CANDIDATE, BASELINE)
    )
    return candidate_measured, baseline_measured, best


def latencies_ms(
    graphs: Sequence[Graph],
    texts: Sequence[Text],
    settings: Measure,
    progress: Progress,
) -> list[float]:
    """Of graphs in different runtimes on one device, blocks in turn."""
    hardware = graphs[0][1]
    with (
        TemporaryDirectory() as folder,
        lease(hardware.device),
        arms_of([target.runtime for _, target in graphs]) as nursery,
        progress(f"choosing among {', '.join(target.way for _, target in graphs)}", 1),
    ):
        sides = fed(graphs, settings.timed(texts), Path(folder))
        return quickest(sides, settings.launches, nursery)


def arms_of(runtimes: Sequence[Runtime]) -> Nursery:
    """Where arms are forked that run graphs in these."""
    return Nursery.fresh(ARM, [session_module(runtime) for runtime in dict.fromkeys(runtimes)])


def fed(graphs: Sequence[Graph], texts: Sequence[Text], folder: Path) -> list[Side]:
    """Each with the same texts, as its own tokenizer reads them."""
    return [
        Side(checkpoint, write_works(folder / str(number), checkpoint, texts, hardware), hardware)
        for number, (checkpoint, hardware) in enumerate(graphs)
    ]


def least(values: Sequence[float]) -> int:
    """The place of the smallest."""
    return min(range(len(values)), key=values.__getitem__)


def measurement(
    found: Comparison, role: str, peaks: Mapping[str, float], conditions: Conditions
) -> Measurement:
    hardware, settings, side = found.hardware, found.settings, found.sides[role]
    strict = settings.mode == "strict"

    def speedup(work: str) -> Speedup | None:
        if not found.times[role, work]:
            return None
        return NO_CHANGE if role == BASELINE else found.speedup(CANDIDATE, work)

    rates = tuple(
        Rate(batch, *(texts_per_s(found, role, work(batch), batch) for work in (padded_work, bucketed_work)))
        for batch in sorted(hardware.throughput_batches)
    )
    whole = found.times[role, END_TO_END]
    joules = found.joules[role, bucketed_work(rates[-1].batch)]
    return Measurement(
        hardware=hardware.name,
        runtime=hardware.runtime,
        device=hardware.device,
        precision=found.precisions[role],
        lowering=str(side.checkpoint.facts.get("lowering")),
        threads=hardware.threads,
        batch=hardware.batch,
        length=hardware.length,
        mode=settings.mode,
        latency_ms=percentiles(found.times[role, LATENCY], strict),
        end_to_end_ms=percentiles(whole, strict) if whole else None,
        load_ms=statistics.median(found.facts[role, "load_ms"]),
        first_ms=statistics.median(found.facts[role, "first_ms"]),
        throughput_per_s=rates[-1].bucketed_per_s,
        throughput_batch=rates[-1].batch,
        rates=rates,
        size_mb=side.checkpoint.model_bytes() / 1e6,
        # pages of a mapped graph are halved where the control maps it as well
        memory_mb=max(found.facts[role, "memory_mb"], default=None),
        gpu_memory_mb=max(found.facts[role, "gpu_memory_mb"], default=None),
        gpu_allocated_mb=max(found.facts[role, "gpu_allocated_mb"], default=None),
        arithmetic=arithmetic(found, role, peaks.get(precision_of(side.checkpoint))),
        energy_j=statistics.fmean(joules) / rates[-1].batch if joules else None,
        speedup=speedup(LATENCY) or NO_CHANGE,
        end_to_end_speedup=speedup(END_TO_END),
        control=found.speedup(CONTROL),
        ran=found.ran[role],
        conditions={
            **conditions.as_json(),
            "cpus": pinned_to(hardware.device, hardware.threads),
            "settled": found.settled,
            "launches": len(found.ratios[CANDIDATE, LATENCY]),
        },
        fingerprint=hardware.fingerprint(),
    )


def texts_per_s(found: Comparison, role: str, work: str, batch: int) -> float:
    """Over all batches of the work, each at its median."""
    count = found.sides[role].works.counts[work]
    times = found.times[role, work]  # always whole turns through the batches
    return 1e3 * batch * count / sum(statistics.median(times[i::count]) for i in range(count))


def arithmetic(found: Comparison, role: str, peak: float | None) -> Arithmetic:
    """Of the calls that latency was taken from."""
    side = found.sides[role]
    per_text = mean_flops(side.checkpoint.facts["shape"], side.works.lengths)
    done = found.hardware.batch * per_text / (statistics.fmean(found.times[role, LATENCY]) / 1e3)
    return Arithmetic(per_text, done, peak or None, done / peak if peak else None)


@contextmanager
def peak_meter(hardware: Hardware, wanted: bool, watch: Watch) -> Iterator[Callable[[str], float | None]]:
    """Asks for the multiply peak in a precision; None where there is no PyTorch to ask."""
    if not wanted or find_spec("torch") is None:
        yield lambda precision: None
        return
    given = {"device": hardware.device, "threads": hardware.threads}
    with Nursery.fresh(PEAK) as nursery, Process(nursery, given) as process:
        watch.own(nursery.pid)
        process.answer()
        yield process.ask
