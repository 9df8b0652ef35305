"""What surrounds the jobs of a sweep: all are checked before the first, and shown together at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from pare.config import job_of, one_line
from pare.errors import ConfigError
from pare.study.summary import distinguishing, print_summary


@contextmanager
def around(config_loader: Any, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> Iterator[None]:
    """Raises ConfigError with the mistakes of every job; afterwards, however it went, prints the table."""
    folders = preflight(config_loader, config, job_overrides)
    try:
        yield
    finally:
        print_summary(Path(str(config.hydra.sweep.dir)), folders, job_overrides)


def preflight(config_loader: Any, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[Path]:
    """The folder of each job; raises ConfigError with a line for each different mistake and who has it."""
    found: dict[str, list[int]] = {}
    folders = []
    for number, overrides in enumerate(job_overrides):
        try:
            folders.append(checked(config_loader, config, number, overrides))
        except ConfigError as e:
            for problem in e.problems:
                found.setdefault(problem, []).append(number)
        except (HydraException, OmegaConfBaseException) as e:
            found.setdefault(one_line(e), []).append(number)
    every = len(job_overrides)
    if found:
        raise ConfigError(
            problem if len(jobs) == every else f"{problem} ({named(jobs, job_overrides)})"
            for problem, jobs in found.items()
        )
    return folders


def checked(config_loader: Any, config: DictConfig, number: int, overrides: Sequence[str]) -> Path:
    """The folder of a job that can be run; composed as Hydra will, for configs that refer to `hydra:`."""
    job = config_loader.load_sweep_config(config, list(overrides))
    known, before = HydraConfig.instance(), HydraConfig.instance().cfg
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = number
        folder = Path(str(config.hydra.sweep.dir)) / str(job.hydra.sweep.subdir)
        job.hydra.runtime.output_dir = str(folder.absolute())
    known.set_config(job)
    try:
        task = job.copy()
        with open_dict(task):
            del task["hydra"]
        job_of(task, overrides)
    finally:
        known.cfg = before
    return folder


def named(jobs: Sequence[int], job_overrides: Sequence[Sequence[str]]) -> str:
    """The first few jobs in words: by what sets them apart from the others."""
    apart = distinguishing(job_overrides)
    first = "; ".join(f"job {i}: {' '.join(apart[i])}" for i in jobs[:3])
    return first if len(jobs) <= 3 else f"{first}; and {len(jobs) - 3} more"
