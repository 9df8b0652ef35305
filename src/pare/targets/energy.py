"""Joules, where the device counts them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pare.targets.nvml import first_gpu

RAPL = Path("/sys/class/powercap")
#: NVML counts anew every 20 to 100 ms, as the card has it: a twentieth of this at most
GPU_WINDOW_S = 2.0


@dataclass(frozen=True)
class Meter:
    """joules: since some time in the past. window_s: how much time tells something; 0: any will do."""

    joules: Callable[[], float]
    window_s: float = 0.0


def meter(device: Literal["cpu", "cuda"]) -> Meter | None:
    """Of the CPU's packages (RAPL, which virtual machines seldom have) or the GPU (NVML)."""
    return gpu_meter() if device == "cuda" else cpu_meter(RAPL)


class Domain:
    """A counter of RAPL's in microjoules, which begins again at 0 after the highest it can hold."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "energy_uj"
        self.range = 1 + number_in(folder / "max_energy_range_uj")
        self.last, self.spent = number_in(self.file), 0

    def joules(self) -> float:
        """Since it was made; asked for more often than it begins again, about once a minute."""
        now = number_in(self.file)
        self.spent += (now - self.last) % self.range
        self.last = now
        return self.spent / 1e6


def number_in(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def cpu_meter(root: Path) -> Meter | None:
    """All packages; the whole platform, psys, has them in it."""
    try:
        domains = [
            Domain(folder)
            for folder in sorted(root.glob("intel-rapl:[0-9]*"))
            if (folder / "name").read_text(encoding="ascii").startswith("package")
        ]
    except OSError:
        return None  # only root may read them on many machines
    return Meter(lambda: sum(domain.joules() for domain in domains)) if domains else None


def gpu_meter() -> Meter | None:
    try:
        pynvml, handle = first_gpu()
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no library, no driver, or a card that does not count
        return None
    return Meter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, GPU_WINDOW_S)
