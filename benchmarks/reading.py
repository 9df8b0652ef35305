"""How long a file of a million rows takes to be read and encoded, and how much memory, beside others.

    python benchmarks/reading.py [--quick] [--json FILE]

Theirs is pyarrow's reader, or datasets', and the same tokenizer's quickest call on pieces of the column, the
ids kept as numbers. Ours is what a run does: the splits of a task, and the tokens of train. Each arm in a
process of its own, in turn; memory is what nine tenths of the rows add to the peak. The text is made by a
seeded grammar. --quick: 100,000 rows.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from running import Claim, report

from pare.tasks.car import generate
from pare.tasks.classify import Classify
from pare.tasks.files import Files
from pare.tasks.formats import Table
from pare.tasks.text import TextEncoder, train_wordpiece

LENGTH = 48
AT_ONCE = 8192


def pyarrow_arm(file: Path, encoder: TextEncoder) -> float:
    from pyarrow import csv

    start = time.perf_counter()
    options = csv.ParseOptions(delimiter="\t", quote_char=False)
    column = csv.read_csv(file, parse_options=options).column("sentence")
    encoded(encoder, len(column), lambda a, b: column.slice(a, b - a).to_pylist())
    return time.perf_counter() - start


def datasets_arm(file: Path, encoder: TextEncoder) -> float:
    import datasets

    datasets.disable_progress_bars()
    start = time.perf_counter()
    rows = datasets.load_dataset(
        "csv", data_files=str(file), sep="\t", quoting=3, split="train", cache_dir=str(file.parent / "cache")
    )
    encoded(encoder, len(rows), lambda a, b: rows[a:b]["sentence"])
    return time.perf_counter() - start


def encoded(encoder: TextEncoder, rows: int, texts: Callable[[int, int], list[str]]) -> list[np.ndarray]:
    """The tokenizer's own time, and ids as numbers."""
    found = []
    for start in range(0, rows, AT_ONCE):
        part = encoder.tokenizer.encode_batch_fast(texts(start, min(start + AT_ONCE, rows)))
        found.append(np.concatenate([np.array(e.ids, dtype=np.int32) for e in part]))
    return found


def pare_arm(file: Path, encoder: TextEncoder) -> float:
    few = str(file.parent / "few.tsv")
    start = time.perf_counter()
    table = Table(text="sentence", label="label")
    task = Classify(
        name="rows", max_length=LENGTH, source=Files(train=str(file), dev=few, test=few, format=table)
    )
    encoder.encode(task.texts("train"), places=False)
    return time.perf_counter() - start


ARMS = {"pyarrow": pyarrow_arm, "datasets": datasets_arm, "pare": pare_arm}


def write_rows(folder: Path, rows: int) -> None:
    made = generate("en", 0, {"train": 24000, "dev": 1, "test": 1, "unlabelled": 0})["train"]
    texts = [str(example.text) for example in made]
    train_wordpiece(texts, 4000).save(str(folder / "tokenizer.json"))
    rng = random.Random(0)
    for name, count in (("all", rows), ("tenth", rows // 10), ("few", 100)):
        with (folder / f"{name}.tsv").open("w", encoding="utf-8") as file:
            file.write("index\tsentence\tlabel\n")
            for i in range(count):
                file.write(f"{i}\t{' '.join(rng.choices(texts, k=2))}\tkind {i % 50}\n")


def one(arm: str, file: Path) -> None:
    """What the arm's own process prints: seconds and megabytes at the peak."""
    encoder = TextEncoder.load(file.parent / "tokenizer.json", LENGTH)
    seconds = ARMS[arm](file, encoder)
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measure(arm: str, file: Path) -> tuple[float, float]:
    command = [sys.executable, __file__, "--arm", arm, "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        one(arguments.arm, arguments.file)
        return
    rows, rounds = (100_000, 1) if arguments.quick else (1_000_000, 3)
    arms = [arm for arm in ARMS if arm == "pare" or find_spec(arm)]
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    grown: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, rows)
        for _ in range(rounds):
            for arm in arms:
                found, peak = measure(arm, folder / "all.tsv")
                seconds[arm].append(found)
                grown[arm] = peak - measure(arm, folder / "tenth.tsv")[1]
    best = {arm: min(found) for arm, found in seconds.items()}
    lines = ["| arm | seconds, best | MB that nine tenths of the rows add |", "|---|---|---|"]
    lines += [f"| {arm} | {best[arm]:.1f} | {grown[arm]:.0f} |" for arm in arms]
    claims = []
    for theirs in ("pyarrow", "datasets"):
        slower, larger = (each["pare"] / each[theirs] if theirs in each else None for each in (best, grown))
        claims.append(Claim(f"{rows:,} rows: seconds over {theirs} and the tokenizer", slower, 1.2))
        claims.append(Claim(f"{rows:,} rows: growth of memory over {theirs}", larger, 1.0))
    report("\n".join(lines) + "\n", claims, arguments.json)


if __name__ == "__main__":
    main()
