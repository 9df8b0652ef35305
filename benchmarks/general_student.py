"""What an encoder that learned no task is worth to the next task: fine-tuning from it beside from scratch.

    PARE_DATA=… PARE_MODELS=… python benchmarks/general_student.py [--quick] [--seeds 0,1,2] [--json FILE]

MiniLM-L6 is fine-tuned on SNIPS and ATIS together; a student of 2 layers, 128 wide, learns its relations from
their texts and those of CLINC150 (`compression=general`). BANKING77, which neither has seen, is then learned
from that student and from random weights, for the same steps, at two learning rates of which dev chooses.
Ends with accuracy on BANKING77's test set, which is kept in benchmarks/cells/; --report shows that. --quick:
one seed and a tenth of the student's steps, not kept.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from running import ROOT, Claim, arguments_of, cell_of, options, report, store

TEACHER = ("task=commands", "model=minilm_l6", "train.learning_rate=2e-4", "train.epochs=3")
GENERAL = (
    "compression=general",
    "model@compression.distill.student=mini",
    "compression.distill.train.learning_rate=2e-3",
    "measure.seconds=2",
)
RATES = ("5e-4", "2e-3")


def run(folder: Path, *overrides: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "run.py", *overrides, f"hydra.run.dir={folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(overrides)}: {done.stderr.strip()[-400:]}")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return result


def corpus(file: Path, data: Path) -> None:
    """One text a line."""
    rows = json.loads((data / "clinc150" / "data_full_trainval.json").read_text("utf-8"))
    file.write_text("".join(f"{text}\n" for text, _ in rows["train"]), "utf-8")


def general_student(folder: Path, data: Path, steps: int) -> Path:
    """A folder that `model.path` starts from."""
    corpus(folder / "corpus.txt", data)
    told = (f"compression.distill.corpus={folder / 'corpus.txt'}", f"compression.distill.train.steps={steps}")
    result = run(folder / "general", *TEACHER, *GENERAL, *told)
    (key,) = (stage["key"] for stage in result["stages"] if stage["kind"] == "distill")
    shutil.rmtree(folder / "student", ignore_errors=True)
    pare = [sys.executable, "-m", "pare.cli", "store", "--root", str(store())]
    subprocess.run([*pare, "get", key, str(folder / "student")], cwd=ROOT, check=True, capture_output=True)
    return folder / "student"


def banking(folder: Path, data: Path, steps: int, seed: int, *start: str) -> float:
    """Accuracy on test, in points, at the learning rate that is better on dev."""
    task = (
        "task=mine",
        f"task.train={data}/banking77/train.csv",
        f"task.test={data}/banking77/test.csv",
        "task.label=category",
        "task.max_length=64",
    )
    tried = []
    for rate in RATES:
        train = ("train=student", f"train.steps={steps}", f"train.learning_rate={rate}", f"seed={seed}")
        place = folder / f"banking-{len(start)}-{seed}-{rate}"
        found = run(place, *task, *start, *train, "compression=none", "measure.seconds=2")
        tried.append((found["stages"][0]["scores"]["accuracy"], found["scores"]["accuracy"]))
    return 100 * max(tried)[1]


def measured(seeds: Sequence[int], steps: int, general_steps: int) -> dict[str, list[float]]:
    """Points of each seed, by what was started from."""
    data, models = (Path(os.environ[name]) for name in ("PARE_DATA", "PARE_MODELS"))
    folder = ROOT / "runs" / "general_student"  # not a new one each time: the store knows texts by it
    folder.mkdir(parents=True, exist_ok=True)
    student = general_student(folder, data, general_steps)
    vocabulary = f"model.architecture.vocabulary_file={models}/all-MiniLM-L6-v2/vocab.txt"
    arms = {"general": (f"model.path={student}",), "scratch": ("model=mini", vocabulary)}
    return {
        arm: [banking(folder, data, steps, seed, *start) for seed in seeds] for arm, start in arms.items()
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=200)
    arguments = arguments_of(parser, "PARE_DATA", "PARE_MODELS")
    seeds = [0] if arguments.quick else [int(seed) for seed in arguments.seeds.split(",")]
    steps = 600 if arguments.quick else 6000
    found = cell_of("general_student", arguments, True, lambda: measured(seeds, arguments.steps, steps))
    gain = statistics.fmean(found["general"]) - statistics.fmean(found["scratch"]) if found else None
    rows = ["| started from | accuracy, by seed |", "|---|---|"]
    rows += [f"| {arm} | {', '.join(f'{s:.2f}' for s in scores)} |" for arm, scores in (found or {}).items()]
    claim = Claim("BANKING77: points gained by starting from the general student", gain, 1.0, True)
    report("\n".join(rows) + "\n", [claim], arguments.json)


if __name__ == "__main__":
    main()
