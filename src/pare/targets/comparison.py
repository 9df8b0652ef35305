"""Launches of several arms side by side, and what their processes said."""

import math
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pare.checkpoint import Checkpoint
from pare.nursery import Nursery
from pare.targets.arm import END_TO_END
from pare.targets.arms import Arm
from pare.targets.energy import Meter, meter
from pare.targets.evidence import ran_as
from pare.targets.hardware import Hardware
from pare.targets.intervals import Speedup, log_ratio, speedup_of
from pare.targets.measurement import Measure
from pare.targets.works import LATENCY, Works, bucketed_work, padded_work

CANDIDATE, BASELINE, CONTROL = "candidate", "baseline", "control"
#: about how long a block of calls takes: short beside what disturbs, long beside a switch of arms
BLOCK_MS = 5
#: blocks of each side where only the quickest is looked for
ROUNDS = 6
#: what part of the time goes to what
LATENCY_SHARE, END_TO_END_SHARE, BATCHES_SHARE = 0.8, 0.1, 0.1


@dataclass(frozen=True)
class Side:
    """A checkpoint, where it runs, and what it is fed."""

    checkpoint: Checkpoint
    works: Works
    hardware: Hardware

    def started(self, nursery: Nursery) -> Arm:
        return Arm(nursery, self.checkpoint, self.works, self.hardware)


class Comparison:
    """Candidates, their baseline, and the baseline once more as a control; adds up what launches find."""

    def __init__(
        self, candidates: Mapping[str, Side], baseline: Side, settings: Measure, nursery: Nursery
    ) -> None:
        self.sides = {**candidates, BASELINE: baseline, CONTROL: baseline}
        self.hardware, self.settings, self.nursery = baseline.hardware, settings, nursery
        self.rng = random.Random(0)
        self.meter = meter(self.hardware.device)
        #: by role and work: milliseconds of calls; joules of each; log-ratio to the baseline of each launch
        self.times: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.joules: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
        #: by role and what: load_ms, first_ms, memory_mb of each launch
        self.facts: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.settled = True
        #: since when, and how many seconds of it went to batches
        self.began, self.on_batches = time.perf_counter(), 0.0
        #: by role: what ran, and the precision that this makes it
        self.ran: dict[str, dict[str, Any]] = {}
        self.precisions: dict[str, str] = {}

    def speedup(self, role: str, work: str = LATENCY) -> Speedup:
        return speedup_of(self.ratios[role, work])

    def launches(self) -> Iterator[int]:
        """Each is carried out as it is asked for; there are more where the first do not tell enough."""
        for number in range(self.settings.launches + self.settings.more):
            if number >= self.settings.launches and self.is_known():
                return
            self.launch()
            yield number

    def is_known(self) -> bool:
        widths = (self.speedup(role).half_width for role in self.sides if role != BASELINE)
        return max(widths) <= self.settings.half_width

    def launch(self) -> None:
        """Fresh processes for all, everything timed once around."""
        launches = self.settings.launches
        share = self.settings.seconds / launches
        number = len(self.ratios[CONTROL, LATENCY])
        enough = math.ceil(self.settings.calls * (number + 1) / launches)
        with ExitStack() as stack:
            arms = {}
            for role in self.drawn(self.sides):  # who starts first has other pages
                arms[role] = self.start(role, stack)
            if not self.ran:
                self.note_what_ran(arms)
            for arm in arms.values():
                self.settled &= arm.warm()
            calls = calls_in_block([arm.call_ms[LATENCY] for arm in arms.values()])
            first, late = self.rng.randrange(1 << 20), after(share * LATENCY_SHARE)

            def done() -> bool:
                return late() and len(self.times[BASELINE, LATENCY]) >= enough

            self.rounds(arms, LATENCY, calls, done, first)
            if self.hardware.length is None:
                self.rounds(arms, END_TO_END, calls, after(share * END_TO_END_SHARE), first)
            del arms[CONTROL]
            self.batches(arms, every=number == 0)
            if number == 0:
                self.energy(arms)

    def start(self, role: str, stack: ExitStack) -> Arm:
        arm = stack.enter_context(self.sides[role].started(self.nursery))
        for fact, value in arm.ready().items():
            self.facts[role, fact].append(value)
        return arm

    def note_what_ran(self, arms: Mapping[str, Arm]) -> None:
        """What runs, of what was asked for; raises StageFailed where it is on another device."""
        for role in [role for role in self.sides if role != CONTROL]:  # which is the baseline again
            asked = precision_of(self.sides[role].checkpoint)
            self.ran[role] = arms[role].evidence()
            self.precisions[role] = ran_as(asked, self.hardware, self.ran[role])

    def batches(self, arms: Mapping[str, Arm], every: bool) -> None:
        """Every batch, or as many as keep within their share of the time so far, the largest first."""
        for batch in sorted(self.hardware.throughput_batches, reverse=True):
            for work in (bucketed_work(batch), padded_work(batch)):
                now = time.perf_counter()
                if not every and self.on_batches > BATCHES_SHARE * (now - self.began):
                    return
                count = self.sides[BASELINE].works.counts[work]
                slowest = max(sum(arm.block(work, count, 0)) for arm in arms.values())
                self.rounds(arms, work, count * calls_in_block([slowest]), lambda: True, 0, least=1)
                self.on_batches += time.perf_counter() - now

    def rounds(
        self,
        arms: Mapping[str, Arm],
        work: str,
        calls: int,
        done: Callable[[], bool],
        first: int,
        least: int = 2,
    ) -> None:
        """Rounds A B C C B A until done, at least so many; the same texts in all blocks of a round.

        first: the input to begin with.
        """
        found: dict[str, list[list[list[float]]]] = {role: [] for role in arms}
        for number in range(1 << 30):
            if number >= least and done():
                break
            order = self.drawn(arms)
            for rounds in found.values():
                rounds.append([])
            for role in (*order, *order[::-1]):
                times = self.block(arms[role], role, work, calls, first)
                self.times[role, work] += times
                found[role][-1].append(times)
            first += calls
        for role in arms:
            self.ratios[role, work].append(log_ratio(found[BASELINE], found[role]))

    def block(self, arm: Arm, role: str, work: str, calls: int, first: int) -> list[float]:
        """Milliseconds of calls on warm caches, and joules where they are counted: of these calls alone."""
        if self.meter is None or self.meter.window_s:
            return arm.block(work, calls, first, arm.to_warm(work))
        arm.block(work, 0, first, arm.to_warm(work))
        return self.counted(self.meter, arm, role, work, calls, first)

    def counted(
        self, meter: Meter, arm: Arm, role: str, work: str, calls: int, first: int = 0
    ) -> list[float]:
        before = meter.joules()
        times = arm.block(work, calls, first)
        self.joules[role, work].append((meter.joules() - before) / calls)
        return times

    def energy(self, arms: Mapping[str, Arm]) -> None:
        """Where the counter seldom moves: of the largest batches, called for as long as it needs."""
        if self.meter is None or not self.meter.window_s:
            return  # what was timed was counted
        work = bucketed_work(max(self.hardware.throughput_batches))
        batches = self.sides[BASELINE].works.counts[work]
        for role in self.drawn(arms):
            turn_s = batches * statistics.fmean(self.times[role, work]) / 1e3
            turns = math.ceil(self.meter.window_s / turn_s)
            self.counted(self.meter, arms[role], role, work, batches * turns)

    def drawn(self, roles: Mapping[str, object]) -> list[str]:
        return self.rng.sample(list(roles), len(roles))


def quickest(sides: Sequence[Side], launches: int, nursery: Nursery) -> list[float]:
    """Milliseconds of a call of each side, the mean over launches of the medians.

    Launches and blocks are in a drawn order, there and back.
    """
    order = random.Random(0).sample(range(len(sides)), len(sides))
    medians: list[list[float]] = [[] for _ in sides]
    for _ in range(launches):
        with ExitStack() as stack:
            order.reverse()
            arms = {place: stack.enter_context(sides[place].started(nursery)) for place in order}
            for arm in arms.values():
                arm.ready()
                arm.warm()
            calls = calls_in_block([arm.call_ms[LATENCY] for arm in arms.values()])
            times: dict[int, list[float]] = {place: [] for place in order}
            for number in range(ROUNDS):
                order.reverse()
                for place in order:
                    arm = arms[place]
                    times[place] += arm.block(LATENCY, calls, number * calls, arm.to_warm(LATENCY))
        for place, found in times.items():
            medians[place].append(statistics.median(found))
    return [statistics.fmean(found) for found in medians]


def precision_of(checkpoint: Checkpoint) -> str:
    """What a graph says of itself."""
    return str(checkpoint.facts.get("precision", "fp32"))


def calls_in_block(call_ms: Sequence[float]) -> int:
    """As many for each arm, the slow and the quick."""
    return max(1, round(BLOCK_MS / statistics.geometric_mean(call_ms)))


def after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed since now."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end
