"""What a measurement may call itself: what ran, held against what was asked for."""

from collections.abc import Mapping
from typing import Any

from pare.errors import StageFailed

#: who computes on a device, as runtimes name them
PROVIDERS = {
    "cpu": {"CPUExecutionProvider", "CPU", "cpu"},
    "cuda": {"CUDAExecutionProvider", "TensorrtExecutionProvider", "cuda"},
}
MOSTLY = 0.5  # of the multiply-accumulates


def ran_as(precision: str, device: str, evidence: Mapping[str, Any]) -> str:
    """The precision in which most of the work was done, and what was asked for where that is another.

    precision: what the graph says of itself. device: what was asked for. evidence: `Session.evidence`.
    Raises StageFailed where matrices were multiplied on another device: that is another measurement.
    """
    elsewhere = {
        name: share for name, share in (evidence["matmuls_on"] or {}).items() if name not in PROVIDERS[device]
    }
    if elsewhere:
        found = ", ".join(f"{share:.0%} on {name}" for name, share in elsewhere.items())
        raise StageFailed(
            f"measuring: hardware.device={device} was asked for, but of the matrix multiplications {found} "
            f"ran ({evidence['fell_back_count']} nodes fell back, such as {_some(evidence['fell_back'])})"
        )
    shares: Mapping[str, float] | None = evidence["matmuls"]
    if shares is None:
        if others := [name for name in evidence["outside"] if name != precision]:
            return f"{precision} (asked; outside the engine: {', '.join(others)})"
        return f"{precision} (asked; the engine does not show its kernels)"
    if not shares:
        return precision
    share = shares.get(precision, 0.0)
    most = max(shares, key=lambda name: shares[name])
    if share >= MOSTLY or most == precision:
        return precision
    if share == 0:
        return f"{most} ({precision} asked)"
    return f"{most} ({precision} asked, in {share:.0%} of the work)"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) or "none that is named"
