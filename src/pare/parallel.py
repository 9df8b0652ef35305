"""One training run in several processes, one for each device; accelerate averages the gradients."""

import multiprocessing
import os
import signal
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from pare.errors import ConfigError, StageFailed, TargetError
from pare.machine import gpu_ids, torch_finds_a_gpu
from pare.stopping import ASKING

#: not RANK and WORLD_SIZE: a pod or a launcher that sets these means processes that are not ours
RANK, WORLD_SIZE = "PARE_RANK", "PARE_WORLD_SIZE"


def rank() -> int:
    return int(os.environ.get(RANK, 0))


def world_size() -> int:
    return int(os.environ.get(WORLD_SIZE, 1))


def agreed(value: float) -> float:
    """What rank 0 says, in every process."""
    if world_size() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return float(broadcast_object_list([value])[0])


def own_part(numbers: Sequence[int]) -> tuple[Sequence[int], float]:
    """This process's rows of a batch, and the factor that makes the mean over processes one over rows."""
    processes = world_size()
    if processes == 1:
        return numbers, 1.0
    own = numbers[rank() :: processes]
    return (own, len(own) * processes / len(numbers)) if own else (numbers[:1], 0.0)


def averaged(module: nn.Module, device: torch.device) -> tuple[nn.Module, Callable[[Tensor], float]]:
    """The module with its gradients averaged over all processes, and the mean of a loss over them."""
    if world_size() == 1:
        return module, Tensor.item
    from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs

    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    patient = InitProcessGroupKwargs(timeout=timedelta(days=7))  # rank 0 looks at dev, the others wait
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains of OMP_NUM_THREADS and sets one thread
        accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[unused, patient])
    torch.set_num_threads(threads)
    return accelerator.prepare(module), lambda loss: float(accelerator.reduce(loss, "mean").item())


def check(processes: int, device: str, setting: str) -> None:
    """Raises ConfigError unless that many processes can train here. device: as `train.device` has it.

    setting: `train.processes`, wherever that is.
    """
    from importlib.util import find_spec

    train = setting.removesuffix("processes")
    if device == "cuda" and not torch_finds_a_gpu():
        raise TargetError(
            f"{train}device: cuda asked for, but PyTorch finds no GPU here; auto takes one where there is one"
        )
    if processes == 1:
        return
    if find_spec("accelerate") is None:
        raise ConfigError(f"{setting}: {processes} processes need accelerate (pip install accelerate)")
    found = [] if device == "cpu" else gpu_ids()
    if 0 < len(found) < processes:
        raise TargetError(
            f"{setting}: {processes} processes need a GPU each, found {len(found)}; "
            f"{train}device=cpu needs none"
        )


@contextmanager
def helpers(processes: int, work: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """Runs `work(*arguments)` in `processes - 1` fresh processes, ranks 1 and up; the caller is rank 0."""
    if processes == 1:
        yield
        return
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), **place(0, processes)}
    context = multiprocessing.get_context("spawn")
    started = []
    try:
        for number in range(1, processes):
            process = context.Process(target=as_rank, args=(number, processes, work, arguments), daemon=True)
            process.start()
            started.append(process)
        yield
        for process in started:
            process.join()
            if process.exitcode:
                raise StageFailed(f"training: a parallel process ended with exit code {process.exitcode}")
    finally:
        for process in started:
            process.kill()
        leave_group()
        for name in ("MASTER_ADDR", "MASTER_PORT", *place(0, 1)):
            os.environ.pop(name, None)


def as_rank(number: int, processes: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    for asking in ASKING:  # all processes hear it; rank 0 needs the others for its last step, then ends them
        signal.signal(asking, signal.SIG_IGN)
    os.environ |= place(number, processes)
    try:
        work(*arguments)
    finally:
        leave_group()


def place(number: int, processes: int) -> dict[str, str]:
    return {
        RANK: str(number),
        WORLD_SIZE: str(processes),
        "RANK": str(number),  # these are accelerate's
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }


def leave_group() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
