"""The machine's own matrix-multiply peak, in a process that multiplies large square matrices when asked to.

Reads {"device": …, "threads": …} and then names of precisions on stdin, and answers each with
floating-point operations a second, or null where PyTorch has no fast way to multiply in it here.
"""

import json
import sys
import time
from collections.abc import Callable

from pare.targets.arm import end_with_parent, pin, say

SIZE = {"cpu": 1536, "cuda": 8192}
REPEATS = 3


def main() -> None:
    end_with_parent()
    given = json.loads(sys.stdin.readline())
    device, threads = given["device"], given["threads"]
    pin(device, threads)
    import torch

    torch.set_num_threads(threads)
    say(True)
    for line in sys.stdin:
        say(peak(line.strip(), device))


def peak(precision: str, device: str) -> float | None:
    """The best of a few: what disturbs only makes it slower."""
    import torch

    if (precision, device) == ("fp16", "cpu"):  # emulated, a hundred times slower than FP32
        return None
    if device == "cuda" and not torch.cuda.is_available():  # its build may be for CPUs, beside a runtime's
        return None
    try:
        return fastest(precision, device)
    except RuntimeError:  # a card that has no such kernel, or no room left for the matrices
        return None


def fastest(precision: str, device: str) -> float | None:
    import torch

    size = SIZE[device]
    if precision == "int8":
        sides = [torch.randint(-127, 127, (size, size), dtype=torch.int8, device=device) for _ in "ab"]
        ways: list[Callable[[], object]] = [lambda: torch._int_mm(*sides)]
    else:
        kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
        if precision not in kinds:
            return None
        sides = [torch.randn(size, size, device=device).to(kinds[precision]) for _ in "ab"]
        ways = [lambda: torch.mm(*sides)]
        if (precision, device) == ("fp32", "cpu") and torch._C._has_mkldnn:
            blocked = [side.to_mkldnn() for side in sides]
            # MKL, behind `mm`, leaves half of what AMD's cores can do to oneDNN
            ways.append(lambda: torch.nn.functional.linear(*blocked))
    seconds = []
    for way in ways * REPEATS:
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        way()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)
