"""What PyTorch ran: the operations that reached a device, and what was compiled or captured of them."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pare.runtimes import torch_session
from pare.runtimes.nodes import NAMED, Node, product, told

PRECISIONS = {
    torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64",
    torch.int8: "int8", torch.uint8: "int8",
}  # fmt: skip
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "_int_mm", "_linear_pointwise")
ATTENTIONS = "scaled_dot_product"
#: shapes and views, which compute nothing
VIEWS = (
    "view", "_unsafe_view", "t", "transpose", "unsqueeze", "squeeze", "slice", "select", "expand", "permute",
    "reshape", "sym_size", "alias", "detach", "split", "as_strided",
)  # fmt: skip


class Session(torch_session.Session):
    """Tells what ran."""

    def __init__(
        self, file: str, device: str = "cpu", threads: int = 1, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(file, device, threads, options)
        self.counted = counted() if self.how == "compile" else {}

    def evidence(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """Operation by operation, besides the runs that are timed.

        `compiled`: how many graphs torch.compile made, and how often it gave up; or how many were captured.
        """
        self.run(ids, mask)
        begun = time.perf_counter()
        self.run(ids, mask)
        build_s = self.load_s + max(0.0, self.first_s - (time.perf_counter() - begun))
        found = told(nodes(self.module, ids, mask, self.device), {self.device}, build_s)
        compiled = {"graphs": len(self.captured), "breaks": 0}
        if self.how == "compile":
            now, before = counted(), self.counted
            compiled = {name: now[name] - before[name] for name in now}
        if self.how != "eager" and not compiled["graphs"]:
            found["fell_back"] = [f"eager, not {self.how}", *found["fell_back"]][:NAMED]
            found["fell_back_count"] += 1
        return {**found, "compiled": {"how": self.how, **compiled}}


def counted() -> dict[str, int]:
    """What torch.compile did so far in this process."""
    counters = torch._dynamo.utils.counters
    breaks = sum(counters["graph_break"].values())
    return {"graphs": int(counters["stats"]["unique_graphs"]), "breaks": int(breaks)}


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
    """Notes what reaches a device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.found: list[Node] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        kernel = str(func).split(".")[1]  # aten.addmm.default
        if kernel not in VIEWS:
            self.found.append(node(len(self.found), kernel, args, result))
        return result


def nodes(module: torch.nn.Module, ids: np.ndarray, mask: np.ndarray, device: str) -> list[Node]:
    """The operations of one call, composite ones taken apart as PyTorch itself does."""
    watch = Watch()
    given = [torch.from_numpy(array.astype(np.int64)).to(device) for array in (ids, mask)]
    with torch.no_grad(), watch:  # in inference mode composite operations arrive whole
        module(*given)
    return watch.found


def node(number: int, kernel: str, args: Any, result: Any) -> Node:
    given = [value for value in args if isinstance(value, Tensor)]
    out = result[0] if isinstance(result, (tuple, list)) else result
    device = out.device.type if isinstance(out, Tensor) else "cpu"
    if ATTENTIONS in kernel and len(given) >= 2:
        query, key = given[0], given[1]
        work = 2 * product([*query.shape[:-1], key.shape[-2]], query.shape[-1])
        return Node(str(number), kernel, device, PRECISIONS.get(query.dtype, str(query.dtype)), work)
    if kernel in PRODUCTS and len(given) >= 2:
        left = given[1] if kernel in ("addmm", "baddbmm") else given[0]
        precision = PRECISIONS.get(left.dtype, str(left.dtype))
        return Node(str(number), kernel, device, precision, product(list(out.shape), left.shape[-1]))
    return Node(str(number), kernel, device)
