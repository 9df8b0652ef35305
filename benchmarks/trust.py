"""Whether measuring can be trusted: equals that are called equal, and a slow-down of 3 % that is found.

    python benchmarks/trust.py [--quick] [--only trials] [--json FILE]

With another process hogging one core. Trials: launches of a graph slowed by 3 %, the graph, and the graph
once more, some 10 s each; the graph against itself must be called equal, the slowed one slower. Runs: how
far estimates lie apart that are taken alone, one after the other, on the same texts in as much time.
Minutes: the half width of an interval after a minute. Overhead: of a call in the harness's loop, against a
bare one in the same process. Each kind is kept in benchmarks/cells/trust.*.json, and continued from there.
--report: no trials.
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from running import CELLS, ROOT, Claim, keep, options, report, store, write_page
from scipy.stats import binom

from pare.checkpoint import Checkpoint
from pare.encoders.model import Architecture, Model
from pare.nursery import Nursery
from pare.pipeline import Pipeline
from pare.progress import silent
from pare.runtimes.onnx_session import Session
from pare.runtimes.session import session_module
from pare.stages.export import Export
from pare.stages.finetune import Finetune
from pare.store import Store
from pare.targets.arm import pin, timed
from pare.targets.arms import Arm
from pare.targets.comparison import BASELINE, CANDIDATE, CONTROL, Comparison, Side
from pare.targets.hardware import Hardware
from pare.targets.inputs import read_inputs
from pare.targets.intervals import Speedup
from pare.targets.measurement import Measure
from pare.targets.measuring import arms_of
from pare.targets.works import LATENCY, Works, write_works
from pare.tasks.slu import Slu
from pare.tasks.sources import Generated
from pare.training import Training

PAGE = ROOT / "docs" / "measuring.md"
TASK = Slu(name="car", max_length=48, source=Generated(train=300, dev=40, test=512, unlabelled=0))
#: a call of about 1 ms on one thread, and one whose weights do not fit into a core's own cache
ARCHITECTURES = {
    "small": Architecture(layers=4, hidden=256, heads=4, ffn=1024, positions=64, vocabulary=1500),
    "minilm": Architecture(layers=6, hidden=384, heads=12, ffn=1536, positions=64, vocabulary=1500),
}
HARDWARE = Hardware(name="here", throughput_batches=(1,))
SESSION = session_module(HARDWARE.runtime)
TRIAL = Measure(launches=8, more=16, seconds=8, peak=False)
#: calls of each loop in a turn, few enough that a stranger rarely comes in between
BLOCK = 8
MINUTE = Measure(launches=16, seconds=45, peak=False)
COUNTS = {"trials": 200, "runs": 40, "minutes": 6, "overhead": 5}
QUICK = {"trials": 4, "runs": 3, "minutes": 1, "overhead": 1}
Cell = dict[str, Any]


@cache
def graph_of(name: str) -> Checkpoint:
    """Trained for one step: nobody asks what it says."""
    finetune = Finetune(
        model=Model(architecture=ARCHITECTURES[name]),
        train=Training(steps=1, precision="fp32", threads=1),
    )
    pipeline = Pipeline(Store(store()), TASK, 0, HARDWARE, silent)
    return pipeline.execute(finetune, (("export", Export()),), lambda step: None).final


@contextmanager
def hog() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def pinned() -> Iterator[None]:
    """This process to one core, as an arm is."""
    cores = os.sched_getaffinity(0)
    pin("cpu", 1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def compared(folder: Path, name: str, settings: Measure) -> Cell:
    """The slowed graph, the graph, and the graph once more."""
    graph = graph_of(name)
    slowed = Checkpoint(shutil.copytree(graph.path, folder / "slowed"), "slowed")
    sides = [
        Side(checkpoint, works_of(folder / f"works{number}", checkpoint), HARDWARE)
        for number, checkpoint in enumerate((slowed, graph))
    ]
    began = time.perf_counter()
    with Nursery.fresh("slowed_arm", [SESSION]) as nursery:
        found = Comparison({CANDIDATE: sides[0]}, sides[1], settings, nursery)
        launches = len(list(found.launches()))
    return {
        "graph": name,
        "launches": launches,
        "seconds": round(time.perf_counter() - began, 2),
        "call_ms": statistics.median(found.times[BASELINE, LATENCY]),
        "planted": plain(found.speedup(CANDIDATE)),
        "control": plain(found.speedup(CONTROL)),
    }


def works_of(folder: Path, checkpoint: Checkpoint) -> Works:
    return write_works(folder, checkpoint, TASK.texts("test"), HARDWARE)


def plain(speedup: Speedup) -> list[float]:
    return [speedup.low, speedup.median, speedup.high]


def half_width(plain: list[float]) -> float:
    low, median, high = plain
    return Speedup(median, low, high).half_width


def trial(folder: Path, number: int) -> Cell:
    return compared(folder, "small", TRIAL)


def minute(folder: Path, number: int) -> Cell:
    return compared(folder, list(ARCHITECTURES)[number % 2], MINUTE)


def run(folder: Path, number: int) -> Cell:
    """The graph alone for a while, then the graph alone again: the ratio of their medians."""
    graph = graph_of("small")
    works = works_of(folder / "works", graph)
    medians = []
    for _ in "ab":
        end = time.perf_counter() + TRIAL.seconds / 2
        times: list[float] = []
        with arms_of([HARDWARE.runtime]) as nursery, Arm(nursery, graph, works, HARDWARE) as arm:
            arm.ready()
            arm.warm()
            while time.perf_counter() < end:
                times += arm.block(LATENCY, 64, len(times))
        medians.append(statistics.median(times))
    return {"ratio": medians[0] / medians[1]}


def overhead(folder: Path, number: int) -> Cell:
    """What a call takes longer in the harness's loop than in a bare one, the two in turn, in this process."""
    graph = graph_of("small")
    works = works_of(folder / "works", graph)
    session = Session(str(graph.model_file))
    pairs = read_inputs(works.inputs)[LATENCY][:BLOCK]
    calls = [lambda pair=pair: session.run(*pair) for pair in pairs]

    def bare() -> None:
        for pair in pairs:
            session.run(*pair)

    ways = {"ours": lambda: timed(calls, 0, len(calls)), "bare": bare}
    longer, bare_us = [], []
    with pinned():
        for turn in range(2000):
            spent = {}
            for way in list(ways) if turn % 2 else list(ways)[::-1]:
                began = time.perf_counter_ns()
                ways[way]()
                spent[way] = (time.perf_counter_ns() - began) / len(pairs) / 1e3
            longer.append(spent["ours"] - spent["bare"])
            bare_us.append(spent["bare"])
    return {"us": statistics.median(longer), "call_us": statistics.median(bare_us)}


KINDS: dict[str, Callable[[Path, int], Cell]] = {
    "trials": trial,
    "runs": run,
    "minutes": minute,
    "overhead": overhead,
}


def cells(kind: str, count: int, folder: Path) -> list[Cell]:
    """What there is, and as many more as are wanted."""
    file = folder / f"trust.{kind}.json"
    found: list[Cell] = json.loads(file.read_text("utf-8")) if file.is_file() else []
    while len(found) < count:
        with tempfile.TemporaryDirectory() as place, hog():
            found.append(KINDS[kind](Path(place), len(found)))
        keep(file, found)
        print(kind, len(found), json.dumps(found[-1]), flush=True)
    return found


def spread(ratios: list[float]) -> float:
    return statistics.stdev(map(math.log, ratios))


def claims(found: dict[str, list[Cell]]) -> list[Claim]:
    trials, runs, minutes, overheads = (found[kind] for kind in KINDS)
    alarms = sum(not low <= 1 <= high for low, _, high in (t["control"] for t in trials))
    seen = sum(high < 1 for _, _, high in (t["planted"] for t in trials))
    chance = float(binom.sf(alarms - 1, len(trials), 0.05)) if trials else None
    ratio = None
    if len(trials) > 2 and len(runs) > 2:
        ratio = spread([r["ratio"] for r in runs]) / spread([t["control"][1] for t in trials])
    lines = [
        Claim(f"{alarms} false alarms in {len(trials)}: chance of as many at 5 %", chance, 0.05, True),
        Claim("a planted 3 % is found: share", seen / len(trials) if trials else None, 0.95, True),
        Claim("runs one after the other lie further apart: times", ratio, 3, True),
    ]
    for name in ARCHITECTURES:
        widths = [100 * half_width(m["control"]) for m in minutes if m["graph"] == name]
        says = f"half width within a minute, {name}: percent, the widest"
        lines.append(Claim(says, max(widths, default=None), 2))
    longest = max((m["seconds"] for m in minutes), default=None)
    worst = max((o["us"] for o in overheads), default=None)
    return [
        *lines,
        Claim("such a minute: seconds, the longest", longest, 60),
        Claim("overhead of the harness: microseconds a call, 1 % of 1 ms at most", worst, 10),
    ]


def table(found: dict[str, list[Cell]]) -> str:
    rows = ["| what | count | call, ms | seconds | middle | spread |", "|---|---|---|---|---|---|"]
    trials = found["trials"]
    kinds = {
        "a graph against itself": [t["control"][1] for t in trials],
        "slowed by 3 % against itself": [t["planted"][1] for t in trials],
        "one after the other": [r["ratio"] for r in found["runs"]],
    }
    for name, ratios in kinds.items():
        if len(ratios) > 2 and trials:
            call_ms, seconds = (statistics.median(t[key] for t in trials) for key in ("call_ms", "seconds"))
            rows.append(
                f"| {name} | {len(ratios)} | {call_ms:.2f} | {seconds:.1f} "
                f"| {statistics.median(ratios):.4f} | {100 * spread(ratios):.2f} % |"
            )
    return "\n".join(rows) + "\n"


def main() -> None:
    arguments = options(__doc__).parse_args()
    here = [str(Path(__file__).parent / "planted"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, here))
    counts = QUICK if arguments.quick else COUNTS
    with tempfile.TemporaryDirectory() as fresh:
        place = Path(fresh) if arguments.quick else CELLS
        found = {}
        for kind in KINDS:
            wanted = not arguments.report and fnmatch(kind, arguments.only)
            found[kind] = cells(kind, counts[kind] if wanted else 0, place)
    lines = claims(found)
    if not arguments.quick:
        write_page(PAGE, table(found), lines, "trust")
    report(table(found), lines, arguments.json)


if __name__ == "__main__":
    main()
