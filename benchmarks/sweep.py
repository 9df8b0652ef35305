"""What it saves to run a grid as a tree, and what that costs.

    python benchmarks/sweep.py [--quick] [--only 'again'] [--json FILE]

The 288 jobs of sweep=everything on the embedded task, in a store of their own; measuring is cut short, for
it is not what is looked at, and counted by itself. Computed: the seconds that stages and scores took, as
the store knows them. One by one: what all jobs would take without a store, from the same figures; three
jobs are run that way to see whether that is true. Again: the same 288 jobs as a user runs them, measured as
by default, which takes more than an hour, and the same command once more. Workers: the stages of
sweep=widths of two seeds with one worker and with two, one thread each; of one seed half of the time is its
fine-tuning, which nothing can run beside. --quick: sweep=widths for all of it, cut short. Ends with a
line for every claim and writes the table into docs/sweeps.md.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from running import ROOT, Claim, cell_of, options, report, write_page

from pare.store import Store

PAGE = ROOT / "docs" / "sweeps.md"
SHORT = ("measure.launches=2", "measure.more=0", "measure.seconds=0.5", "measure.peak=false")
GRID = ("sweep=everything", *SHORT)
QUICK = ("sweep=widths", *SHORT)
AS_IT_IS = ("sweep=everything",)
WIDTHS = ("sweep=widths", "seed=0,1", "train.threads=1", "compression.distill.train.threads=1", *SHORT)
#: of the grid, which are run by themselves as well
SPOT = (0, 100, 287)
MEASURING = "of it measuring and writing results, one job at a time"


@dataclass(frozen=True)
class Ran:
    """A sweep as it went. spent: seconds of the processes by node; whole: of the command."""

    folder: Path
    whole: float
    spent: Mapping[str, float]


def swept(folder: Path, overrides: Sequence[str], store: Path) -> Ran:
    places = (f"store.root={store}", f"hydra.sweep.dir={folder}")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "run.py", *overrides, *places], cwd=ROOT, capture_output=True, text=True, check=False
    )
    whole = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(overrides)}: {done.stderr.strip()[-400:]}")
    endings = {file.stem: json.loads(file.read_text("utf-8")) for file in (folder / "nodes").glob("*.json")}
    return Ran(folder, whole, {name: ending["seconds"] for name, ending in endings.items()})


def nodes_of(ran: Ran) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((ran.folder / "plan.json").read_text("utf-8"))["nodes"]
    return found


def computed(store: Path) -> dict[str, float]:
    """Seconds by the kind of entry."""
    found: dict[str, float] = defaultdict(float)
    for entry in Store(store).entries():
        found[entry.kind] += float(str(entry.meta.get("seconds", 0)))
    return found


def grid(overrides: Sequence[str]) -> dict[str, Any]:
    """The sweep in a store of its own, and a few of its jobs, each in an empty store."""
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place), Path(place) / "store"
        first = swept(folder / "first", overrides, store)
        plan = nodes_of(first)
        took = computed(store)
        results = sorted((folder / "first").glob("*/result.json"), key=lambda file: int(file.parent.name))
        jobs = [json.loads(file.read_text("utf-8")) for file in results]
        alone = {}
        for number in (n for n in SPOT if n < len(jobs)):
            began = time.perf_counter()
            given = [o for o in jobs[number]["overrides"] if not o.startswith("store.root")]
            run_alone(folder / f"alone{number}", [*given, *SHORT])
            alone[str(number)] = {
                "seconds": time.perf_counter() - began,
                "computed": sum(computed(folder / f"alone{number}" / "store").values()),
            }
        return {
            "jobs": len(jobs),
            "asked": sum(len(job["stages"]) for job in jobs),
            "distinct": sum(node["kind"] == "stage" for node in plan.values()),
            "first_s": first.whole,
            "spent": spent(first),
            "computed": took,
            "one_by_one_s": sum(sum(stage["computed_s"] for stage in job["stages"]) for job in jobs),
            "overhead_s": overheads(first, store),
            "alone": alone,
        }


def again(overrides: Sequence[str]) -> dict[str, Any]:
    """The sweep in a store of its own, and the same command when all of it is there."""
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place), Path(place) / "store"
        first = swept(folder / "first", overrides, store)
        second = swept(folder / "again", overrides, store)
        jobs = sum(node["kind"] == "result" for node in nodes_of(first).values())
        return {"jobs": jobs, "first_s": first.whole, "again_s": second.whole, "spent": spent(first)}


def spent(ran: Ran) -> dict[str, float]:
    """Seconds of the processes by the kind of node."""
    plan = nodes_of(ran)
    found: dict[str, float] = defaultdict(float)
    for name, seconds in ran.spent.items():
        found[plan[name]["kind"]] += seconds
    return found


def run_alone(folder: Path, overrides: Sequence[str]) -> None:
    places = (f"store.root={folder / 'store'}", f"hydra.run.dir={folder / 'job'}")
    command = [sys.executable, "run.py", *overrides, *places]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def overheads(ran: Ran, store: Path) -> float:
    """What the process of a stage took on average beyond the stage and its score on dev."""
    plan = nodes_of(ran)
    stages = [ran.spent[name] for name, node in plan.items() if node["kind"] == "stage" and name in ran.spent]
    entries = list(Store(store).entries())
    spent = [float(str(e.meta["seconds"])) for e in entries if e.kind == "checkpoint"]
    scored = [
        float(str(e.meta["seconds"])) for e in entries if e.kind == "scores" and e.meta["split"] == "dev"
    ]
    return statistics.fmean(stages) - sum(spent) / len(stages) - sum(scored) / len(stages)


def workers(overrides: Sequence[str]) -> dict[str, float]:
    """Seconds from the first stage's beginning to the last one's end, with one worker and with two."""
    found = {}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as place:
            ran = swept(Path(place) / "jobs", [*overrides, f"sweep.workers={count}"], Path(place) / "store")
            plan = nodes_of(ran)
            files = [f for f in (ran.folder / "nodes").glob("*.json") if plan[f.stem]["kind"] == "stage"]
            endings = [json.loads(file.read_text("utf-8")) for file in files]
            last = max(ending["began"] + ending["seconds"] for ending in endings)
            found[str(count)] = last - min(ending["began"] for ending in endings)
    return found


def dry(overrides: Sequence[str]) -> dict[str, float]:
    """Seconds until all is planned and nothing done, in an empty store."""
    with tempfile.TemporaryDirectory() as place:
        ran = swept(Path(place) / "jobs", [*overrides, "sweep.dry_run=true"], Path(place) / "store")
        return {"seconds": ran.whole}


def claims(found: Mapping[str, Any]) -> list[Claim]:
    tree, two, plan = found.get("grid"), found.get("workers"), found.get("dry")
    one_by_one = cost = repeated = overhead = None
    if tree:
        distinct = tree["computed"]["checkpoint"] + tree["computed"]["scores"]
        cost = (tree["spent"]["stage"] + tree["spent"]["answers"]) / distinct
        one_by_one = tree["one_by_one_s"] / tree["computed"]["checkpoint"]
        overhead = tree["overhead_s"]
    if whole := found.get("again"):
        repeated = 100 * whole["again_s"] / whole["first_s"]
    limit = 3 + 0.05 * (tree["jobs"] if tree else 288)
    return [
        Claim("planning: seconds", plan["seconds"] if plan else None, limit),
        Claim("the tree's processes over the distinct stages and scores", cost, 1.05),
        Claim("stages one by one over the distinct ones", one_by_one, 20, True),
        Claim("the same sweep again: percent of the first time", repeated, 1),
        Claim("a stage's process beyond the stage and its score: seconds", overhead, 0.3),
        Claim("two workers over one", two["1"] / two["2"] if two else None, 1.5, True),
    ]


def table(found: Mapping[str, Any]) -> str:
    rows = ["| what | |", "|---|---|"]
    if tree := found.get("grid"):
        rows += [
            f"| jobs, stages, distinct stages | {tree['jobs']}, {tree['asked']}, {tree['distinct']} |",
            f"| the whole sweep, measuring cut short | {tree['first_s']:.0f} s |",
            f"| {MEASURING} | {tree['spent']['result']:.0f} s |",
            f"| stages, computed once | {tree['computed']['checkpoint']:.0f} s |",
            f"| stages, if every job computed its own | {tree['one_by_one_s']:.0f} s |",
        ]
        for number, alone in tree["alone"].items():
            told = f"{alone['seconds']:.0f} s, of which computed {alone['computed']:.0f} s"
            rows.append(f"| job {number} alone, in an empty store | {told} |")
    if whole := found.get("again"):
        rows += [
            f"| the whole sweep of {whole['jobs']} jobs, measured as by default | {whole['first_s']:.0f} s |",
            f"| {MEASURING} | {whole['spent']['result']:.0f} s |",
            f"| the same command again | {whole['again_s']:.1f} s |",
        ]
    if two := found.get("workers"):
        told = f"{two['1']:.0f} s, {two['2']:.0f} s"
        rows.append(f"| stages of sweep=widths of two seeds, one worker, two | {told} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    arguments = options(__doc__).parse_args()
    kinds = {
        "dry": lambda: dry(QUICK if arguments.quick else GRID),
        "grid": lambda: grid(QUICK if arguments.quick else GRID),
        "again": lambda: again(QUICK if arguments.quick else AS_IT_IS),
        "workers": lambda: workers(WIDTHS),
    }
    found = {}
    for kind, take in kinds.items():
        found[kind] = cell_of(f"sweep.{kind}", arguments, fnmatch(kind, arguments.only), take)
    lines = claims(found)
    if not arguments.quick:
        write_page(PAGE, table(found), lines, "sweep")
    report(table(found), lines, arguments.json)


if __name__ == "__main__":
    main()
