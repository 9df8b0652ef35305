"""What surrounds the jobs of a sweep: all are checked before the first, and shown together at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from pare.config import job_of, one_line
from pare.errors import ConfigError
from pare.study.summary import distinguishing, print_summary


@contextmanager
def around(config_loader: Any, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> Iterator[None]:
    """Raises ConfigError with the mistakes of every job; afterwards, however it went, prints the table."""
    problems = preflight(config_loader, config, job_overrides)
    if problems:
        raise ConfigError(problems)
    folder = Path(str(config.hydra.sweep.dir))
    try:
        yield
    finally:
        print_summary(folder, [list(overrides) for overrides in job_overrides])


def preflight(config_loader: Any, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """One line for each different mistake, with the jobs that have it."""
    found: dict[str, list[int]] = {}
    for number, overrides in enumerate(job_overrides):
        for problem in problems_of(config_loader, config, overrides):
            found.setdefault(problem, []).append(number)
    every = len(job_overrides)
    return [
        problem if len(jobs) == every else f"{problem} ({named(jobs, job_overrides)})"
        for problem, jobs in found.items()
    ]


def problems_of(config_loader: Any, config: DictConfig, overrides: Sequence[str]) -> Sequence[str]:
    try:
        job = config_loader.load_sweep_config(config, list(overrides))
        with open_dict(job):
            del job["hydra"]
        job_of(job, overrides)
    except ConfigError as e:
        return e.problems
    except (HydraException, OmegaConfBaseException) as e:
        return (one_line(e),)
    return ()


def named(jobs: Sequence[int], job_overrides: Sequence[Sequence[str]]) -> str:
    """The first few jobs in words: by what sets them apart from the others."""
    apart = distinguishing(job_overrides)
    first = "; ".join(f"job {i}: {' '.join(apart[i])}" for i in jobs[:3])
    return first if len(jobs) <= 3 else f"{first}; and {len(jobs) - 3} more"
