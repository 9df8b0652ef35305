"""What it saves that students share their teacher: a sweep of four against four runs by themselves.

    python benchmarks/teacher.py [--quick] [--json FILE]

Both sides on the embedded task, one stage at a time, each in empty stores; measuring is cut short. Four
runs: the teacher is fine-tuned four times. --quick: two students and few steps. Ends with a line for every
claim and writes the table into docs/sweeps.md.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from running import Claim, cell_of, options, report, write_page
from sweep import PAGE, SHORT, computed, run_alone, swept

STUDENT = "model@compression.distill.student"
TEACHER = ("compression=distill", "sweep.workers=1", *SHORT)
STUDENTS = ("small", "mini", "micro", "l3_h128_a2")
FEW = ("train.steps=50", "compression.distill.train.steps=50")


def sides(students: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    """Seconds of the commands, and of what they computed, without the measuring."""
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place), Path(place) / "store"
        together = swept(folder / "jobs", ["-m", *overrides, f"{STUDENT}={','.join(students)}"], store).whole
        shared = spent(store)
        began = time.perf_counter()
        for student in students:
            run_alone(folder / student, [*overrides, f"{STUDENT}={student}"])
        apart = time.perf_counter() - began
        alone = sum(spent(folder / student / "store") for student in students)
    return {
        "students": list(students),
        "sweep": {"seconds": together, "computed": shared},
        "runs": {"seconds": apart, "computed": alone},
    }


def spent(store: Path) -> float:
    found = computed(store)
    return found["checkpoint"] + found["scores"]


def claims(found: Mapping[str, Any] | None) -> list[Claim]:
    ratio = {what: found["runs"][what] / found["sweep"][what] if found else None for what in HEADS}
    return [
        Claim("four students, seconds computed: runs over the sweep", ratio["computed"], 2, True),
        Claim("four students, seconds of the commands: runs over the sweep", ratio["seconds"], 1.5, True),
    ]


HEADS = {"seconds": "whole commands", "computed": "stages and scores"}


def table(found: Mapping[str, Any] | None) -> str:
    rows = ["| | one sweep | four runs |", "|---|---|---|"]
    if found:
        for what, head in HEADS.items():
            rows.append(f"| {head} | {found['sweep'][what]:.0f} s | {found['runs'][what]:.0f} s |")
    return "\n".join(rows) + "\n"


def main() -> None:
    arguments = options(__doc__).parse_args()

    def take() -> dict[str, Any]:
        if arguments.quick:
            return sides(STUDENTS[2:], [*TEACHER, *FEW])
        return sides(STUDENTS, TEACHER)

    found = cell_of("sweep.teacher", arguments, True, take)
    if not arguments.quick:
        write_page(PAGE, table(found), claims(found), "teacher")
    report(table(found), claims(found), arguments.json)


if __name__ == "__main__":
    main()
