"""What one encoder scores on every real data set, in FP32 and as static INT8, beside the commonest answer.

    PARE_DATA=… PARE_MODELS=… python benchmarks/tasks.py [--quick] [--only 'tnews*'] [--json FILE]

Chinese is learnt from scratch, English from MiniLM. Each set is one run of run.py, kept in benchmarks/cells/
as one JSON, so that a run continues where it stopped; delete a file to measure it again. Ends with a line
for every claim and writes both tables into docs/tasks.md. --quick: two sets. --report: no runs, only the
cells there are.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

from running import CELLS, ROOT, Claim, arguments_of, floor2, keep, options, report, run, write_page

from pare.config import task_and_model
from pare.tasks.example import Example
from pare.tasks.sourced import truth
from pare.tasks.task import Task

PAGE = ROOT / "docs" / "tasks.md"
ZH = ("model=small_zh",)
EN = ("model=minilm_l6", "train.learning_rate=2e-4")
QUICK = ("trec", "thucnews")


def epochs(count: int) -> tuple[str, ...]:
    return (f"train.epochs={count}",)


#: shape and overrides of each set; rows and lengths cap those that would take an hour on one core
SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "trec": ("multilabel", (*EN, *epochs(6))),
    "wos": ("multilabel", (*EN, *epochs(12))),
    "hwu64": ("multilabel", (*EN, *epochs(8))),
    "clinc150": ("multilabel", (*EN, *epochs(6))),
    "crosswoz": ("multilabel", (*ZH, *epochs(20))),
    "thucnews": ("text", (*ZH, *epochs(10))),
    "banking77": ("text", (*EN, *epochs(6))),
    "eprstmt": ("text", (*ZH, "train.steps=300")),
    "tnews": ("text", (*ZH, *epochs(15))),
    "csldcp": ("text", (*ZH, *epochs(30), "task.max_length=128")),
    "iflytek": ("text", (*ZH, *epochs(6), "task.max_length=128")),
    "smp2020": ("text", (*ZH, *epochs(3))),
    "snli": ("pair", (*EN, *epochs(4))),
    "aspect": ("pair", (*ZH, *epochs(2))),
    "afqmc": ("pair", (*ZH, *epochs(2))),
    "ocnli": ("pair", (*ZH, *epochs(3))),
    "bustm": ("pair", (*ZH, "train.steps=300")),
    "csl": ("pair", (*ZH, "train.steps=150")),
    "cluewsc2020": ("text", (*ZH, "train.steps=300")),
    "atis": ("slu", (*EN, *epochs(8))),
    "snips": ("slu", EN),
    "hwu64_slots": ("slu", (*EN, *epochs(8))),
    "nlpcc2018": ("slu", (*ZH, *epochs(10))),
    "restaurant8k": ("spans", (*EN, *epochs(4))),
    "wnut17": ("spans", (*EN, *epochs(6))),
    "cluener": ("spans", (*ZH, *epochs(12))),
    "cluener_prompts": ("spans", (*ZH, *epochs(3), "+task.source.source.rows=4000")),
}


def commonest(task: Task) -> dict[str, float]:
    """Scores of who always gives the answer that is the commonest in training, and finds no spans."""
    train = task.examples("train")
    ((labels, _),) = Counter(example.labels for example in train).most_common(1)
    answer = truth(task.outputs(), Example("", labels))
    return task.score("test", [answer] * len(task.examples("test")))


def measured(name: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """A cell: the run, and what it is to be held against."""
    task, _ = task_and_model([f"task={name}", *overrides])
    rows = {split: len(task.examples(split)) for split in ("train", "test")}  # type: ignore[arg-type]
    answers = [len(output.labels) for output in task.outputs()]
    about = {"rows": rows, "labels": answers, "commonest": commonest(task)}
    return {**about, **run(name, (f"task={name}", *overrides, "compression=int8"), 0)}


def read() -> dict[str, Mapping[str, Any]]:
    files = {name: CELLS / f"task.{name}.json" for name in SETS}
    return {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.is_file()}


def scores_of(cell: Mapping[str, Any]) -> tuple[float, float, float]:
    """Points of the commonest answer, of FP32, of INT8."""
    sides = (cell["commonest"], cell["baseline"]["scores"], cell)
    first, second, third = (100 * float(s.get("scores", s)[cell["primary"]]) for s in sides)
    return first, second, third


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    head = ("task", "shape", "model", "train / test", "labels", "metric", "commonest", "FP32", "INT8",
            "Δ, 95 % interval", "speed-up", "MB")  # fmt: skip
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, cell in found.items():
        shape, overrides = SETS[name]
        majority, fp32, int8 = scores_of(cell)
        sure = cell["difference"]
        interval = f" [{100 * sure['low']:+.2f}, {100 * sure['high']:+.2f}]" if sure else ""
        row = (
            name, shape, overrides[0].removeprefix("model="),
            f"{cell['rows']['train']} / {cell['rows']['test']}", " + ".join(map(str, cell["labels"])),
            cell["primary"], f"{majority:.2f}", f"{fp32:.2f}", f"{int8:.2f}", f"{int8 - fp32:+.2f}{interval}",
            f"{floor2(cell['measurement']['speedup']['median'])}x",
            f"{cell['baseline']['measurement']['size_mb']:.2f} → {cell['measurement']['size_mb']:.2f}",
        )  # fmt: skip
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows) + "\n"


def claims(found: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
    result = []
    for shape in dict.fromkeys(shape for shape, _ in SETS.values()):
        above = [
            fp32 - majority
            for name, cell in found.items()
            if SETS[name][0] == shape
            for majority, fp32, _ in [scores_of(cell)]
        ]
        says = f"{shape}: points of the best row above the commonest answer"
        result.append(Claim(says, max(above, default=None), 20.0, True))
    for name in SETS:
        lost = None
        if name in found:
            _, fp32, int8 = scores_of(found[name])
            lost = fp32 - int8
        result.append(Claim(f"{name}: points lost by static INT8", lost, 1.0))
    return result


def main() -> None:
    arguments = arguments_of(options(__doc__), "PARE_DATA", "PARE_MODELS")
    for name, (_, overrides) in SETS.items():
        file = CELLS / f"task.{name}.json"
        wanted = name in QUICK if arguments.quick else fnmatch(name, arguments.only)
        if not arguments.report and wanted and not file.exists():
            print(name, file=sys.stderr, flush=True)
            keep(file, measured(name, overrides))
    found = read()
    write_page(PAGE, table(found), claims(found))
    report(table(found), claims(found), arguments.json)


if __name__ == "__main__":
    main()
