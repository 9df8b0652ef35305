"""A result as a job leaves it, with numbers that are exact in binary."""

from dataclasses import replace

from pare.result import Result
from pare.targets.intervals import Speedup
from pare.targets.measurement import Arithmetic, Measurement, Rate

MEASURED = Measurement(
    hardware="here",
    runtime="onnxruntime",
    device="cpu",
    precision="int8",
    lowering="fused",
    threads=1,
    batch=1,
    length=None,
    mode="quick",
    latency_ms={"p50": 0.5, "p90": 0.75, "n": 100},
    end_to_end_ms={"p50": 0.625, "p90": 0.875, "n": 100},
    load_ms=20.0,
    first_ms=2.0,
    throughput_per_s=2000.0,
    throughput_batch=32,
    rates=(Rate(32, 1500.0, 2000.0),),
    size_mb=1.5,
    memory_mb=None,  # not every system tells
    gpu_memory_mb=None,
    gpu_allocated_mb=None,
    arithmetic=Arithmetic(1e6, 2e9, 8e9, 0.25),
    energy_j=None,
    speedup=Speedup(median=3.0, low=2.5, high=3.5),
    end_to_end_speedup=Speedup(median=2.0, low=1.5, high=2.5),
    control=Speedup(median=1.0, low=0.875, high=1.125),
    ran={},
    conditions={"seconds": 10.0, "steal": 0.0, "foreign": [], "settled": True},
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
        {
            "name": "finetune",
            "kind": "finetune",
            "key": "00",
            "cached": True,
            "computed_s": 60.0,
            "params": 2000,
            "size_mb": 6.0,
            "scores": {"exact_match": 0.75},
            "delta": {},
        },
        {
            "name": "width",
            "kind": "width",
            "key": "01",
            "cached": False,
            "computed_s": 2.0,
            "params": 500,
            "size_mb": 1.5,
            "scores": {"exact_match": 0.5},
            "delta": {"previous": {"exact_match": -0.25}, "baseline": {"exact_match": -0.25}},
            "found": {"told": ["unknown tokens on dev 1.00 % → 2.00 %"]},
        },
    ],
    primary="exact_match",
    scores={"exact_match": 0.5},
    baseline_scores={"exact_match": 0.625},
    measurement=MEASURED,
    baseline_measurement=replace(MEASURED, size_mb=6.0),
)
