"""What the README claims of the default run: quality, speed, size and time beside the fine-tuned model.

    python benchmarks/default_run.py [--quick] [--json FILE]

Every number comes from fresh runs of run.py in a store of their own. --quick: one seed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STUDENT = ("model@compression.distill.student=mini", "compression=distill")
ALONE = (
    "model=mini",
    "compression=none",
    "train=student",
)  # the same shape, steps and rate, without a teacher


def run(store: Path, folder: Path, *overrides: str) -> tuple[dict[str, Any], float]:
    """(result.json, seconds) of one run in a fresh process."""
    command = [sys.executable, "run.py", f"store.root={store}", f"hydra.run.dir={folder}", *overrides]
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result, seconds


def collect(seeds: Sequence[int], folder: Path) -> list[dict[str, float]]:
    """The numbers of each seed."""
    rows = []
    for seed in seeds:
        store = folder / f"store-{seed}"
        first, seconds = run(store, folder / f"first-{seed}", f"seed={seed}")
        again, seconds_again = run(store, folder / f"again-{seed}", f"seed={seed}")
        taught, _ = run(store, folder / f"taught-{seed}", f"seed={seed}", *STUDENT)
        alone, _ = run(store, folder / f"alone-{seed}", f"seed={seed}", *ALONE)
        assert all(stage["cached"] for stage in again["stages"])
        metric, small, large = first["primary"], first["measurement"], first["baseline"]["measurement"]
        rows.append(
            {
                "seed": seed,
                "baseline": first["baseline"]["scores"][metric],
                "pared": first["scores"][metric],
                "speedup": small["speedup"]["median"],
                "speedup_low": small["speedup"]["low"],
                "speedup_high": small["speedup"]["high"],
                "smaller": large["size_mb"] / small["size_mb"],
                "student_with_teacher": taught["scores"][metric],
                "student_alone": alone["scores"][metric],
                "seconds": seconds,
                "seconds_again": seconds_again,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def claims(rows: Sequence[dict[str, float]]) -> list[str]:
    """claim | measured | target | holds"""

    def mean(name: str) -> float:
        return statistics.mean(row[name] for row in rows)

    lost = 100 * (mean("baseline") - mean("pared"))
    taught = 100 * (mean("student_with_teacher") - mean("student_alone"))
    slowest, again = max(row["seconds"] for row in rows), max(row["seconds_again"] for row in rows)
    lowest, highest = min(row["baseline"] for row in rows), max(row["baseline"] for row in rows)
    in_range = 0.9 <= lowest <= highest <= 0.98
    found = [
        ("baseline exact match", f"{100 * lowest:.2f}–{100 * highest:.2f}", "90–98", in_range),
        ("points lost, mean of seeds", f"{lost:.2f}", "≤ 1.00", lost <= 1),
        ("faster at batch 1, one thread", f"{mean('speedup'):.2f}x", "≥ 3x", mean("speedup") >= 3),
        ("smaller", f"{mean('smaller'):.2f}x", "≥ 4x", mean("smaller") >= 4),
        ("half-size student: points gained by a teacher", f"{taught:.2f}", "≥ 2.00", taught >= 2),
        ("seconds, first run", f"{slowest:.1f}", "≤ 120", slowest <= 120),
        ("seconds, second run", f"{again:.1f}", "≤ 10", again <= 10),
    ]  # fmt: skip
    return [f"{c} | {m} | {t} | {'holds' if ok else 'falls short'}" for c, m, t, ok in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed instead of three")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = collect([0] if options.quick else [0, 1, 2], Path(folder))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print("\n".join(claims(rows)))


if __name__ == "__main__":
    main()
