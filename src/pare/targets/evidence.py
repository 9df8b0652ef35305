"""What a measurement may call itself: what ran, held against what was asked for."""

from collections.abc import Mapping
from typing import Any

from pare.errors import StageFailed
from pare.targets.hardware import Hardware

#: who computes on a device, as runtimes name them
PROVIDERS = {
    "cpu": {"CPUExecutionProvider", "CPU", "cpu"},
    "cuda": {"CUDAExecutionProvider", "TensorrtExecutionProvider", "cuda"},
}
MOSTLY = 0.5  # of the multiply-accumulates


def ran_as(precision: str, hardware: Hardware, evidence: Mapping[str, Any]) -> str:
    """The precision in which most of the work was done, and what was asked for where that is another.

    precision: what the graph says of itself. hardware: where it should run. evidence: `Session.evidence`.
    Raises StageFailed where matrices were multiplied on another device: that is another measurement.
    """
    device = hardware.device
    elsewhere = {
        name: share for name, share in evidence["matmuls_on"].items() if name not in PROVIDERS[device]
    }
    if elsewhere:
        found = ", ".join(f"{share:.0%} on {name}" for name, share in elsewhere.items())
        raise StageFailed(
            f"measuring: hardware.device={device} was asked for, but of the matrix multiplications {found} "
            f"ran ({evidence['fell_back_count']} nodes fell back, such as {_some(evidence['fell_back'])})"
        )
    most, doubt = computed_in(precision, evidence)
    told = "; ".join(filter(None, (doubt, instead(hardware, evidence))))
    return f"{most} ({told})" if told else most


def computed_in(precision: str, evidence: Mapping[str, Any]) -> tuple[str, str]:
    """The precision of most of the work, and what to know of that; nothing where it is as it was asked."""
    shares: Mapping[str, float] | None = evidence["matmuls"]
    if shares is None:
        outside = ", ".join(evidence["outside"])
        hidden = f"outside the engine: {outside}" if outside else "the engine does not show its kernels"
        return precision, f"asked; {hidden}"
    most = max(shares, key=lambda name: shares[name], default=precision)
    share = shares.get(precision, 0.0)
    if share >= MOSTLY or most == precision:
        return precision, ""
    return most, f"{precision} asked, in {share:.0%} of the work" if share else f"{precision} asked"


def instead(hardware: Hardware, evidence: Mapping[str, Any]) -> str:
    """What took the place of the provider, or the way to compile, that was asked for."""
    ran: Mapping[str, int] = evidence["providers"]
    if hardware.runtime == "onnxruntime" and ran and hardware.provider not in ran:
        return f"{hardware.provider} asked, {max(ran, key=lambda name: ran[name])} ran"
    compiled = evidence.get("compiled")
    if compiled is not None and compiled["how"] != "eager" and not compiled["graphs"]:
        return f"{compiled['how']} asked, eager ran"
    return ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) or "none that is named"
