"""What each compression method costs and gives on real data, beside the fine-tuned model.

    PARE_DATA=… PARE_MODELS=… python benchmarks/methods.py [--quick] [--seeds 0,1,2] [--only 'nlpcc/*']

Each cell is one run of run.py, kept in benchmarks/cells/ as one JSON, so that a run continues where it
stopped; delete a file to measure it again. Ends with one line for every claim and writes both tables into
docs/methods.md. What training together saves is in shared_training.py, what kept answers save in
cached_lessons.py. --quick: seed 0 on NLPCC 2018. --report: no runs, only the cells there are. --json FILE.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from running import CELLS, ROOT, Claim, arguments_of, floor2, keep, options, report, run, write_page

PAGE = ROOT / "docs" / "methods.md"

NLPCC = ("task=nlpcc2018", "model=small_zh", "train.epochs=10")
SNIPS = ("task=snips", "model=minilm_l6", "train.learning_rate=2e-4")
BATCH_32 = ("hardware.batch=32",)
SHORT = ("hardware.length=16",)
#: of the two that cost seconds, the one that `compression=slice` showed to lose less on dev: at width 1/2
#: 60.3 against 48.3 on nlpcc, whose network knows its training texts by heart; on snips taylor, 63.6 to 32.6
MAGNITUDE = ("compression.width.importance=magnitude",)
SORTED = ("compression.supernet.importance=magnitude",)
RECOVER = ("compression.distill.train.steps=1500", "compression.distill.train.learning_rate=5e-4")
RECOVER_SNIPS = ("compression.distill.train.steps=1000", "compression.distill.train.learning_rate=2e-4")
OPENVINO = ("hardware=openvino", "compression=openvino_int8")
ONLY_QAT = ("compression=qat", "~compression/width", "~compression/distill")
WIDTHS = {"3/4": 0.75, "2/3": 2 / 3, "1/2": 0.5, "1/4": 0.25}
STUDENT = ("model@compression.distill.student=mini", "compression=distill")
PUPIL = ("compression.distill.train.steps=3000", "compression.distill.train.learning_rate=2e-3")


def cells() -> dict[str, tuple[str, ...]]:
    """The overrides of each cell, by name."""
    found = {
        "nlpcc/baseline": (*NLPCC, "compression=none"),
        "nlpcc/int8": (*NLPCC, "compression=int8", *SHORT),
        "nlpcc/openvino_int8": (*NLPCC, *OPENVINO, *SHORT),
        "snips/openvino_int8": (*SNIPS, *OPENVINO, *SHORT),
        "nlpcc/dynamic": (*NLPCC, "compression=int8_dynamic", *SHORT),
        "nlpcc/qat": (*NLPCC, *ONLY_QAT, *SHORT),
        "nlpcc/vocabulary": (*NLPCC, "compression=vocabulary", "compression.vocabulary.max_length=48"),
        "nlpcc/depth": (*NLPCC, "compression=depth", *RECOVER),
        "nlpcc/student_taught": (*NLPCC, *STUDENT, *PUPIL),
        "nlpcc/student_alone": (
            *(o for o in NLPCC if "model" not in o),
            "model=mini",
            "model.architecture.vocabulary_file=${oc.env:PARE_DATA}/zh_vocab/google_zh_vocab.txt",
            "compression=none",
            "train=student",
            "train.steps=3000",
        ),
        "nlpcc/source004": (
            *NLPCC,
            "compression=vocabulary_width_qat",
            "compression.vocabulary.max_length=48",
            kept(0.5),
            *MAGNITUDE,
            "compression.distill.train.steps=3000",
            "compression.distill.train.learning_rate=5e-4",
        ),
        "snips/student_taught": (*SNIPS, *STUDENT, *PUPIL),
        "snips/student_alone": (
            "task=snips",
            "model=mini",
            "model.architecture.vocabulary_file=${oc.env:PARE_MODELS}/all-MiniLM-L6-v2/vocab.txt",
            "compression=none",
            "train=student",
            "train.steps=3000",
        ),
        "nlpcc/smallest": (
            *NLPCC,
            "compression=vocabulary_student_int8",
            "compression.vocabulary.max_length=48",
            *PUPIL,
        ),
        "snips/baseline": (*SNIPS, "compression=none"),
        "snips/int8": (*SNIPS, "compression=int8", *SHORT),
        "snips/qat": (*SNIPS, *ONLY_QAT, "compression.qat.train.learning_rate=5e-5", *SHORT),
        "snips/width 2/3": (*SNIPS, "compression=width", kept(2 / 3), *RECOVER_SNIPS),
        "snips/vocabulary": (*SNIPS, "compression=vocabulary", "compression.vocabulary.max_length=64"),
        "snips/source001": (
            *SNIPS,
            "compression=width_depth_int8",
            "compression.width.heads=8",
            "compression.width.ffn=1024",
            "compression.recover.train.steps=1000",
            "compression.recover.train.learning_rate=2e-4",
            *RECOVER_SNIPS,
        ),
    }
    for name, share in WIDTHS.items():
        found[f"nlpcc/width {name}"] = (
            *NLPCC,
            "compression=width",
            kept(share),
            *MAGNITUDE,
            *RECOVER,
            *BATCH_32,
        )
        found[f"nlpcc/supernet {name}"] = (
            *NLPCC, "compression=supernet", kept(share),
            *SORTED, *steps("supernet"), *BATCH_32,
        )  # fmt: skip
        found[f"nlpcc/sampled {name}"] = (
            *NLPCC, "compression=supernet", kept(share),
            "compression.supernet.sample=1", *SORTED, *steps("supernet"),
            *BATCH_32,
        )  # fmt: skip
    return found


def kept(share: float) -> str:
    return f"compression.width.keep={share}"


def steps(slot: str) -> tuple[str, ...]:
    return (f"compression.{slot}.train.steps=1500", f"compression.{slot}.train.learning_rate=5e-4")


@dataclass(frozen=True)
class Found:
    """The cells there are, by name and seed."""

    by_name: Mapping[str, Mapping[int, Mapping[str, Any]]]

    def mean(self, cell: str, value: Callable[[Mapping[str, Any]], float]) -> float | None:
        runs = self.by_name.get(cell, {})
        return statistics.fmean(value(run) for run in runs.values()) if runs else None

    def both(
        self, one: str, other: str, value: Callable[[Mapping[str, Any], Mapping[str, Any]], float]
    ) -> float | None:
        """Mean of what two cells make together over the seeds that both have."""
        first, second = (self.by_name.get(cell, {}) for cell in (one, other))
        seeds = first.keys() & second.keys()
        return statistics.fmean(value(first[seed], second[seed]) for seed in seeds) if seeds else None

    def score(self, cell: str) -> float | None:
        """Mean over seeds of the primary metric on test, in points."""
        return self.mean(cell, score_of)

    def above(self, one: str, other: str) -> float | None:
        """Points by which the first is better."""
        return self.both(one, other, lambda first, second: score_of(first) - score_of(second))

    def drop(self, cell: str) -> float | None:
        """Points lost against the baseline, mean over seeds."""
        return self.mean(cell, lambda run: baseline_score(run) - score_of(run))

    def speedup(self, cell: str) -> float | None:
        return self.mean(cell, speedup_of)

    def size(self, cell: str) -> float | None:
        """Share of the baseline's size."""
        return self.mean(cell, size_of)


def score_of(run: Mapping[str, Any]) -> float:
    return float(100 * run["scores"][run["primary"]])


def speedup_of(run: Mapping[str, Any]) -> float:
    return float(run["measurement"]["speedup"]["median"])


def size_of(run: Mapping[str, Any]) -> float:
    return float(run["measurement"]["size_mb"] / base_of(run)["size_mb"])


def base_of(run: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run["baseline"]["measurement"]
    return found


def baseline_score(run: Mapping[str, Any]) -> float:
    return float(100 * run["baseline"]["scores"][run["primary"]])


def stage_of(run: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next(stage for stage in run["stages"] if stage["kind"] == kind)


def flops(shape: Mapping[str, Any], tokens: float = 10.0) -> float:
    """Multiply-adds a token of the encoder's linear maps and attention."""
    hidden, size = shape["hidden"], shape["hidden"] / 4  # of small_zh: four heads before pruning
    widths = zip(shape["heads"], shape["ffn"], strict=True)
    return float(sum(heads * size * (4 * hidden + 2 * tokens) + 2 * hidden * ffn for heads, ffn in widths))


def realised(run: Mapping[str, Any]) -> float:
    """The speed-up over the share of FLOPs that was taken out."""
    before, after = (flops(stage["shape"]) for stage in (run["stages"][0], run["stages"][-1]))
    return speedup_of(run) / (before / after)


def claims(found: Found) -> list[Claim]:
    result = []
    for data in ("nlpcc", "snips"):
        result.append(
            Claim(f"{data}: points lost at width 2/3, recovered", found.drop(f"{data}/width 2/3"), 1.0)
        )
    for name in WIDTHS:
        ratio = found.mean(f"nlpcc/width {name}", realised)
        result.append(Claim(f"nlpcc: speed-up over FLOPs removed, width {name}", ratio, 0.90, True))
    for kind in ("supernet", "sampled"):
        for name in WIDTHS:
            loss = found.above(f"nlpcc/width {name}", f"nlpcc/{kind} {name}")
            result.append(Claim(f"nlpcc: points below its own training, width {name} ({kind})", loss, 0.5))
    for data in ("nlpcc", "snips"):
        gain = found.above(f"{data}/student_taught", f"{data}/student_alone")
        result.append(Claim(f"{data}: points that a teacher gives a student", gain, 1.0, True))
    for data in ("nlpcc", "snips"):
        result += [
            Claim(f"{data}: points lost by static INT8", found.drop(f"{data}/int8"), 0.5),
            Claim(f"{data}: size of static INT8", found.size(f"{data}/int8"), 0.27),
            Claim(f"{data}: speed-up of static INT8, batch 1 × 16", found.speedup(f"{data}/int8"), 2.5, True),
        ]
        qat, static = f"{data}/qat", f"{data}/int8"
        slower = found.both(static, qat, lambda one, other: speedup_of(one) / speedup_of(other))
        larger = found.both(qat, static, lambda one, other: size_of(one) / size_of(other))
        result += [
            Claim(f"{data}: points of QAT above static INT8", found.above(qat, static), 0.0, True),
            Claim(f"{data}: latency of QAT over static INT8", slower, 1.1),
            Claim(f"{data}: size of QAT over static INT8", larger, 1.0),
        ]
    for says, whole in (("source 004", "nlpcc/source004"), ("source 004, by a student", "nlpcc/smallest")):
        memory = found.mean(whole, lambda r: r["measurement"]["memory_mb"] / base_of(r)["memory_mb"])
        result += [
            Claim(f"{says}: size left", found.size(whole), 0.078),
            Claim(f"{says}: megabytes", found.mean(whole, lambda r: r["measurement"]["size_mb"]), 5.4),
            Claim(f"{says}: speed-up", found.speedup(whole), 1.46, True),
            Claim(f"{says}: memory left", memory, 0.378),
            Claim(f"{says}: points lost", found.drop(whole), 0.13),
        ]
    return result


def table(found: Found) -> str:
    """One row a cell: means over its seeds."""
    head = (
        "cell",
        "seeds",
        "score",
        "lost",
        "95 % interval, first seed",
        "speed-up",
        "MB",
        "share",
        "trained s, last seed",
    )
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for cell in cells():
        runs = found.by_name.get(cell)
        if not runs:
            continue
        first = runs[min(runs)]
        sure = first["difference"]
        interval = f"[{-100 * sure['high']:+.2f}, {-100 * sure['low']:+.2f}]" if sure else ""
        last = runs[max(runs)]
        trained = sum(s["computed_s"] for s in last["stages"] if s["kind"] not in ("finetune", "export"))
        size = found.mean(cell, lambda run: float(run["measurement"]["size_mb"]))
        cells_of_row = (
            cell,
            ", ".join(map(str, sorted(runs))),
            f"{found.score(cell):.2f}",
            f"{found.drop(cell):+.2f}",
            interval,
            f"{floor2(found.speedup(cell) or 0)}x",
            f"{size:.2f}",
            f"{found.size(cell):.3f}",
            f"{trained:.0f}",
        )
        rows.append(f"| {' | '.join(cells_of_row)} |")
    return "\n".join(rows) + "\n"


def read() -> Found:
    by_name: dict[str, dict[int, Mapping[str, Any]]] = {}
    for cell in cells():
        for file in CELLS.glob(f"{slug(cell)}.seed*.json"):
            seed = int(file.stem.rpartition("seed")[2])
            by_name.setdefault(cell, {})[seed] = json.loads(file.read_text("utf-8"))
    return Found(by_name)


def slug(cell: str) -> str:
    head, _, rest = cell.partition("/")
    return f"{head}.{rest.replace('/', '-').replace(' ', '_')}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    arguments = arguments_of(parser, "PARE_DATA", "PARE_MODELS")
    only, seeds = arguments.only, [int(seed) for seed in arguments.seeds.split(",")]
    if arguments.quick:
        only, seeds = "nlpcc/*", [0]
    for seed in seeds:
        for cell, overrides in cells().items():
            file = CELLS / f"{slug(cell)}.seed{seed}.json"
            if arguments.report or file.exists() or not fnmatch(cell, only):
                continue
            print(f"{cell}, seed {seed}", file=sys.stderr, flush=True)
            keep(file, run(cell, overrides, seed))
    found = read()
    write_page(PAGE, table(found), claims(found))
    report(table(found), claims(found), arguments.json)


if __name__ == "__main__":
    main()
