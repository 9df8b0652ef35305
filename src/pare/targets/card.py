"""What a GPU can do: which precisions it multiplies matrices in, how fast at most, with how much memory."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU by its datasheet; conf/hardware/ has those that are common.

    name: a word of the name that nvidia-smi tells, such as A100 of "NVIDIA A100-SXM4-80GB".
    tflops: of dense matrices, by precision, INT8 in tera-operations; what is not there the card cannot do.
    """

    name: str
    architecture: str
    compute_capability: str
    memory_gb: float
    bandwidth_gb_per_s: float
    tflops: Mapping[str, float]

    def __post_init__(self) -> None:
        for precision, peak in self.tflops.items():
            if precision not in PRECISIONS:
                raise ValueError(f"tflops.{precision}: no such precision; there are {', '.join(PRECISIONS)}")
            if peak <= 0:
                raise ValueError(f"tflops.{precision}={peak}: must be above 0")
        if "fp32" not in self.tflops:
            raise ValueError("tflops: fp32 is missing, which every GPU can do")

    @property
    def precisions(self) -> tuple[str, ...]:
        return tuple(p for p in PRECISIONS if p in self.tflops)

    def is_named(self, name: str) -> bool:
        """Whether nvidia-smi's name is that of such a card: "NVIDIA A100-PCIE-40GB" is an A100 and no A10."""
        return self.name.upper() in re.split(r"[^A-Z0-9]+", name.upper())

    def lacks(self, precision: str | None) -> str | None:
        """Why the card cannot compute in a precision; None where it can."""
        if precision is None or precision in self.tflops:
            return None
        return (
            f"{self.name} ({self.architecture}, compute capability {self.compute_capability}) has no "
            f"{precision.upper()} matrix units; it can {', '.join(self.precisions)}"
        )
