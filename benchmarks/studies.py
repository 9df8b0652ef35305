"""The studies of experiments/, one a source document: three seeds each, the table in that source's layout.

    PARE_THREADS=1 PARE_DATA=… PARE_MODELS=… python benchmarks/studies.py [--only 'clue*'] [--json FILE]

Each is one command, and its table what `pare report` makes of it. Kept in benchmarks/cells/ and written into
experiments/README.md, beside the source's own; delete a cell to run its study again, as far as the store does
not know it. --quick: the shortest one, not kept.
"""

import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from running import ROOT, arguments_of, cell_of, options, write_page

from pare.machine import cores, cpu

PAGE = ROOT / "experiments" / "README.md"
#: by experiment: its layouts, as `pare report` takes them
STUDIES = {
    "pp_minilm_aspect": ("pp_minilm", "jobs"),
    "template_classification": ("template", "jobs"),
    "clue_auto": ("clue", "jobs --group task"),
    "hierarchical_widths": ("hierarchical", "jobs"),
    "ernie_tiny_slu": ("ernie_tiny", "jobs"),
}
QUICK = "pp_minilm_aspect"


def studied(name: str) -> dict[str, Any]:
    folder = ROOT / "runs" / "studies" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    began = time.perf_counter()
    called("run.py", f"experiment={name}", f"hydra.sweep.dir={folder}")
    seconds = time.perf_counter() - began
    tables = {layout: table_of(folder, layout) for layout in STUDIES[name]}
    return {
        "command": f"python run.py experiment={name}",
        "seconds": seconds,
        "machine": machine(),
        "tables": tables,
    }


def table_of(folder: Path, layout: str) -> str:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "table.md"
        called("-m", "pare.cli", "report", str(folder), "--layout", *layout.split(), "--to", str(file))
        return file.read_text("utf-8")


def called(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}")


def machine() -> str:
    return f"{cpu()}, {cores()} cores"


def told(cell: dict[str, Any]) -> str:
    where = f"`{cell['command']}`: {cell['seconds']:.0f} s on {cell['machine']}."
    return "\n".join([where, *(f"\n{table.strip()}" for table in cell["tables"].values())]) + "\n"


def main() -> None:
    arguments = arguments_of(options(__doc__), "PARE_DATA", "PARE_MODELS")
    for name in STUDIES:
        wanted = name == QUICK if arguments.quick else fnmatch(name, arguments.only)
        cell = cell_of(f"study.{name}", arguments, wanted, lambda name=name: studied(name))
        if cell is not None and not arguments.quick:
            write_page(PAGE, told(cell), [], name)
        print(f"{name}: {'not run' if cell is None else told(cell)}\n")


if __name__ == "__main__":
    main()
