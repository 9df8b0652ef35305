"""One network -> one program that PyTorch runs alone: ATen's operations as JSON, weights as safetensors.

torch.export writes an archive of its own; reading one may unpickle, and so run, anything. What it traces are
a hundred plain operations, which JSON holds as well.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import InputKind
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from pare.encoders.network import Network
from pare.errors import StageFailed
from pare.files import write_json
from pare.lowering.attention import FAR, attention, near, window_of
from pare.lowering.onnx_export import AsTuple
from pare.runtimes.torch_session import INPUTS, SCHEMA, operation

NAME = "pare_masked"
Precision = Literal["fp32", "fp16", "bf16"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

#: what a trained network computes in vain: the answer is the first argument
IDENTITIES = (
    "dropout.default",
    "alias.default",
    "detach.default",
    "contiguous.default",
    "lift_fresh.default",
)
CHECKS = ("_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size", "_assert_async")
#: how a tensor lies in memory is the runtime's business
LEFT_OUT = ("layout", "pin_memory")


@dataclass(frozen=True)
class Operation:
    """One line of a program. args, kwargs: JSON, see `pare.runtimes.torch_session`."""

    name: str
    op: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "op": self.op, "args": self.args, "kwargs": self.kwargs}


@dataclass(frozen=True)
class Program:
    """Operations in order, the values that are its results, and its weights."""

    operations: Sequence[Operation]
    results: Sequence[str]
    weights: Mapping[str, Tensor]


class InFloat(AsTuple):
    """Logits in FP32, whatever the network computes in."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(value.float() for value in super().forward(input_ids, attention_mask))


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    size = window_of(module, sliding_window)
    seen = attention_mask if size is None else attention_mask & near(attention_mask, size)[None, None]
    # once for all layers, `shared` sees to it; and by arithmetic: no number comes from the host, whose copies
    # cannot be captured in a CUDA graph
    added = (seen.to(query.dtype) - 1.0) * -FAR
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=scaling)
    return mixed.transpose(1, 2), None


def real_tokens(*args: Any, attention_mask: Tensor, **rest: Any) -> Tensor:
    """(texts, 1, 1, tokens): who may be looked at, worked out once for all layers."""
    return (attention_mask != 0)[:, None, None, :]


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, real_tokens)


def to_program(network: Network, lowering: Literal["plain", "fused"], precision: Precision) -> Program:
    """Inputs input_ids and attention_mask, int64, (texts, tokens), both free. Alters the network.

    lowering: "fused" makes one linear map of those that read the same values, as query, key and value do.
    """
    network = network.to(DTYPES[precision])
    ids = torch.arange(16).remainder(int(network.encoder.config.vocab_size)).reshape(2, 8)
    longest = network.family.longest_text(network.encoder)
    free = {0: Dim("texts", min=1), 1: Dim("tokens", min=1, max=longest)}
    with attention(network.encoder, NAME), torch.no_grad():
        exported = export(
            InFloat(network).eval(), (ids, torch.ones_like(ids)), dynamic_shapes=(free, dict(free))
        )
    program = needed(shared(read(exported)))
    return needed(joined(program)) if lowering == "fused" else program


def read(exported: ExportedProgram) -> Program:
    """What was traced, without checks and identities."""
    names, weights = stored(exported)
    renamed: dict[str, Any] = {}
    found: list[Operation] = []
    results: Sequence[str] = ()
    places = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}

    def plain(value: Any) -> Any:
        return as_json(value, renamed)

    for node in exported.graph.nodes:
        if node.op == "placeholder":
            spec = places[node.name]
            given = spec.kind == InputKind.USER_INPUT
            renamed[node.name] = {"value": node.name} if given else {"weight": names[str(spec.target)]}
        elif node.op == "output":
            results = [renamed[part.name]["value"] for part in node.args[0]]
        elif node.op == "call_function":
            op = str(node.target).removeprefix("aten.")
            if op.partition(".")[0] in CHECKS:
                continue
            if op in IDENTITIES:
                renamed[node.name] = plain(node.args[0])
                continue
            alters = alters_its_input(op)
            op = op.replace("_.", ".", 1) if alters else op
            check_allowed(op, node)
            args = [plain(value) for value in node.args]
            kwargs = {k: plain(v) for k, v in node.kwargs.items() if k not in LEFT_OUT}
            if op in ("to.device", "to.dtype_layout"):  # the device is the runtime's choice
                dtype = args[2] if op == "to.device" else kwargs["dtype"]
                op, args, kwargs = "to.dtype", [args[0], dtype], {}
            found.append(Operation(node.name, op, args, kwargs))
            made = {"value": node.name}
            if alters:  # whoever reads its input from here on reads what became of it
                renamed |= {name: made for name, value in renamed.items() if value == args[0]}
            renamed[node.name] = made
    return Program(found, results, weights)


def alters_its_input(op: str) -> bool:
    """Whether it writes its answer over its first argument, as add_.Tensor does."""
    name = op.partition(".")[0]
    return name.endswith("_") and not name.endswith("__")


def check_allowed(op: str, node: fx.Node) -> None:
    try:
        operation(op)
    except RuntimeError:
        raise StageFailed(
            f"export: the network computes {node.target}, which a program cannot hold"
        ) from None


def stored(exported: ExportedProgram) -> tuple[dict[str, str], dict[str, Tensor]]:
    """(the name each tensor is stored under, the tensors): equal ones are stored once."""
    every = {**exported.state_dict, **exported.constants}
    first: dict[tuple[Any, ...], str] = {}
    names, weights = {}, {}
    for name, tensor in every.items():
        value = tensor.detach().cpu().contiguous()
        content = sha256(value.flatten().view(torch.uint8).numpy()).digest()
        key = (value.dtype, tuple(value.shape), content)
        names[name] = first.setdefault(key, name)
        weights[names[name]] = value
    return names, weights


def as_json(value: Any, renamed: Mapping[str, Any]) -> Any:
    """An argument of a traced operation, see `pare.runtimes.torch_session`."""
    if isinstance(value, fx.Node):
        return renamed[value.name]
    if isinstance(value, (list, tuple)):
        return [as_json(part, renamed) for part in value]
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.memory_format):
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": "target"}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise StageFailed(f"export: a program cannot hold {value!r}")


def shared(program: Program) -> Program:
    """What is computed from the same values is computed once."""
    first: dict[str, str] = {}
    renamed: dict[str, str] = {}
    kept = []
    for operation_ in program.operations:
        new = replace(
            operation_, args=rename(operation_.args, renamed), kwargs=rename(operation_.kwargs, renamed)
        )
        key = json.dumps([new.op, new.args, new.kwargs], sort_keys=True)
        renamed[new.name] = first.setdefault(key, new.name)
        if renamed[new.name] == new.name:
            kept.append(new)
    return Program(kept, [renamed.get(name, name) for name in program.results], program.weights)


def rename(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, (list, tuple)):
        return [rename(part, names) for part in value]
    if isinstance(value, Mapping):
        if set(value) == {"value"}:
            return {"value": names.get(value["value"], value["value"])}
        return {name: rename(part, names) for name, part in value.items()}
    return value


def values_in(value: Any, kind: Literal["value", "weight"]) -> set[str]:
    """The values, or weights, that arguments name."""
    if isinstance(value, (list, tuple)):
        return {name for part in value for name in values_in(part, kind)}
    if isinstance(value, Mapping):
        if set(value) == {kind}:
            return {value[kind]}
        return {name for part in value.values() for name in values_in(part, kind)}
    return set()


def needed(program: Program) -> Program:
    """Without what no result depends on."""
    wanted = set(program.results)
    kept = []
    for operation_ in reversed(program.operations):
        if operation_.name in wanted:
            kept.append(operation_)
            wanted |= values_in([operation_.args, operation_.kwargs], "value")
    read_ = {name for o in kept for name in values_in([o.args, o.kwargs], "weight")}
    weights = {name: tensor for name, tensor in program.weights.items() if name in read_}
    return Program(kept[::-1], program.results, weights)


def joined(program: Program) -> Program:
    """Linear maps of the same values become one, whose answer is then split."""
    groups: dict[str, list[Operation]] = {}
    for operation_ in program.operations:
        if operation_.op == "linear.default" and not values_in(operation_.args[1:], "value"):
            groups.setdefault(json.dumps([operation_.args[0], len(operation_.args)]), []).append(operation_)
    together = {
        group[0].name: group
        for group in groups.values()
        if len(group) > 1 and no_result(group, program.results)
    }
    members = {member.name for group in together.values() for member in group}
    weights, kept = dict(program.weights), []
    for operation_ in program.operations:
        group = together.get(operation_.name)
        if group is not None:
            kept += one_map(group, weights)
        elif operation_.name not in members:
            kept.append(operation_)
    return Program(kept, program.results, weights)


def no_result(group: Sequence[Operation], results: Sequence[str]) -> bool:
    """Heads stay as they are: casts to FP32 follow them, and bundles of many small maps gain nothing."""
    return not any(member.name in results for member in group)


def one_map(group: Sequence[Operation], weights: dict[str, Tensor]) -> list[Operation]:
    """The joint map and the parts of its answer; adds its weights."""
    first = group[0]
    name, arguments = f"{first.name}_joined", [first.args[0]]
    for place in range(1, len(first.args)):
        parts = [weights[member.args[place]["weight"]] for member in group]
        stored_as = f"{name}.{('weight', 'bias')[place - 1]}"
        weights[stored_as] = torch.cat(parts)
        arguments.append({"weight": stored_as})
    found = [Operation(name, first.op, arguments, {})]
    start = 0
    for member in group:
        rows = len(weights[member.args[1]["weight"]])
        cut = [{"value": name}, -1, start, start + rows]
        found.append(Operation(member.name, "slice.Tensor", cut, {}))
        start += rows
    return found


def as_document(program: Program, network: Network, precision: Precision) -> dict[str, Any]:
    """All but the weights, as JSON."""
    return {
        "schema": SCHEMA,
        "precision": precision,
        "longest": network.family.longest_text(network.encoder),
        "inputs": list(INPUTS),
        "outputs": [output.name for output in network.outputs],
        "results": list(program.results),
        "nodes": [operation_.as_json() for operation_ in program.operations],
    }


def save(program: Program, network: Network, precision: Precision, file: Path) -> None:
    """Writes `file` and, beside it, its weights."""
    write_json(file, as_document(program, network, precision))
    weights = {name: tensor.contiguous() for name, tensor in program.weights.items()}
    save_file(weights, file.with_suffix(".safetensors"))
