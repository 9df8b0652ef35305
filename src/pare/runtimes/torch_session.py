"""A program run by PyTorch alone. Imports little else: measuring processes and bundles load nothing besides.

A program is two files: its operations as JSON, and its weights as safetensors. Loading runs no code of
theirs, and running it can only compute: an operation is one of those of ATen's that are listed here, or the
program is refused. What torch.export.load reads may hold a pickle, which can run anything.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

if TYPE_CHECKING or __name__.startswith("pare."):
    from pare.feeding import feed
elif __package__:  # beside this file, in a bundle whose folder is imported from
    from .feeding import feed
else:
    from feeding import feed

SCHEMA = "pare/program@1"
INPUTS = ("input_ids", "attention_mask")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
#: a list, since ATen has operations that open files (from_file) and write them (save)
OPERATIONS = """
    __and__ __or__ abs add addmm amax amin arange argmax baddbmm bitwise_and bitwise_not bitwise_or
    bmm cat chunk clamp clone constant_pad_nd cos cumsum div embedding eq erf exp expand flatten
    full full_like gather ge gelu glu gt index index_select layer_norm le leaky_relu linear log
    logical_and logical_not logical_or lt masked_fill matmul maximum mean minimum mm mul narrow ne
    neg new_full new_ones new_zeros ones ones_like pad permute pow reciprocal relu repeat reshape
    rms_norm roll rsqrt rsub scaled_dot_product_attention select sigmoid silu sin slice softmax
    split split_with_sizes sqrt squeeze stack sub sum sym_size t tanh to transpose tril triu type_as
    unflatten unsqueeze view where zeros zeros_like
"""
STEP = 16  # tokens; a graph is captured for each multiple


class Session:
    """One device, a fixed number of threads.

    options: "compile": "eager", operation by operation; "compile", by torch.compile for all shapes at once;
    "graphs", CUDA graphs, one for each shape up to a power of two of texts and a multiple of 16 tokens.
    """

    def __init__(
        self, file: str, device: str = "cpu", threads: int = 1, options: Mapping[str, Any] | None = None
    ) -> None:
        self.file, self.device, self.threads, self.options = file, device, threads, dict(options or {})
        self.how = str(self.options.get("compile", "eager"))
        if self.how not in ("eager", "compile", "graphs"):
            raise ValueError(f"compile={self.how}: one of eager, compile, graphs")
        if self.how == "graphs" and device != "cuda":
            raise RuntimeError(f"CUDA graphs need a GPU; the device is {device}")
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("PyTorch finds no GPU here")
        begun = time.perf_counter()
        program = json.loads(Path(file).read_text(encoding="utf-8"))
        if program.get("schema") != SCHEMA:
            raise RuntimeError(f"{file}: schema {program.get('schema')!r}, expected {SCHEMA!r}")
        self.names: list[str] = program["outputs"]
        self.longest = int(program["longest"])
        self.module = loaded(program, tensors(Path(file).with_suffix(".safetensors"), device), device)
        if self.how == "eager" and device == "cpu" and torch._C._has_mkldnn:
            pack(self.module)  # torch.compile takes no packed weights
        self.call: Any = torch.compile(self.module, dynamic=True) if self.how == "compile" else self.module
        self.captured: dict[tuple[int, int], Captured] = {}
        self.pool = torch.cuda.graph_pool_handle() if self.how == "graphs" else None  # type: ignore[no-untyped-call,unused-ignore]
        self.load_s, self.first_s = time.perf_counter() - begun, 0.0

    def run(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Logits by output name."""
        texts, tokens = ids.shape
        shape = bucket(texts, tokens, self.longest) if self.how == "graphs" else (None, None)
        begun = time.perf_counter()
        answers: dict[str, np.ndarray] = feed(self._run, self.names, shape, np.int64, ids, mask)
        self.first_s = self.first_s or time.perf_counter() - begun  # compiling and capturing included
        return answers

    def close(self) -> None:
        """Frees what the program holds, on the device as well."""
        self.captured.clear()
        del self.module, self.call
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        given = [torch.from_numpy(inputs[name]) for name in INPUTS]
        with torch.inference_mode():
            if self.how == "graphs":
                found = self._graph(given[0].shape)(given)
            else:
                found = self.call(*(tensor.to(self.device) for tensor in given))
            return [value.cpu().numpy() for value in found]

    def _graph(self, shape: Sequence[int]) -> "Captured":
        texts, tokens = shape
        if (texts, tokens) not in self.captured:
            self.captured[texts, tokens] = Captured(self.module, texts, tokens, self.pool)
        return self.captured[texts, tokens]


class Captured:
    """All kernels of one shape, launched at once."""

    def __init__(self, module: nn.Module, texts: int, tokens: int, pool: Any) -> None:
        self.inputs = [torch.ones((texts, tokens), dtype=torch.int64, device="cuda") for _ in INPUTS]
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call,unused-ignore]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):  # libraries choose their kernels and take their workspaces first
                module(*self.inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            self.outputs: Sequence[Tensor] = module(*self.inputs)

    def __call__(self, given: Sequence[Tensor]) -> Sequence[Tensor]:
        for place, tensor in zip(self.inputs, given, strict=True):
            place.copy_(tensor)
        self.graph.replay()  # type: ignore[no-untyped-call,unused-ignore]
        return self.outputs


def bucket(texts: int, tokens: int, longest: int) -> tuple[int, int]:
    """The shape that a batch is padded to, so that few graphs serve all."""
    most = -(-tokens // STEP) * STEP
    return 1 << (texts - 1).bit_length(), max(tokens, min(most, longest))


def tensors(file: Path, device: str) -> dict[str, Tensor]:
    """The weights of a safetensors file: a header in JSON, then plain numbers."""
    content = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    found = {}
    for name, told in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        dtype, (first, last) = DTYPES[told["dtype"]], told["data_offsets"]
        count = (last - first) // dtype.itemsize
        flat = torch.frombuffer(content, dtype=dtype, count=count, offset=start + first)
        found[name] = flat.reshape(told["shape"]).to(device, copy=True)
    return found


def loaded(program: Mapping[str, Any], weights: Mapping[str, Tensor], device: str) -> fx.GraphModule:
    """The program as a module; its operations are looked up in ATen and nowhere else."""
    root, graph = nn.Module(), fx.Graph()
    values: dict[str, fx.Node] = {name: graph.placeholder(name) for name in INPUTS}
    held: dict[str, fx.Node] = {}
    for number, (name, weight) in enumerate(weights.items()):
        root.register_buffer(f"weight_{number}", weight)
        held[name] = graph.get_attr(f"weight_{number}")

    def value(told: Any) -> Any:
        if isinstance(told, list):
            return [value(part) for part in told]
        if not isinstance(told, dict):
            return told
        ((kind, content),) = told.items()
        if kind == "value":
            return values[content]
        if kind == "weight":
            return held[content]
        if kind == "device":
            return torch.device(device)
        if kind == "float":
            return float(content)
        if kind in ("dtype", "memory_format"):
            found = getattr(torch, content)
            if isinstance(found, (torch.dtype, torch.memory_format)):
                return found
        raise RuntimeError(f"the program has a value that is none: {told!r}")

    for node in program["nodes"]:
        arguments = tuple(value(part) for part in node["args"])
        named = {str(name): value(part) for name, part in node["kwargs"].items()}
        values[node["name"]] = graph.call_function(operation(node["op"]), arguments, named)
    graph.output(tuple(values[name] for name in program["results"]))
    return fx.GraphModule(root, graph).eval()


def pack(module: fx.GraphModule) -> None:
    """Linear maps become oneDNN's, their weights laid out once as it multiplies them and GELU inside.

    PyTorch's own lay out 16-bit weights anew in every call, and leave FP32 to MKL, which is half as quick on
    AMD.
    """
    onednn, graph = torch.ops.mkldnn, module.graph
    supported = {
        torch.float32: True,
        torch.bfloat16: onednn._is_mkldnn_bf16_supported(),
        torch.float16: onednn._is_mkldnn_fp16_supported(),
    }
    for linear in graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default):
        values, weight, bias = (*linear.args, None)[:3]
        if weight.op != "get_attr" or not supported.get(getattr(module, weight.target).dtype):
            continue
        last = linear
        kind: tuple[str, list[float], str] = ("none", [], "")
        after = list(linear.users)
        if len(after) == 1 and after[0].target is torch.ops.aten.gelu.default:
            last, kind = after[0], ("gelu", [], after[0].kwargs.get("approximate", "none"))
        packed = f"{weight.target}_packed"
        module.register_buffer(packed, onednn._reorder_linear_weight(getattr(module, weight.target)))
        with graph.inserting_before(linear):
            given = (values, graph.get_attr(packed), bias, *kind)
            last.replace_all_uses_with(graph.call_function(onednn._linear_pointwise.default, given))
        for node in dict.fromkeys((last, linear)):
            graph.erase_node(node)
        if not weight.users:
            graph.erase_node(weight)
            delattr(module, weight.target)
    module.recompile()


def operation(name: str) -> Any:
    """One of ATen's by its name, such as linear.default; it must only compute."""
    packet, _, overload = name.partition(".")
    found = (
        getattr(getattr(torch.ops.aten, packet), overload or "-", None)
        if packet in OPERATIONS.split()
        else None
    )
    if not isinstance(found, torch._ops.OpOverload) or found._schema.is_mutable:
        raise RuntimeError(f"the program names an operation that is not allowed: {name!r}")
    return found
