"""A strategy: its stages in order, and what makes one impossible."""

from collections.abc import Sequence

from pare.checkpoint import Format
from pare.stages.finetune import Finetune
from pare.stages.stage import Gate, Stage
from pare.targets.hardware import Hardware

Strategy = Sequence[tuple[str, Stage]]

BASELINE = "finetune"


def problems(strategy: Strategy, hardware: Hardware, where: str = "compression") -> list[str]:
    """What makes a strategy impossible, one line each; empty if it can work. where: its config key."""
    return [*mistakes(strategy, where), *obstacles(strategy, hardware, where)]


def mistakes(strategy: Strategy, where: str) -> list[str]:
    """What makes it impossible on any target."""
    found = []
    have: Format = Finetune.produces
    made_by = BASELINE
    for position, (name, stage) in enumerate(strategy):
        if stage.accepts != have:
            found.append(
                f"{where}.{name}: takes {stage.accepts}, but {made_by} before it makes {have}; "
                f"the order of the strategy is {[n for n, _ in strategy]}"
            )
            break
        if "model" not in stage.roles() and position > 0:
            lost = strategy[position - 1][0]
            found.append(
                f"{where}.{name}: starts a new student, so what {lost} made is thrown away; "
                f"drop it with ~compression/{lost}"
            )
        if stage.gate is not None:
            found += gate_problems(f"{where}.{name}", stage, stage.gate)
        have, made_by = stage.produces, name
    return [*found, *misordered(strategy, where)]


def misordered(strategy: Strategy, where: str) -> list[str]:
    """Stages that cannot read the graph as those before them leave it."""
    found = []
    precision, rounded_by, fixed_by = "fp32", "", ""
    for name, stage in strategy:
        if precision not in stage.takes:
            found.append(
                f"{where}.{name}: takes {' or '.join(stage.takes)}, but {rounded_by} before it makes "
                f"{precision}; drop one of them"
            )
        if stage.runs_it and fixed_by:
            found.append(
                f"{where}.{name}: runs texts of any length, which a graph no longer takes after {fixed_by}; "
                f"put {fixed_by} last"
            )
        if stage.computes is not None:
            precision, rounded_by = stage.computes, name
        if stage.fixed:
            fixed_by = name
    return found


def obstacles(strategy: Strategy, hardware: Hardware, where: str) -> list[str]:
    """What makes it impossible on this target."""
    found = []
    for name, stage in strategy:
        if hardware.device not in stage.devices:
            found.append(
                f"{where}.{name}: what {stage.kind} makes runs on {', '.join(stage.devices)}, "
                f"not on hardware={hardware.name} ({hardware.device})"
            )
        elif refused := hardware.refuses(stage.computes):
            found.append(f"{where}.{name}: makes {stage.computes}, but {refused}")
        elif hardware.standard_operators and not stage.standard:
            found.append(
                f"{where}.{name}: makes operators of ONNX Runtime's own, which TensorRT does not know; "
                "take lowering: plain (export), lowering: qdq (quantize), fuse: false (half)"
            )
    made: list[Format] = [Finetune.produces, *(stage.produces for _, stage in strategy)]
    in_order = all(stage.accepts == have for (_, stage), have in zip(strategy, made, strict=False))
    if in_order and made[-1] != hardware.runs:  # else `mistakes` has told what is wrong with the end
        last = strategy[-1][0] if strategy else BASELINE
        found.append(
            f"hardware.{hardware.name}: {hardware.runtime} runs {hardware.runs} checkpoints, but the "
            f"strategy ends with {last}, which makes {made[-1]}; "
            f"take compression/export={hardware.export} and what it goes with"
        )
    return found


def doubts(strategy: Strategy, hardware: Hardware, where: str = "compression") -> list[str]:
    """What will work and yet not bring what one expects of it, one line each."""
    return [
        f"{where}.{name}: makes {stage.computes}, but {doubt}"
        for name, stage in strategy
        if (doubt := hardware.doubts(stage.computes))
    ]


def emulated(strategy: Strategy, hardware: Hardware) -> str | None:
    """Why it cannot be quicker than the model as it is; None where it may."""
    for name, stage in strategy:
        if why := hardware.emulates(stage.computes):
            return f"{name}: makes {stage.computes}, but {why}"
    return None


def gate_problems(where: str, stage: Stage, gate: Gate) -> list[str]:
    if stage.produces == "cohort":
        return [f"{where}.gate: a cohort has no score; the gate belongs to the take stage after it"]
    if gate.on_fail == "skip" and stage.accepts != stage.produces:
        return [
            f"{where}.gate.on_fail: skip is impossible, what comes after needs {stage.produces}; "
            "allowed: stop, keep"
        ]
    if gate.on_fail == "escalate":
        return escalation_problems(where, stage.escalation)
    return []


def escalation_problems(where: str, dearer: Stage | None) -> list[str]:
    if dearer is None:
        return [f"{where}.gate.on_fail: escalate needs {where}.escalation, a dearer stage"]
    if (dearer.accepts, dearer.produces) != ("torch", "torch"):
        return [
            f"{where}.escalation: {dearer.kind} makes {dearer.produces} of {dearer.accepts}; it has to make "
            "a network of the last one (torch of torch), as qat does"
        ]
    if dearer.gate is not None:
        return [f"{where}.escalation.gate: nobody asks it; {where}.gate judges what comes of both"]
    return []


def devices_of(strategy: Strategy) -> tuple[str, ...]:
    """Where what a strategy makes can run."""
    return tuple(d for d in Stage.devices if all(d in stage.devices for _, stage in strategy))
