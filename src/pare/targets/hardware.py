"""Where the result must run: device, runtime and its providers, threads, batch and length."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, Literal

from pare.checkpoint import Checkpoint, Format
from pare.decoding import Text
from pare.errors import TargetError
from pare.machine import cores, cpu, driver, gpu, torch_finds_a_gpu
from pare.provenance import versions
from pare.runtimes.probe import loads
from pare.runtimes.session import PACKAGES, RUNTIMES, Runtime
from pare.targets import processor, tensorrt
from pare.targets.card import Card
from pare.targets.tensorrt import Shapes

INSTALLED_BY: dict[Runtime, str] = {
    "onnxruntime": "pip install onnxruntime-gpu",
    "openvino": "pip install -e '.[openvino]'",
    "torch": "pip install torch",
}

Provider = Literal["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
TENSORRT: Provider = "TensorrtExecutionProvider"
SCORED_AT_ONCE = 32  # texts, see `pare.answering`


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A target. Latency is measured at `batch` and `length` (None: the texts' own lengths).

    providers: ONNX Runtime's, the one that is asked for first; none: the device's own.
    compile: how PyTorch runs a program: operation by operation, by torch.compile, or as CUDA graphs.
    card: the GPU that must be there, and what it can do.
    shapes: those that TensorRT builds its engine for; none: from the task's data.
    cache: where TensorRT keeps engines and timings; none: in the store.
    """

    name: str
    device: Literal["cpu", "cuda"] = "cpu"
    runtime: Runtime = "onnxruntime"
    providers: tuple[Provider, ...] = ()
    compile: Literal["eager", "compile", "graphs"] = "eager"
    card: Card | None = None
    shapes: Shapes | None = None
    cache: str | None = None
    threads: int = 1
    batch: int = 1
    length: int | None = None
    throughput_batches: tuple[int, ...] = (1, 16, 32)

    def __post_init__(self) -> None:
        for field in ("threads", "batch"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: must be at least 1")
        if not self.throughput_batches or min(self.throughput_batches) < 1:
            raise ValueError(
                f"throughput_batches={list(self.throughput_batches)}: one at least, each at least 1"
            )
        if self.length is not None and self.length < 4:
            raise ValueError(f"length={self.length}: must be at least 4")
        if self.runtime == "openvino" and self.device != "cpu":
            raise ValueError(f"device={self.device}: runtime=openvino runs on the cpu here")
        if self.providers and self.runtime != "onnxruntime":
            raise ValueError(f"providers: runtime={self.runtime} has none, they are ONNX Runtime's")
        if self.providers and (self.providers[0] == "CPUExecutionProvider") != (self.device == "cpu"):
            raise ValueError(f"providers: {self.providers[0]} does not run on device={self.device}")
        if self.compile != "eager" and self.runtime != "torch":
            raise ValueError(
                f"compile={self.compile}: runtime={self.runtime} compiles by itself; it is PyTorch's"
            )
        if self.compile == "graphs" and self.device != "cuda":
            raise ValueError(f"compile=graphs: CUDA graphs need device=cuda, found {self.device}")
        if self.card is not None and self.device != "cuda":
            raise ValueError(f"card: {self.card.name} is a GPU, device={self.device} is none")
        for field in ("shapes", "cache"):
            if getattr(self, field) is not None and not self.standard_operators:
                raise ValueError(
                    f"{field}: TensorRT's alone; providers=[{TENSORRT},…] is needed, found {self.engine}"
                )

    @property
    def runs(self) -> Format:
        """The checkpoint format that the runtime takes."""
        return next(format_ for format_, runtime in RUNTIMES.items() if runtime == self.runtime)

    @property
    def export(self) -> str:
        """The option of compression/export that makes it."""
        return "torch" if self.runtime == "torch" else self.runs

    @property
    def provider(self) -> Provider:
        """The one of ONNX Runtime's that is asked for."""
        own: Provider = "CUDAExecutionProvider" if self.device == "cuda" else "CPUExecutionProvider"
        return self.providers[0] if self.providers else own

    @property
    def engine(self) -> str:
        """What computes the answers: another engine may round them in another way."""
        return {"onnxruntime": self.provider, "torch": self.compile}.get(self.runtime, self.runtime)

    @property
    def standard_operators(self) -> bool:
        """Whether a graph may hold operators of ONNX's own only: TensorRT knows none of ONNX Runtime's."""
        return self.runtime == "onnxruntime" and self.provider == TENSORRT

    @property
    def way(self) -> str:
        """What it is called among those that `hardware=auto` tries."""
        return "tensorrt" if self.standard_operators else self.runtime

    @property
    def packages(self) -> tuple[str, ...]:
        """What computes the answers, by pip's names; what is not installed has no part in it."""
        return PACKAGES[self.runtime] + (tensorrt.PACKAGES if self.standard_operators else ())

    @property
    def largest_batch(self) -> int:
        """How many texts run at once at most, timed or scored."""
        return max(self.batch, *self.throughput_batches, SCORED_AT_ONCE)

    def fitted(
        self, checkpoint: Checkpoint, texts: Sequence[Text], cache: Path, rows: str | None = None
    ) -> "Hardware":
        """With the shapes and the cache that TensorRT is given where the config says neither.

        texts: such as the checkpoint will read. rows: what names them, so that they are read once.
        """
        if not self.standard_operators:
            return self
        shapes = self.shapes
        if shapes is None:
            lengths = tensorrt.token_counts(checkpoint, texts, rows)
            longest = checkpoint.max_length
            shapes = tensorrt.shapes_of(lengths, self.batch, self.largest_batch, longest, self.length)
        return replace(self, shapes=shapes, cache=self.cache or str(cache / "tensorrt"))

    def session_options(self, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
        """What a session is told besides file, device and threads, as JSON.

        checkpoint: what it will run; TensorRT has to know its precision, and keeps its engine.
        """
        if self.runtime == "torch":
            return {"compile": self.compile}
        if self.runtime != "onnxruntime" or not self.providers:
            return {}
        facts = {} if checkpoint is None else checkpoint.facts
        told = {
            "CPUExecutionProvider": {},
            "CUDAExecutionProvider": {"use_tf32": "0"},
            TENSORRT: tensorrt.options(
                self.shapes,
                str(facts.get("precision", "fp32")),
                Path(self.cache) if self.cache else None,
                "" if checkpoint is None else checkpoint.digest,
                tensorrt.fixed_sides(facts),
            ),
        }
        return {"providers": [[provider, told[provider]] for provider in self.providers]}

    def deployment(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """What a bundle says of it, as JSON: what a session is told, with no folder of this machine's."""
        options = replace(self, cache=None).session_options(checkpoint)
        return {"device": self.device, "threads": self.threads, "options": options}

    def refuses(self, precision: str | None) -> str | None:
        """Why a precision cannot be computed here; None where it can."""
        return None if self.card is None else self.card.lacks(precision)

    def doubts(self, precision: str | None) -> str | None:
        """Why a precision will not bring here what it is for; None where it will."""
        if self.device == "cpu":
            return processor.lacks(precision, processor.features())
        if precision == "int8" and self.runtime == "onnxruntime" and self.provider != TENSORRT:
            return (
                f"{self.provider} has no integer kernels for it and computes in float; take hardware=tensorrt"
            )
        return None

    def emulates(self, precision: str | None) -> str | None:
        """Why a precision can only be slower here than FP32, which INT8 is not on any CPU."""
        return self.doubts(precision) if self.device == "cpu" and precision in ("fp16", "bf16") else None

    def misfits(self, timed: int, longest: Sequence[int | None], read: int) -> list[str]:
        """What makes measuring impossible here, one line each.

        timed: how many texts. longest: the tokens that each of the models has positions for, where that is
        known. read: those that a text is cut to.
        """
        found = []
        if timed < self.batch:
            found.append(
                f"hardware.batch: {self.batch} texts asked for, but {timed} are timed, of those that "
                "are scored up to measure.texts"
            )
        least = min((tokens for tokens in longest if tokens is not None), default=None)
        if self.length is not None and least is not None and self.length > least:
            found.append(
                f"hardware.length: {self.length} tokens asked for, but the model reads at most {least}"
            )
        if self.shapes is not None:
            few, (most, tokens) = self.shapes.least[0], self.shapes.most
            needed = max(read, self.length or 0)
            if few > 1 or most < self.largest_batch or tokens < needed:
                found.append(
                    f"hardware.shapes: {few} to {most} texts of up to {tokens} tokens, but what runs is 1 to "
                    f"{self.largest_batch} of up to {needed}"
                )
        return found

    def check(self) -> None:
        """Raises TargetError if this machine is not such a target. Nothing falls back silently."""
        if find_spec(self.runtime) is None:
            raise TargetError(
                f"hardware.runtime: {self.runtime} is not installed ({INSTALLED_BY[self.runtime]})"
            )
        if self.device == "cpu" and self.threads > cores():
            raise TargetError(f"hardware.threads: {self.threads} asked for, this machine has {cores()} cores")
        if self.device == "cuda":
            self._check_gpu()
        if self.compile == "compile":
            self._check_compiler()

    def _check_gpu(self) -> None:
        found = gpu()
        if found is None:
            why = "nvidia-smi lists none"
            if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
                why = f"of those that nvidia-smi lists, with CUDA_VISIBLE_DEVICES={visible}"
            raise TargetError(
                f"hardware: {self.name} needs an NVIDIA GPU and none is found here ({why}); "
                "choose hardware=cpu or run on a machine with one"
            )
        if self.card is not None and not self.card.is_named(found[0]):
            raise TargetError(f"hardware.card: {self.card.name} asked for, this machine has {found[0]}")
        if self.runtime == "torch" and not torch_finds_a_gpu():
            raise TargetError("hardware.runtime: PyTorch finds no GPU here; its build may be for CPUs only")
        if self.runtime == "onnxruntime" and (reason := loads(self.provider)):
            raise TargetError(f"hardware.providers: {self.provider} did not load: {reason}")

    def _check_compiler(self) -> None:
        """What torch.compile writes its kernels for."""
        if self.device == "cuda" and find_spec("triton") is None:
            raise TargetError("hardware.compile: torch.compile needs triton on a GPU (pip install triton)")
        if self.device == "cpu" and not any(map(which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
            raise TargetError("hardware.compile: torch.compile needs a C++ compiler on a CPU; none is found")

    def fingerprint(self) -> dict[str, Any]:
        """What makes measurements comparable: the same fingerprint, the same hardware and runtime."""
        found: dict[str, Any] = {
            "cpu": cpu(),
            "cores": cores(),
            "gpu": [],
            "runtime": {k: v for k, v in versions(self.packages).items() if v},
        }
        if self.device == "cuda" and (used := gpu()) is not None:
            found |= {"gpu": [used[0]], "driver": driver()}
        return found


@dataclass(frozen=True, kw_only=True)
class Automatic(Hardware):
    """Whichever runtime is the quickest, for each model, batch and length; `runtime` is not looked at."""

    def on(self, runtime: Runtime) -> Hardware:
        """The same with that runtime; `providers` and what TensorRT is told are ONNX Runtime's."""
        given = {f.name: getattr(self, f.name) for f in fields(Hardware)}
        given["runtime"] = runtime
        given["compile"] = "graphs" if runtime == "torch" and self.device == "cuda" else "eager"
        if runtime != "onnxruntime":
            given |= {"providers": (), "shapes": None, "cache": None}
        return Hardware(**given)

    def doubts(self, precision: str | None) -> str | None:
        """None of a GPU, where TensorRT is tried as well."""
        return None if self.device == "cuda" and not self.providers else super().doubts(precision)

    def candidates(self) -> tuple[Hardware, ...]:
        """One for each runtime that the device has; which are installed, their checks say.

        A GPU has ONNX Runtime twice, unless `providers` says which: its own kernels, and TensorRT's.
        """
        device_has = [name for name in INSTALLED_BY if name != "openvino" or self.device == "cpu"]
        found = [self.on(runtime) for runtime in device_has]
        if self.device == "cuda" and not self.providers:
            compiled = replace(self.on("onnxruntime"), providers=(TENSORRT, "CUDAExecutionProvider"))
            found.insert(1, compiled)
        return tuple(found)
