"""One node of a sweep, carried out in a process of its own.

    python -m pare.sweeps.work PLAN NODE

PLAN is what `write_plan` wrote. The process writes beside it, in nodes/NODE.json, when it began, how it ended
and what it warned of; what it prints is its log. Without arguments it is told them by whoever holds the
other end of its stdin, a nursery's user or an errand: once that is gone, the process and all that it started
end at once.
"""

import json
import logging
import os
import secrets
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from pare.config import Job, job_of
from pare.errors import GateFailed, Hopeless, PareError, StageFailed, TargetError
from pare.experiment import read_once, run
from pare.files import write_json
from pare.nursery import end_with
from pare.pipeline import Pipeline
from pare.printing import print_on_unread
from pare.progress import silent
from pare.result import PLAN, plan_in
from pare.stopping import listen
from pare.store import Store
from pare.sweeps.errand import NODES, ending_file, told_by
from pare.sweeps.hopeless import judge_of
from pare.sweeps.plan import Node, Plan, chooses
from pare.tracking.record import title_of


def write_plan(
    folder: Path, plan: Plan, jobs: Sequence[Job], folders: Sequence[Path], apart: Sequence[Sequence[str]]
) -> Path:
    """All that the processes have to know."""
    (folder / NODES).mkdir(parents=True, exist_ok=True)
    for ending in (folder / NODES).glob("*.json"):  # of an earlier run in the same folder
        ending.unlink(missing_ok=True)
    told = [
        {
            "config": job.config,
            "overrides": job.overrides,
            "folder": str(place.absolute()),
            "within": os.path.relpath(place.absolute(), folder),
            "title": title_of(own),
        }
        for job, place, own in zip(jobs, folders, apart, strict=True)
    ]
    nodes = {name: asdict(node) for name, node in plan.nodes.items()}
    write_json(folder / PLAN, {"id": id_in(folder), "group": folder.name, "jobs": told, "nodes": nodes})
    read_plan.cache_clear()
    return folder / PLAN


def id_in(folder: Path) -> str:
    """A sweep's own, which it keeps when it is continued: folders in two places may have one name."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(plan_in(folder)["id"])
    return secrets.token_hex(6)


@cache
def read_plan(file: str) -> dict[str, Any]:
    """Once for all processes that are forked from this one: of hundreds of jobs it is long."""
    return plan_in(Path(file).parent)


def main() -> None:
    """The plan, the node and a GPU's id, or null, come as one line of JSON."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    lifeline = os.dup(0)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a descriptor is needed)
        os.dup2(nothing.fileno(), 0)
    told = b""
    while not told.endswith(b"\n"):
        told += os.read(lifeline, 4096) or b"\n"
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()
    if told.strip():
        plan, node, gpu = json.loads(told)
        if gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        sys.exit(carried_out(plan, node))


def carried_out(plan_file: str, node_id: str) -> int:
    """The exit code; says in a file how it ended."""
    listen()
    print_on_unread()
    began = time.time()
    file = ending_file(plan_file, node_id)
    begun = {"began": began, "host": socket.gethostname(), "pid": os.getpid()}
    write_json(file, begun)  # whatever an earlier attempt said no longer holds
    plan = read_plan(plan_file)
    node = Node(**plan["nodes"][node_id])
    before = [told_by(plan_file, name).get("given_up") for name in node.after]
    code, error, given_up = 0, None, None
    warnings = Warnings()
    logging.basicConfig(format="%(message)s")  # for the log, where the process was not forked from a sweep
    logging.getLogger("pare").addHandler(warnings)
    try:
        given_up = carry_out(node, plan["jobs"][node.job], plan["group"], before)
    except BaseException as e:
        code, error = code_of(e), error_of(e)
    ended = {"error": error, "given_up": given_up, "warnings": list(warnings.lines)}
    write_json(file, {**begun, **ended, "seconds": time.time() - began})
    return code


class Warnings(logging.Handler):
    """Keeps them, each once, for whoever watches the sweep and reads no logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.lines[record.getMessage()] = None


def carry_out(node: Node, told: Mapping[str, Any], group: str, before: Sequence[str | None]) -> str | None:
    """Why a job that can do without it gives it up, if it does. before: the same of each node before it."""
    if node.kind == "result":
        run(told["config"], told["overrides"], Path(told["folder"]), group, told["title"], before)
        return None
    job = job_of(told["config"], told["overrides"])
    read_once(job)
    torch.set_num_threads(job.threads)
    way = job.ways[node.way]
    pipeline = Pipeline(Store(job.store), job.task, job.seed, way.hardware, silent, job.device)
    judge = judge_of(job, way.strategy)
    try:
        if why := next(filter(None, before), None):
            raise StageFailed(why)
        if (
            job.engine.elsewhere
            and node.upto
            and way.strategy[node.upto - 1][1].produces == way.hardware.runs
        ):
            way.hardware.check()  # what this machine has nobody could know before
        outcome = pipeline.execute(job.finetune, way.strategy[: node.upto], judge, job.expect)
        if node.kind == "answers":
            pipeline.baseline_graphs(way.strategy, outcome.baseline)
            pipeline.score(outcome.final, "test")  # of the graphs only the quickest, which is not known yet
    except (GateFailed, StageFailed, TargetError) as failure:
        if node.upto == 0 or not chooses(job):
            raise
        return str(failure)
    return None


def code_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return error.exit_code if isinstance(error, PareError) else 1


def error_of(error: BaseException) -> dict[str, Any]:
    """What a status says of it; where it came from, if that is more than a user's mistake."""
    kind = "OutOfMemory" if out_of_memory(error) else type(error).__name__
    said: dict[str, Any] = {"kind": kind, "message": str(error) or kind}
    if isinstance(error, SystemExit):
        return {"kind": "Exited", "message": f"exit code {error.code}"}
    if isinstance(error, GateFailed) and error.stage:
        said["stage"] = error.stage  # the process that was told so may have been there for one after it
    if isinstance(error, Hopeless):
        said["drop"] = error.drop
    if not isinstance(error, PareError):
        said["traceback"] = "".join(traceback.format_exception(error))
    return said


def out_of_memory(error: BaseException) -> bool:
    """Of Python, of PyTorch's allocators, of ONNX Runtime's."""
    signs = ("can't allocate memory", "bad_alloc", "out of memory", "Failed to allocate memory")
    said = f"{error} {error.__cause__}"  # which a stage may have put in words of its own
    return isinstance(error, MemoryError) or any(sign in said for sign in signs)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    sys.exit(carried_out(*sys.argv[1:3]))
