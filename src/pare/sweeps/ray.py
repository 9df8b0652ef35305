"""Nodes as tasks of Ray, each of which takes what those before it return, so that Ray orders them."""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pare.errors import ConfigError
from pare.stopping import listen
from pare.sweep import EngineSettings, Orders, Slots, Sweep, check_shared
from pare.sweeps.engine import Ending, Working, at_work, ending_of, not_begun
from pare.sweeps.errand import Errand
from pare.sweeps.plan import Node

#: variables that stages see as they are here, whatever a machine's own are
CARRIED = ("PYTHONPATH", "PARE_", "HF_", "WANDB_", "MLFLOW_", "CUDA_DEVICE_ORDER")


@dataclass(frozen=True, kw_only=True)
class Ray(EngineSettings):
    """On a cluster of Ray's, whose machines share a file system. cpus, gpus, resources: of a stage."""

    elsewhere = True

    address: str = "local"
    cpus: int | None = None
    gpus: float = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 3

    def __post_init__(self) -> None:
        if (self.cpus is not None and self.cpus < 1) or self.gpus < 0 or self.retries < 0:
            raise ValueError(
                f"cpus={self.cpus}, gpus={self.gpus:g}, retries={self.retries}: cpus must be at least 1 or "
                "null, gpus and retries at least 0"
            )

    def check(self, store: Path) -> None:
        if find_spec("ray") is None:
            raise ConfigError("engine: ray is not installed (pip install -e '.[ray]')")
        check_shared(store)

    def slots(self, sweep: Sweep, threads: int, gpus: Sequence[str]) -> Slots:
        if sweep.workers is not None:
            raise ConfigError(f"sweep.workers: found {sweep.workers}; Ray decides how many run at a time")
        return Slots(1, scheduler="Ray")

    @contextmanager
    def engine(self, orders: Orders) -> Iterator["Tasks"]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or it calls home
        import ray

        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as e:
            raise ConfigError(f"engine.address: {self.address}: {str(e).splitlines()[0]}") from None
        except OSError as e:  # sockets have short names
            raise ConfigError(f"engine: Ray: {e}; RAY_TMPDIR may name another folder") from None
        listen()  # again: Ray takes SIGTERM for a crash
        try:
            yield Tasks(self, orders)
        finally:
            ray.shutdown()


class Tasks:
    def __init__(self, settings: Ray, orders: Orders) -> None:
        import ray

        self.settings, self.orders = settings, orders
        self.environment = {name: value for name, value in os.environ.items() if name.startswith(CARRIED)}
        self.carried_out: Any = ray.remote(Errand.__call__)
        self.refs: dict[str, Any] = {}
        self.open: dict[Any, str] = {}

    def submit(self, node: Node, after: Sequence[str]) -> None:
        sweep = self.orders.sweep
        errand = Errand(
            str(self.orders.plan), node.id, sweep.timeout_s, sweep.grace_s, environment=self.environment
        )
        task = self.carried_out.options(
            name=node.what,
            num_cpus=machine_cpus() if node.alone else self.settings.cpus or self.orders.cores,
            num_gpus=self.settings.gpus,
            resources=dict(self.settings.resources),
            max_retries=self.settings.retries,
        )
        ref = task.remote(errand, *(self.refs[name] for name in after))
        self.refs[node.id], self.open[ref] = ref, node.id

    def running(self) -> dict[str, Working]:
        return at_work(self.orders.plan, self.open.values())

    def ended(self, wait_s: float) -> list[Ending]:
        import ray

        done, _ = ray.wait(list(self.open), num_returns=len(self.open), timeout=0)
        if not done:
            time.sleep(wait_s)  # not inside Ray, which makes an exit code of 1 of a signal
        return [self.ending(ref) for ref in done]

    def ending(self, ref: Any) -> Ending:
        import ray

        node = self.open.pop(ref)
        try:
            ray.get(ref)
        except ray.exceptions.RayError as e:
            return ending_of(self.orders.plan, node, error_of(e))
        return Ending(node, None)

    def start_no_more(self) -> set[str]:
        never = not_begun(self.orders.plan, self.open.values())
        self.cancel(ref for ref, node in self.open.items() if node in never)
        return never

    def cancel(self, refs: Iterable[Any]) -> None:
        import ray

        for ref in refs:
            with suppress(ray.exceptions.RayError):
                ray.cancel(ref)

    def stop(self) -> None:
        import ray

        self.cancel(self.open)
        if self.open:
            ray.wait(list(self.open), num_returns=len(self.open), timeout=self.orders.sweep.grace_s + 5)
        self.open = {}


def error_of(error: Exception) -> dict[str, str]:
    """What a status says of what Ray raises."""
    from ray import exceptions

    lost = (exceptions.NodeDiedError, exceptions.LocalRayletDiedError, exceptions.ObjectLostError)
    cause = getattr(error, "cause", None) or error
    kind = "MachineFailed" if isinstance(cause, lost) else type(cause).__name__
    return {"kind": kind, "message": str(cause).strip() or kind}


def machine_cpus() -> float:
    """Of the largest machine there is: who asks for so many has one to itself."""
    import ray

    machines = ray.nodes()  # type: ignore[no-untyped-call]
    return float(max(machine["Resources"].get("CPU", 0) for machine in machines if machine["Alive"]))
