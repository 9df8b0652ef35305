"""Joules, where the device counts them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

RAPL = Path("/sys/class/powercap")

#: joules since some time in the past
Meter = Callable[[], float]


def meter(device: Literal["cpu", "cuda"]) -> Meter | None:
    """Of the CPU's packages (RAPL, which virtual machines seldom have) or the first GPU (NVML)."""
    return gpu_meter() if device == "cuda" else cpu_meter(RAPL)


def cpu_meter(root: Path) -> Meter | None:
    files = sorted(root.glob("intel-rapl:[0-9]/energy_uj"))
    try:
        for file in files:
            file.read_text(encoding="ascii")
    except OSError:
        return None  # only root may read them on many machines
    if not files:
        return None
    return lambda: sum(int(file.read_text(encoding="ascii")) for file in files) / 1e6


def gpu_meter() -> Meter | None:
    try:
        import pynvml  # nvidia-ml-py, where somebody installed it

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, no driver, or a card that does not count
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
