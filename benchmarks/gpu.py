"""What a GPU gives a program: eager, compiled, as CUDA graphs, in FP32, FP16 and BF16, beside other runtimes.

    python benchmarks/gpu.py [--quick] [--json FILE] [--device cpu] [--only bert_base]
    python benchmarks/gpu.py --export FOLDER; python benchmarks/gpu.py --programs FOLDER

BERT base and MiniLM (6 layers, 384 wide) with random weights, one text and 200 texts of 128 tokens. All arms
run in this process, in turn, round by round, on the same ids in the device's memory; a round's time is that
between two CUDA events, and wall time until the device is done beside it. ONNX Runtime and TensorRT take
their ids from the host and give their logits back to it, so they have wall time only, and are compared with
the arm that does so too; where they are not installed the reason is told.

A share of peak is of what this very chip reached on one large matrix multiplication in the same precision.
--device cpu: small shapes, to see that it runs. --export writes the programs without weights, which a
machine that has PyTorch and NumPy and nothing else can measure with --programs.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from running import Claim, report
from torch import Tensor

from pare.runtimes.torch_session import Captured, loaded

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
NAMES = {str(dtype).removeprefix("torch."): dtype for dtype in (*PRECISIONS.values(), torch.int64)}
#: ids and mask, in the device's memory
Call = Callable[[Tensor, Tensor], Any]


@dataclass(frozen=True)
class Model:
    """The shape of an encoder."""

    layers: int
    hidden: int
    heads: int
    ffn: int
    vocabulary: int = 30522
    positions: int = 512

    def flops(self, texts: int, tokens: int) -> float:
        """Of the linear maps and attention; an addition and a multiplication are two."""
        linear = 4 * self.hidden**2 + 2 * self.hidden * self.ffn
        attention = 2 * tokens * self.hidden
        return float(2 * texts * tokens * self.layers * (linear + attention))


MODELS = {"bert_base": Model(12, 768, 12, 3072), "minilm": Model(6, 384, 12, 1536)}
SHAPES = ((1, 128), (200, 128))
SMALL = {"small": Model(2, 64, 4, 128, 1000, 64)}
SMALL_SHAPES = ((1, 16), (8, 16))


@dataclass(frozen=True)
class Time:
    """Milliseconds a call; of one arm on one shape, by rounds. device: between two events, on a GPU."""

    wall: Sequence[float]
    device: Sequence[float]

    @property
    def best(self) -> Sequence[float]:
        return self.device or self.wall

    @property
    def ms(self) -> float:
        return statistics.median(self.best)


FROM_HOST = ", from the host"
Key = tuple[str, tuple[int, int], str, str]  # model, shape, arm, precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, help="where to write the claims")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", help="one of the models")
    parser.add_argument("--export", type=Path, help="write the programs there and measure nothing")
    parser.add_argument("--programs", type=Path, help="measure programs that --export wrote")
    given = parser.parse_args()
    models = MODELS if given.device == "cuda" else SMALL
    models = {name: model for name, model in models.items() if given.only in (None, name)}
    if given.export:
        given.export.mkdir(parents=True, exist_ok=True)
        for name, model in models.items():
            export(name, model, given.export)
        return
    if given.device == "cuda" and not torch.cuda.is_available():
        print("not run: PyTorch finds no GPU here")
        report("", claims({}, {}, models), given.json)
        return
    torch.manual_seed(0)
    times: dict[Key, Time] = {}
    skipped: dict[str, str] = {}
    for name, model in models.items():
        for shape in SHAPES if given.device == "cuda" else SMALL_SHAPES:
            with arms(name, model, shape, given.device, given.programs, skipped) as found:
                for (arm, precision), time_ in measured(found, model, shape, given).items():
                    times[name, shape, arm, precision] = time_
    peaks = {p: peak_tflops(dtype, given.device, given.quick) for p, dtype in PRECISIONS.items()}
    lines = [table(times, peaks, models), *(f"not run: {arm}: {why}" for arm, why in skipped.items())]
    report("\n".join(lines), claims(times, peaks, models), given.json)


@contextmanager
def arms(
    name: str,
    model: Model,
    shape: tuple[int, int],
    device: str,
    programs: Path | None,
    skipped: dict[str, str],
) -> Iterator[dict[tuple[str, str], Call]]:
    """What is timed, by arm and precision; notes in `skipped` what is not there."""
    found: dict[tuple[str, str], Call] = {}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        if programs is None:
            export(name, model, Path(folder))
            for precision, dtype in PRECISIONS.items():
                found["module", precision] = network(model).to(device, dtype)
        else:
            skipped["module"] = "--programs needs no transformers, and so has no module"
        for precision in PRECISIONS:
            file = (programs or Path(folder)) / f"{name}_{precision}.json"
            found |= {(arm, precision): call for arm, call in program_arms(file, shape, device).items()}
        if programs is None:
            found |= other_runtimes(model, Path(folder), device, skipped)
        yield found
    if device == "cuda":
        torch.cuda.empty_cache()


def program_arms(file: Path, shape: tuple[int, int], device: str) -> dict[str, Call]:
    program = json.loads(file.read_text(encoding="utf-8"))
    weights = {name: tensor(told, device) for name, told in program["weights"].items()}
    module = loaded(program, weights, device)
    one_shape = torch.compile(module, dynamic=False)
    found: dict[str, Call] = {
        "program": module,
        "compiled": torch.compile(module, dynamic=True),
        "compiled, one shape": one_shape,
    }
    if device == "cuda":
        for arm, call in (("CUDA graph", module), ("compiled, CUDA graph", one_shape)):
            graph = Captured(call, *shape, torch.cuda.graph_pool_handle())
            found[arm] = lambda ids, mask, graph=graph: graph((ids, mask))  # type: ignore[misc]
            found[f"{arm}{FROM_HOST}"] = around(graph)
    return found


def around(graph: Any) -> Call:
    """With the way to the device and back."""
    kept: dict[int, Tensor] = {}

    def call(ids: Tensor, mask: Tensor) -> Any:
        for value in (ids, mask):
            if id(value) not in kept:
                kept[id(value)] = value.cpu()
        return [value.cpu() for value in graph((kept[id(ids)], kept[id(mask)]))]

    return call


def tensor(told: Mapping[str, Any], device: str) -> Tensor:
    """Weights of a program that came without: small random numbers; whole numbers as they were."""
    dtype = NAMES[told["dtype"]]
    if "values" in told:
        return torch.tensor(told["values"], dtype=dtype, device=device).reshape(told["shape"])
    return (0.02 * torch.randn(told["shape"], device=device)).to(dtype)


def network(model: Model) -> Any:
    from pare.encoders.model import Architecture
    from pare.encoders.network import scratch
    from pare.outputs import Output

    shape = Architecture(
        layers=model.layers,
        hidden=model.hidden,
        heads=model.heads,
        ffn=model.ffn,
        positions=model.positions,
        vocabulary=model.vocabulary,
    )
    return scratch(shape, model.vocabulary, 0, (Output("label", ("a", "b")),)).eval()


def export(name: str, model: Model, folder: Path) -> None:
    """Writes the program of each precision, its weights by their shapes only."""
    from pare.lowering.torch_export import as_document, to_program

    for precision in PRECISIONS:
        made = network(model)
        program = to_program(made, "fused", precision)  # type: ignore[arg-type]
        weights = {}
        for key, value in program.weights.items():
            told = {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
            weights[key] = told if value.is_floating_point() else {**told, "values": value.flatten().tolist()}
        document = {**as_document(program, made, precision), "weights": weights}  # type: ignore[arg-type]
        (folder / f"{name}_{precision}.json").write_text(json.dumps(document), encoding="utf-8")


def other_runtimes(
    model: Model, folder: Path, device: str, skipped: dict[str, str]
) -> dict[tuple[str, str], Call]:
    """ONNX Runtime's providers, as far as they load; ids come from the host."""
    from importlib.util import find_spec

    if find_spec("onnxruntime") is None:
        skipped["onnxruntime"] = "not installed"
        return {}
    from pare.lowering.graph import save
    from pare.lowering.half import fused, to_half
    from pare.lowering.onnx_export import to_onnx
    from pare.runtimes.probe import loads
    from pare.runtimes.session import session_class
    from pare.targets.tensorrt import Shapes, options

    made = network(model)
    heads = [model.heads] * model.layers
    wanted: list[tuple[str, str, str, Any]] = []
    if device == "cpu":
        wanted.append(("onnxruntime", "fp32", "CPUExecutionProvider", lambda: to_onnx(made, "fused", 17)))
    else:
        cuda, tensorrt = "CUDAExecutionProvider", "TensorrtExecutionProvider"
        plain = lambda: to_onnx(made, "plain", 17)  # noqa: E731
        wanted += [
            ("onnxruntime", "fp32", cuda, lambda: to_onnx(made, "fused", 17)),
            (
                "onnxruntime",
                "fp16",
                cuda,
                lambda: to_half(fused(plain(), heads, model.hidden)[0], "fp16", ()),
            ),
            ("tensorrt", "fp32", tensorrt, plain),
            ("tensorrt", "fp16", tensorrt, lambda: to_half(plain(), "fp16", ())),
        ]
    found: dict[tuple[str, str], Call] = {}
    reasons = {provider: loads(provider) for _, _, provider, _ in wanted}
    for arm, precision, provider, graph in wanted:
        if (reason := reasons[provider]) is not None:
            skipped[arm] = f"{provider} did not load: {reason}"
            continue
        file = folder / f"{arm}_{precision}.onnx"
        save(graph(), file)
        told = {"CUDAExecutionProvider": {"use_tf32": "0"}, "CPUExecutionProvider": {}}
        shapes = Shapes(least=(1, 2), usual=(1, 128), most=(200, 128))
        told["TensorrtExecutionProvider"] = options(shapes, precision, None, "")
        session = session_class("onnxruntime")(
            str(file), device, torch.get_num_threads(), {"providers": [[provider, told[provider]]]}
        )
        found[arm, precision] = from_host(session)
    return found


def from_host(session: Any) -> Call:
    kept: dict[int, np.ndarray] = {}  # copied to the host once: the copy back to the device is the runtime's

    def call(ids: Tensor, mask: Tensor) -> Any:
        for value in (ids, mask):
            if id(value) not in kept:
                kept[id(value)] = value.cpu().numpy()
        return session.run(kept[id(ids)], kept[id(mask)])

    return call


def measured(
    found: Mapping[tuple[str, str], Call], model: Model, shape: tuple[int, int], given: argparse.Namespace
) -> dict[tuple[str, str], Time]:
    """All arms in turn, round by round."""
    ids = torch.randint(5, model.vocabulary, shape, device=given.device)
    mask = torch.ones_like(ids)
    rounds, calls = (5, 5) if given.quick else (15, 20)
    walls: dict[tuple[str, str], list[float]] = {key: [] for key in found}
    devices: dict[tuple[str, str], list[float]] = {key: [] for key in found}
    with torch.inference_mode():
        for key, call in found.items():
            print(f"warming up {shape[0]} x {shape[1]}, {', '.join(key)}", flush=True)
            for _ in range(5):
                call(ids, mask)
        for _ in range(rounds):
            for key, call in found.items():
                wall, device = block(call, ids, mask, calls, given.device)
                walls[key].append(wall)
                if device is not None and not by_the_clock(key[0]):
                    devices[key].append(device)
    return {key: Time(walls[key], devices[key]) for key in found}


def by_the_clock(arm: str) -> bool:
    """Whether an arm starts and ends on the host."""
    return arm in ("onnxruntime", "tensorrt") or arm.endswith(FROM_HOST)


def block(call: Call, ids: Tensor, mask: Tensor, calls: int, device: str) -> tuple[float, float | None]:
    """Milliseconds a call: by the clock until the device is done, and between two of its events."""
    if device == "cpu":
        begun = time.perf_counter()
        for _ in range(calls):
            call(ids, mask)
        return (time.perf_counter() - begun) * 1e3 / calls, None
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begun = time.perf_counter()
    first.record()
    for _ in range(calls):
        call(ids, mask)
    last.record()
    torch.cuda.synchronize()
    wall = (time.perf_counter() - begun) * 1e3 / calls
    return wall, first.elapsed_time(last) / calls


def peak_tflops(dtype: torch.dtype, device: str, quick: bool) -> float:
    """The best of several large multiplications."""
    side = 256 if device == "cpu" else 4096 if quick else 8192
    left, right = (torch.randn((side, side), device=device).to(dtype) for _ in range(2))
    best = min(
        min(t for t in block(lambda a, b: a @ b, left, right, 5, device) if t is not None) for _ in range(8)
    )
    return 2 * side**3 / (best * 1e-3) / 1e12


def table(times: Mapping[Key, Time], peaks: Mapping[str, float], models: Mapping[str, Model]) -> str:
    """One row an arm; ratios are medians over rounds against the eager module (else program) in FP32."""
    head = "| model | shape | arm | precision | ms | wall ms | over eager FP32 | of peak |"
    rows = [head, "|---" * 8 + "|"]
    for (name, shape, arm, precision), found in times.items():
        ratio = faster(times, name, shape, arm, precision, "fp32")
        share = models[name].flops(*shape) / (found.ms * 1e-3) / 1e12 / peaks[precision]
        device = f"{statistics.median(found.device):.3f}" if found.device else "–"
        wall = f"{statistics.median(found.wall):.3f}"
        rows.append(
            f"| {name} | {shape[0]} x {shape[1]} | {arm} | {precision} | {device} | {wall} | "
            f"{ratio:.2f}x | {100 * share:.0f} % |"
        )
    told = ", ".join(f"{name} {value:.3g}" for name, value in peaks.items())
    return "\n".join([*rows, "", f"peak of a matrix multiplication here, TFLOPS: {told}"])


def faster(
    times: Mapping[Key, Time],
    name: str,
    shape: tuple[int, int],
    arm: str,
    precision: str,
    than: str,
    over: str = "module",
) -> float | None:
    """How many times faster than the eager module in the precision `than`, paired by rounds."""
    found = times.get((name, shape, arm, precision))
    base = times.get((name, shape, over, than)) or times.get((name, shape, "program", than))
    if found is None or base is None:
        return None
    # what takes its ids from the host is compared by the clock
    one, other = (found.device, base.device) if found.device and base.device else (found.wall, base.wall)
    return statistics.median(b / f for f, b in zip(one, other, strict=True))


def fastest(times: Mapping[Key, Time], name: str, shape: tuple[int, int], precision: str) -> float | None:
    """Milliseconds of the best of PyTorch's arms."""
    found = [
        time_.ms
        for (its_name, its_shape, arm, its_precision), time_ in times.items()
        if (its_name, its_shape, its_precision) == (name, shape, precision)
        and arm != "module"
        and not by_the_clock(arm)
    ]
    return min(found) if found else None


def claims(times: Mapping[Key, Time], peaks: Mapping[str, float], models: Mapping[str, Model]) -> list[Claim]:
    one, many = SHAPES

    def share(name: str, precision: str) -> float | None:
        best = fastest(times, name, many, precision)
        if best is None:
            return None
        return models[name].flops(*many) / (best * 1e-3) / 1e12 / peaks[precision]

    def best_of(name: str, shape: tuple[int, int]) -> float | None:
        found = [ms for p in ("fp16", "bf16") if (ms := fastest(times, name, shape, p)) is not None]
        return min(found) if found else None

    def over_tensorrt() -> float | None:
        ratio = faster(times, "bert_base", one, f"CUDA graph{FROM_HOST}", "fp16", "fp16", over="tensorrt")
        run = times.get(("bert_base", one, "tensorrt", "fp16")) is not None
        return 1 / ratio if ratio is not None and run else None

    def graph(name: str, precision: str) -> float | None:
        return faster(times, name, one, "CUDA graph", precision, precision)

    def half(name: str) -> float | None:
        return faster(times, name, many, "program", "bf16", "fp32")

    found = [
        Claim(
            "bert_base, 200 x 128: share of measured peak, BF16, best arm",
            share("bert_base", "bf16"),
            0.60,
            True,
        ),
        Claim("minilm, 200 x 128: milliseconds, best arm in half precision", best_of("minilm", many), 1.3),
        Claim(
            "bert_base, 1 x 128: milliseconds, best arm in half precision", best_of("bert_base", one), 0.45
        ),
        Claim(
            "bert_base, 1 x 128: CUDA graph over the eager module, FP16",
            graph("bert_base", "fp16"),
            5.0,
            True,
        ),
        Claim("minilm, 1 x 128: CUDA graph over the eager module, FP16", graph("minilm", "fp16"), 5.0, True),
        Claim(
            "bert_base, 200 x 128: eager program in BF16 over the eager module in FP32",
            half("bert_base"),
            4.0,
            True,
        ),
        Claim("bert_base, 1 x 128: latency over TensorRT's, CUDA graph, FP16", over_tensorrt(), 1.15),
    ]
    return found


if __name__ == "__main__":
    main()
