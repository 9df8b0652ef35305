"""Nodes as jobs of SLURM, through submitit; SLURM starts each once those before it have ended well."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pare.errors import ConfigError
from pare.sweep import EngineSettings, Orders, Slots, Sweep, check_shared
from pare.sweeps.engine import Ending, Working, at_work, not_begun
from pare.sweeps.errand import Errand, told_by
from pare.sweeps.plan import Node

#: states that a job does not leave, and what they mean where it could not say so itself
FINAL = {
    "COMPLETED": "",
    "FAILED": "Killed",
    "BOOT_FAIL": "MachineFailed",
    "NODE_FAIL": "MachineFailed",
    "CANCELLED": "Cancelled",
    "DEADLINE": "Timeout",
    "TIMEOUT": "Timeout",
    "OUT_OF_MEMORY": "OutOfMemory",
    "PREEMPTED": "Preempted",
    "REVOKED": "Cancelled",
}
GONE = "GONE"  # and no longer remembered
#: what SLURM knows better than the job, which only saw a signal
DECIDED = ("CANCELLED", "DEADLINE", "TIMEOUT", "OUT_OF_MEMORY", "PREEMPTED")


@dataclass(frozen=True, kw_only=True)
class Slurm(EngineSettings):
    """On the cluster from whose login machine it is started; its machines share a file system.

    minutes, cpus, gpus, mem_gb: of a stage. extra: other options of sbatch.
    """

    elsewhere = True

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    minutes: int = 240
    notice_s: int = 90
    requeues: int = 3
    cpus: int | None = None
    gpus: int = 0
    mem_gb: float | None = None
    exclusive: bool = True
    setup: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    poll_s: float = 5
    cluster: Literal["slurm", "local"] = "slurm"

    def __post_init__(self) -> None:
        if self.minutes < 1 or self.notice_s < 0 or self.requeues < 0 or not self.poll_s > 0:
            raise ValueError(
                f"minutes={self.minutes}, notice_s={self.notice_s}, requeues={self.requeues}, "
                f"poll_s={self.poll_s:g}: minutes must be at least 1, notice_s and requeues at least 0, "
                "poll_s above 0"
            )
        if (self.cpus is not None and self.cpus < 1) or self.gpus < 0:
            raise ValueError(
                f"cpus={self.cpus}, gpus={self.gpus}: cpus must be at least 1 or null, gpus at least 0"
            )

    def check(self, store: Path) -> None:
        if find_spec("submitit") is None:
            raise ConfigError("engine: submitit is not installed (pip install -e '.[slurm]')")
        if self.cluster == "slurm" and (
            missing := [n for n in ("sbatch", "srun") if shutil.which(n) is None]
        ):
            raise ConfigError(
                f"engine: there is no {' and no '.join(missing)} here; SLURM's jobs are started from a "
                "machine of its cluster (engine.cluster=local tries out without it)"
            )
        check_shared(store)

    def slots(self, sweep: Sweep, threads: int, gpus: Sequence[str]) -> Slots:
        if sweep.workers is not None:
            raise ConfigError(f"sweep.workers: found {sweep.workers}; SLURM decides how many run at a time")
        return Slots(1, scheduler="SLURM" if self.cluster == "slurm" else "this machine, as if on SLURM")

    @contextmanager
    def engine(self, orders: Orders) -> Iterator["Jobs"]:
        yield Jobs(self, orders)

    def parameters(self, cores: int) -> dict[str, Any]:
        """Of every job, as submitit calls them."""
        named = {"partition": self.partition, "account": self.account, "qos": self.qos, "mem": None}
        if self.mem_gb is not None:
            named["mem"] = f"{round(self.mem_gb * 1024)}M"
        return {
            "timeout_min": self.minutes,
            "cpus_per_task": self.cpus or cores,
            **({"gpus_per_node": self.gpus} if self.gpus else {}),
            "slurm_signal_delay_s": self.notice_s,
            "slurm_setup": list(self.setup),
            **{f"slurm_{name}": value for name, value in named.items() if value is not None},
        }


class Jobs:
    def __init__(self, settings: Slurm, orders: Orders) -> None:
        import submitit

        self.settings, self.orders = settings, orders
        self.real = settings.cluster == "slurm"
        self.executor = submitit.AutoExecutor(
            orders.plan.parent / "slurm", cluster=settings.cluster, slurm_max_num_timeout=settings.requeues
        )
        self.executor.update_parameters(**settings.parameters(orders.cores))
        self.jobs: dict[str, Any] = {}
        self.after: dict[str, set[str]] = {}
        self.open: dict[str, str] = {}  # nodes by the ids of their jobs
        self.asked = 0.0

    def submit(self, node: Node, after: Sequence[str]) -> None:
        sweep = self.orders.sweep
        order: dict[str, Any] = {}
        if after and self.real:
            ids = ":".join(str(self.jobs[name].job_id) for name in after)
            order = {"dependency": f"afterok:{ids}", "kill-on-invalid-dep": "yes"}
        self.executor.update_parameters(
            slurm_job_name=f"pare-{node.what}",
            slurm_exclusive=(node.alone and self.settings.exclusive) or None,
            slurm_additional_parameters={"requeue": True, **order, **self.settings.extra},
        )
        errand = Errand(str(self.orders.plan), node.id, sweep.timeout_s, sweep.grace_s)
        if not self.real:
            errand.after = tuple(after)
        try:
            job = self.executor.submit(errand)
        except (RuntimeError, subprocess.CalledProcessError) as e:
            said = getattr(e, "stderr", None) or str(e)
            raise ConfigError(f"engine: {' '.join(str(said).split())}") from None
        self.after[node.id] = set(after)
        self.jobs[node.id], self.open[str(job.job_id)] = job, node.id

    def running(self) -> dict[str, Working]:
        return at_work(self.orders.plan, self.open.values())

    def ended(self, wait_s: float) -> list[Ending]:
        if time.monotonic() < self.asked + self.settings.poll_s:
            time.sleep(min(wait_s, self.settings.poll_s))
            return []
        self.asked = time.monotonic()
        found = []
        for job, state in self.states().items():
            # what waited for one that failed ends too, and may be seen to first
            if state in (*FINAL, GONE) and not self.after[self.open[job]].intersection(self.open.values()):
                found.append(self.ending(self.open.pop(job), state))
        return found

    def states(self) -> dict[str, str]:
        """Of the open jobs; empty where SLURM does not answer now."""
        if not self.real:
            return {job: GONE for job, node in self.open.items() if self.jobs[node].done()}
        asked = subprocess.run(
            ["squeue", "--me", "--states=all", "--noheader", "--format=%A %T"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if asked.returncode:
            return {}
        known = dict(line.split() for line in asked.stdout.splitlines())
        return {job: known.get(job, GONE) for job in self.open}

    def ending(self, node: str, state: str) -> Ending:
        job = self.jobs[node]
        said = {
            "kind": FINAL.get(state) or "Killed",
            "message": f"SLURM's job {job.job_id} ended as {state}; its log is {job.paths.stderr}",
        }
        told = told_by(self.orders.plan, node)
        if state not in DECIDED and told.get("error") is not None:
            return Ending(node, told["error"])
        well = "error" in told if state == GONE else state == "COMPLETED"
        return Ending(node, None if well else said)

    def start_no_more(self) -> set[str]:
        never = not_begun(self.orders.plan, self.open.values())
        self.cancel([job for job, node in self.open.items() if node in never])
        return never

    def cancel(self, jobs: Sequence[str]) -> None:
        """SLURM gives what runs its time to end."""
        if self.real and jobs:
            subprocess.run(["scancel", *jobs], check=False, capture_output=True)
        elif not self.real:
            for job in jobs:
                with suppress(ProcessLookupError):
                    os.kill(int(job), signal.SIGTERM)

    def stop(self) -> None:
        self.cancel([*self.open])
        if not self.real:
            for node in self.open.values():
                self.jobs[node].wait()
