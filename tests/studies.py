"""Folders as sweeps leave them, without the work: jobs whose numbers follow from their overrides."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from pare.comparing import difference
from pare.files import write_json
from pare.provenance import digest
from pare.result import STATUS, Result
from pare.rows import write_rows
from pare.targets.intervals import Speedup
from sample import MEASURED, RESULT

HERE = {"cpu": "A CPU", "cores": 2, "gpu": [], "runtime": {"onnxruntime-gpu": "1.31.1"}}
SCHEMES = {"int8_static": (0.5, 0.25), "int8_dynamic": (0.7, 0.25), "fp16": (0.9, 0.5), "none": (1.0, 1.0)}
STAGES = ("finetune", "width", "distill", "export", "quantize")


def job(
    folder: Path,
    *overrides: str,
    seed: int = 0,
    right: float = 0.9,
    before: float = 0.92,
    ms: float = 0.5,
    mb: float = 2.0,
    rows: int = 200,
    stages: Sequence[str] = STAGES,
    task: str = "car",
    batch: int = 1,
    split: str = "test rows",
    answers: bool = True,
    **fingerprint: Any,
) -> Result:
    """One that is done. right, before: which share of the rows it has right, and its baseline."""
    draw = random.Random(f"{overrides} {seed}")
    hard = [random.Random(i).random() for i in range(rows)]  # the same rows are hard for all

    def shares(level: float) -> list[tuple[float, float]]:
        return [(float(row + draw.gauss(0, 0.02) < level), 1.0) for row in hard]

    first, second = shares(before), shares(right)
    scores = [sum(above for above, _ in side) / rows for side in (first, second)]
    times = 1 / ms
    place = {**HERE, **fingerprint}
    measured = replace(
        MEASURED,
        batch=batch,
        latency_ms={"p50": ms, "p90": 1.5 * ms, "n": 100},
        end_to_end_ms={"p50": ms + 0.2, "p90": 1.5 * ms + 0.2, "n": 100},
        size_mb=mb,
        memory_mb=3 * mb,
        speedup=Speedup(times, 0.95 * times, 1.05 * times),
        end_to_end_speedup=Speedup(ratio := 1.2 / (ms + 0.2), 0.95 * ratio, 1.05 * ratio),
        fingerprint=place,
    )
    base = replace(
        measured,
        precision="fp32",
        latency_ms={"p50": 1.0, "p90": 1.5, "n": 100},
        end_to_end_ms={"p50": 1.2, "p90": 1.7, "n": 100},
        size_mb=8.0,
        memory_mb=24.0,
        speedup=Speedup(1.0, 1.0, 1.0),
        end_to_end_speedup=None,
    )
    told, last = [], before
    for number, stage in enumerate(stages):
        level = before - 0.3 if stage == "width" else right if number else before
        delta = {
            since: {"exact_match": level - was} for since, was in (("previous", last), ("baseline", before))
        }
        told.append(
            {
                "name": stage,
                "kind": stage,
                "key": f"{stage} {seed}",
                "cached": False,
                "seconds": 1.0,
                "params": 2_000_000 - 200_000 * number,
                "size_mb": 8.0 - number,
                "scores": {"exact_match": level},
                "delta": delta if number else {},
                "gate": None,
                "used": True,
                "found": {"told": [f"layer {seed} is the dearest"]} if stage == "width" else None,
            }
        )
        last = level
    result = replace(
        RESULT,
        key=digest([*overrides, seed, task])[:16],
        overrides=[*overrides, f"seed={seed}"],
        seed=seed,
        task=task,
        stages=told,
        environment={"python": "3.11.7", "packages": {"torch": "2.13.0"}, "cpu": place["cpu"], "git": None},
        scores={"exact_match": scores[1], "slot_f1": scores[1] - 0.01},
        baseline_scores={"exact_match": scores[0], "slot_f1": scores[0] - 0.01},
        difference=difference(first, second, 50),
        measurement=measured,
        baseline_measurement=base,
        split=split,
    )
    folder.mkdir(parents=True)
    if answers:
        write_rows(folder, split, first, second)
    result.write(folder)
    write_json(folder / STATUS, {"state": "done", "job": "pare"})
    return result


def failed(folder: Path, message: str, state: str = "failed") -> None:
    folder.mkdir(parents=True)
    write_json(folder / STATUS, {"state": state, "error": {"kind": "StageFailed", "message": message}})


def gated(root: Path) -> None:
    """Three seeds; a gate brought `qat` into the last, which is worse than the others all along."""
    for seed, (before, right) in enumerate(((0.93, 0.93), (0.93, 0.93), (0.84, 0.835))):
        stages = ("finetune", "qat", "export") if seed == 2 else ("finetune", "export")
        job(root / str(seed), seed=seed, before=before, right=right, stages=stages, rows=50)


def grid(root: Path, widths: Sequence[float], schemes: Sequence[str], seeds: int, rows: int = 200) -> int:
    """Wider is better and slower; how many jobs there are."""
    jobs = list(product(widths, schemes, range(seeds)))
    for number, (keep, scheme, seed) in enumerate(jobs):
        quick, small = SCHEMES[scheme]
        overrides = (f"compression.width.keep={keep:g}", f"compression/quantize={scheme}")
        right = 0.92 - 0.15 * (1 - keep) ** 2 - (0.02 if "int8" in scheme else 0)
        size = (0.3 + 0.7 * keep) * 8 * small
        ms = (0.2 + 0.8 * keep) * quick
        job(root / str(number), *overrides, seed=seed, right=right, ms=ms, mb=size, rows=rows)
    return len(jobs)
