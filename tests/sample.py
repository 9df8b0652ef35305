"""A result as a job leaves it, with numbers that are exact in binary."""

from dataclasses import replace

from pare.result import Result
from pare.targets.measuring import Measurement, Speedup

MEASURED = Measurement(
    hardware="here",
    runtime="onnxruntime",
    device="cpu",
    precision="int8",
    lowering="fused",
    threads=1,
    batch=1,
    length=None,
    latency_ms={"p50": 0.5, "p90": 0.75, "n": 100},
    throughput_per_s=2000.0,
    throughput_batch=32,
    size_mb=1.5,
    memory_mb=None,  # not every system tells
    speedup=Speedup(median=3.0, low=2.5, high=3.5),
    fingerprint={},
)
RESULT = Result(
    name="pare",
    key="0123456789abcdef",
    overrides=["seed=1", "model=micro"],
    seed=1,
    task="small",
    environment={},
    stages=[
        {"name": "finetune", "key": "00", "cached": True, "scores": {"exact_match": 0.75}, "delta": {}},
        {
            "name": "width",
            "key": "01",
            "cached": False,
            "scores": {"exact_match": 0.5},
            "delta": {"previous": {"exact_match": -0.25}, "baseline": {"exact_match": -0.25}},
        },
    ],
    primary="exact_match",
    scores={"exact_match": 0.5},
    baseline_scores={"exact_match": 0.625},
    measurement=MEASURED,
    baseline_measurement=replace(MEASURED, size_mb=6.0),
)
