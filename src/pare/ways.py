"""One strategy on each runtime that is here, and several on one: what is chosen from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pare.encoders.model import Model
from pare.encoders.size import parameters_of
from pare.errors import ConfigError
from pare.lowering.onnx_export import too_large
from pare.stages.export import Export
from pare.stages.half import Half
from pare.stages.nncf import Nncf
from pare.stages.quantize import Quantize
from pare.stages.stage import Stage
from pare.strategy import Strategy, mistakes, obstacles, problems
from pare.targets.hardware import Automatic, Hardware

#: settings of `quantize` that `nncf` has in no form; what both call `activations` are other statistics
WITHOUT_COUNTERPART = ("activations", "weight_bits", "embeddings", "keep_sensitive")


@dataclass(frozen=True)
class Way:
    """A target, and the strategy that ends there."""

    hardware: Hardware
    strategy: Strategy


def ways(
    strategy: Strategy, hardware: Hardware, where: str, elsewhere: bool = False, model: Model | None = None
) -> tuple[list[Way], list[str]]:
    """Those that can work, and why the others cannot, one line each.

    where: the strategy's config key. elsewhere: whether other machines could, whatever this one has.
    model: what is fine-tuned, where it can be had.
    """
    if not isinstance(hardware, Automatic):
        impossible = [*problems(strategy, hardware, where), *unable_to_hold(model, hardware)]
        return ([] if impossible else [Way(hardware, strategy)]), impossible
    found, reasons = [], []
    for target in hardware.candidates():
        try:
            translated = [(name, on(stage, f"{where}.{name}", target)) for name, stage in strategy]
            if not elsewhere:
                target.check()
            impossible = [*problems(translated, target, where), *unable_to_hold(model, target)]
        except ConfigError as e:
            impossible = list(e.problems)
        if not impossible:
            found.append(Way(target, translated))
        reasons += [f"hardware={hardware.name}, {target.way}: {line}" for line in impossible]
    return found, reasons


def unable_to_hold(model: Model | None, target: Hardware) -> list[str]:
    """Why the fine-tuned model, which whatever comes of it is measured against, has no graph there."""
    if model is None or target.runs == "program" or (count := parameters_of(model)) is None:
        return []
    why = too_large(count)
    return [f"model.path: {model.name}: {why}"] if why else []


def able(
    strategies: Mapping[str, Strategy], target: Hardware, where: str
) -> tuple[dict[str, Strategy], dict[str, str]]:
    """Those that the target can run, as it would have them, and why it cannot run each of the others.

    One that no target could run stays as it is, with its mistakes. where: the config key of them all.
    """
    found: dict[str, Strategy] = {}
    reasons: dict[str, str] = {}
    for name, strategy in strategies.items():
        before = f"{where}.{name}"
        if mistakes(strategy, before):
            found[name] = strategy
            continue
        try:
            translated = [(kind, on(stage, f"{before}.{kind}", target)) for kind, stage in strategy]
            impossible = obstacles(translated, target, before)
        except ConfigError as e:
            impossible = list(e.problems)
        if impossible:
            reasons[name] = "; ".join(line.removeprefix(f"{before}.") for line in impossible)
        else:
            found[name] = translated
    return found, reasons


def on(stage: Stage, where: str, target: Hardware) -> Stage:
    """What does the same for another runtime; a strategy is written for ONNX Runtime."""
    if target.standard_operators:
        return in_standard_operators(stage)
    if target.runs == "onnx" or "onnx" not in (stage.accepts, stage.produces):
        return stage
    if isinstance(stage, Export):
        if target.runs == "openvino":  # it finds attention itself, and NNCF knows its way around this
            return replace(stage, format="openvino", lowering="plain")
        return replace(stage, format="program")
    if isinstance(stage, Quantize) and target.runs == "openvino":
        if lost := [name for name in WITHOUT_COUNTERPART if getattr(stage, name) != getattr(Quantize, name)]:
            told = ", ".join(f"{name}={getattr(stage, name)}" for name in lost)
            raise ConfigError(f"{where}: OpenVINO's INT8 has nothing like {told}")
        return Nncf(
            gate=stage.gate,
            escalation=stage.escalation,
            weights=stage.weights,
            calibration_rows=stage.calibration_rows,
            sampling=stage.sampling,
            keep_float=stage.keep_float,
        )
    raise ConfigError(f"{where}: {stage.kind} is for ONNX graphs only")


def in_standard_operators(stage: Stage) -> Stage:
    """What does the same in operators of ONNX's own, if anything does."""
    if isinstance(stage, Export):
        return replace(stage, lowering="plain")
    if isinstance(stage, Half):
        return replace(stage, fuse=False)
    if isinstance(stage, Quantize):
        return replace(stage, lowering="qdq")
    return stage
