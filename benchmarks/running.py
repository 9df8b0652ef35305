"""What the benchmarks of many runs share: one run of run.py as a cell, claims, and tables in a page."""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CELLS = ROOT / "benchmarks" / "cells"


def options(about: str) -> argparse.ArgumentParser:
    """What every benchmark of many cells can be told."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the few that show it works")
    parser.add_argument("--report", action="store_true", help="no runs, only the cells there are")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the cells of these names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the claims, too")
    return parser


def arguments_of(parser: argparse.ArgumentParser, *needs: str) -> argparse.Namespace:
    """What was asked; nothing is run without what runs need: variables of the environment, and packages."""
    arguments = parser.parse_args()
    absent = [name for name in needs if not (os.environ.get(name) if name.isupper() else find_spec(name))]
    if absent and not arguments.report:
        print(f"not run, for what is not here: {', '.join(absent)}", file=sys.stderr)
        arguments.report = True
    return arguments


def store() -> Path:
    return Path(os.environ.get("PARE_STORE", ROOT / "artifacts"))


def run(cell: str, overrides: Sequence[str], seed: int) -> dict[str, Any]:
    """One run of run.py; what is kept of it, and the command that made it."""
    given = (*overrides, f"seed={seed}")
    with tempfile.TemporaryDirectory() as folder:
        places = (f"store.root={store()}", f"hydra.run.dir={folder}/run", f"name={cell.split('/')[0]}")
        done = subprocess.run(
            [sys.executable, "run.py", *given, *places], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{cell}, seed {seed}: {done.stderr.strip()[-400:]}")
        result: dict[str, Any] = json.loads((Path(folder) / "run" / "result.json").read_text("utf-8"))
    quoted = " ".join(f"'{o}'" if set(o) & set(" ~$[]{}") else o for o in given)
    kept = ("scores", "difference", "baseline", "measurement", "stages", "primary")
    threads = os.environ.get("PARE_THREADS", "2")
    return {"command": f"PARE_THREADS={threads} python run.py {quoted}", **{key: result[key] for key in kept}}


def keep(file: Path, found: Mapping[str, Any] | Sequence[Any]) -> None:
    """Writes a cell."""
    CELLS.mkdir(exist_ok=True)
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def cell_of(name: str, arguments: argparse.Namespace, wanted: bool, take: Callable[[], Any]) -> Any:
    """What is kept under a name, taken first where it is wanted and not there; None where there is nothing.

    With --quick what is wanted is taken and not kept.
    """
    if arguments.quick:
        return take() if wanted and not arguments.report else None
    file = CELLS / f"{name}.json"
    if wanted and not arguments.report and not file.is_file():
        keep(file, take())
        print(name, file.read_text("utf-8"), flush=True)
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def floor2(value: float) -> str:
    """Two digits, never rounded up."""
    return f"{math.floor(100 * value) / 100:.2f}"


@dataclass(frozen=True)
class Claim:
    """One line of the report."""

    says: str
    measured: float | None
    target: float
    at_least: bool = False

    def line(self) -> str:
        sign = "≥" if self.at_least else "≤"
        if self.measured is None:
            return f"{self.says} | – | {sign} {self.target:g} | falls short (not run)"
        holds = self.measured >= self.target if self.at_least else self.measured <= self.target
        verdict = "holds" if holds else "falls short"
        return f"{self.says} | {self.measured:.3f} | {sign} {self.target:g} | {verdict}"


def write_page(page: Path, table: str, claims: Sequence[Claim], name: str = "measured") -> None:
    """Puts the table and the claims between the page's marks of that name."""
    start, end = (f"<!-- {name}: {side} -->\n" for side in ("start", "end"))
    before, found, rest = page.read_text("utf-8").partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{page}: no marks {start.strip()} and {end.strip()}")
    lines = "".join(f"| {claim.line()} |\n" for claim in claims)
    shown = f"\n| claim | measured | target | |\n|---|---|---|---|\n{lines}" if claims else ""
    page.write_text(f"{before}{start}\n{table}{shown}\n{end}{after}", "utf-8")


def report(table: str, claims: Sequence[Claim], file: Path | None) -> None:
    """Prints the table and a line for every claim; file: for the claims as JSON."""
    print(table)
    print("claim | measured | target |")
    for claim in claims:
        print(claim.line())
    if file is not None:
        lines = [claim.line().split(" | ") for claim in claims]
        file.write_text(json.dumps(lines, indent=1, ensure_ascii=False), "utf-8")
