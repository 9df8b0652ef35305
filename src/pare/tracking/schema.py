"""The fixed set of numbers that a run has, whichever tracker shows it; docs/tracking.md has the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pare.result import Result
from pare.targets.intervals import Speedup
from pare.targets.measurement import Measurement
from pare.tracking.record import JobRecord

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Field:
    """name: with {what varies}, and with [what the fine-tuned model's has before it]."""

    name: str
    unit: str
    about: str


FIELDS = (
    Field("dev/primary", "share", "the metric that gates and tables use, on dev, after the last stage kept"),
    Field("[baseline/]primary", "share", "the same metric, on test"),
    Field("primary_change", "share", "`primary` less `baseline/primary`"),
    Field("difference/{bound}", "share", "the same from row to row: mean, low, high (95 %)"),
    Field("[baseline/]test/{metric}", "share", "every score on test"),
    Field("stage/{stage}/dev/{metric}", "share", "score after that stage"),
    Field("stage/{stage}/change/{metric}", "share", "against the stage before"),
    Field("stage/{stage}/total/{metric}", "share", "against the fine-tuned model"),
    Field("stage/{stage}/params", "", "parameters after that stage"),
    Field("stage/{stage}/size_mb", "MB", "weights or graph after that stage"),
    Field("stage/{stage}/seconds", "s", "what it took when it was computed"),
    Field("[baseline/]latency_ms/{percentile}", "ms", "of a call, at `hardware.batch`"),
    Field("[baseline/]end_to_end_ms/{percentile}", "ms", "from the text to the answer"),
    Field("[baseline/]load_ms", "ms", "loading the graph"),
    Field("[baseline/]first_ms", "ms", "its first call"),
    Field("[baseline/]throughput_per_s", "texts/s", "in the largest batch, sorted by length"),
    Field("[baseline/]padded_per_s/{batch}", "texts/s", "in batches of that size, as the texts come"),
    Field("[baseline/]bucketed_per_s/{batch}", "texts/s", "the same, sorted by length first"),
    Field("[baseline/]size_mb", "MB", "what has to be shipped"),
    Field("[baseline/]memory_mb", "MB", "what the graph and its longest call add to a process"),
    Field("[baseline/]gpu_memory_mb", "MB", "what the process holds of the GPU"),
    Field("[baseline/]gpu_allocated_mb", "MB", "the peak of PyTorch's allocator"),
    Field("[baseline/]energy_j", "J", "a text, in the largest batch"),
    Field("[baseline/]flops_per_text", "FLOP", "what a text needs"),
    Field("[baseline/]flops_per_s", "FLOP/s", "what was done"),
    Field("[baseline/]peak_fraction", "share", "of what this machine multiplies at most"),
    Field("speedup/{bound}", "times", "at `hardware.batch`, against the baseline: median, low, high (95 %)"),
    Field("end_to_end_speedup/{bound}", "times", "from the text to the answer"),
    Field("control/{bound}", "times", "the baseline against itself: what is no larger is noise"),
)
#: not of the whole job but along a stage's training, over train/{stage}/step
CURVES = (
    Field("train/{stage}/step", "", "optimizer steps, the axis of the others"),
    Field("train/{stage}/loss", "", "what the stage minimizes"),
    Field("train/{stage}/learning_rate", "", "of that step"),
    Field("train/{stage}/dev", "share", "primary metric on dev, where training looks at it"),
)


def metrics_of(result: Result) -> Metrics:
    """Every number of `FIELDS`, by name; None where it cannot be had, on this device say."""
    score, before = result.scores[result.primary], result.baseline_scores[result.primary]
    found: Metrics = {"dev/primary": on_dev(result)}
    found |= {"primary": score, "baseline/primary": before, "primary_change": score - before}
    found |= under("test", result.scores)
    found |= under("baseline/test", result.baseline_scores)
    bounds = ("mean", "low", "high")
    found |= {f"difference/{bound}": getattr(result.difference, bound, None) for bound in bounds}
    for stage in result.stages:
        found |= under(f"stage/{stage['name']}", stage_metrics(stage))
    found |= measured(result.measurement)
    found |= under("baseline", measured(result.baseline_measurement))
    found |= under("speedup", ratio(result.measurement.speedup))
    found |= under("end_to_end_speedup", ratio(result.measurement.end_to_end_speedup))
    found |= under("control", ratio(result.measurement.control))
    return found


def on_dev(result: Result) -> float | None:
    """What a search may look at: test is only told."""
    return next(reversed(result.on_dev()), None)


def under(prefix: str, values: Mapping[str, float | None]) -> Metrics:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def stage_metrics(stage: Mapping[str, Any]) -> Metrics:
    found = under("dev", stage["scores"])
    found |= under("change", stage["delta"].get("previous", {}))
    found |= under("total", stage["delta"].get("baseline", {}))
    plain = {"params": stage["params"], "size_mb": stage["size_mb"], "seconds": stage["computed_s"]}
    return found | plain


def measured(found: Measurement) -> Metrics:
    end_to_end = found.end_to_end_ms or {}
    metrics: Metrics = {}
    for name in ({*found.latency_ms, *end_to_end}) - {"n"}:
        metrics[f"latency_ms/{name}"] = found.latency_ms.get(name)
        metrics[f"end_to_end_ms/{name}"] = end_to_end.get(name)
    for rate in found.rates:
        metrics[f"padded_per_s/{rate.batch}"] = rate.padded_per_s
        metrics[f"bucketed_per_s/{rate.batch}"] = rate.bucketed_per_s
    plain = ("load_ms", "first_ms", "throughput_per_s", "size_mb", "memory_mb", "gpu_memory_mb")
    metrics |= {name: getattr(found, name) for name in (*plain, "gpu_allocated_mb", "energy_j")}
    arithmetic = found.arithmetic
    return metrics | {
        "flops_per_text": arithmetic.flops_per_text if arithmetic else None,
        "flops_per_s": arithmetic.flops_per_s if arithmetic else None,
        "peak_fraction": arithmetic.fraction if arithmetic else None,
    }


def ratio(found: Speedup | None) -> Metrics:
    return {bound: getattr(found, bound, None) for bound in ("median", "low", "high")}


def settings_of(job: JobRecord) -> dict[str, Any]:
    """The job's config as it is nested, and under `pare` what is not a number."""
    result = job.result
    target = result.measurement.as_json()
    named = ("hardware", "runtime", "device", "precision", "lowering", "threads", "batch", "length", "mode")
    stages = ("name", "kind", "key", "format", "cached", "gate")
    return {
        **job.config,
        "pare": {
            "key": result.key,
            "overrides": list(result.overrides),
            "primary": result.primary,
            "scored_on": result.scored_on,
            "target": {name: target[name] for name in (*named, "fingerprint")},
            "environment": dict(result.environment),
            "stages": [{name: stage.get(name) for name in stages} for stage in result.stages],
        },
    }
