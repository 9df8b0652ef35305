"""What Hydra discovers: a launcher that checks every job first, and the sweeper that leaves that to it."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher, BasicLauncherConf
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus


class PareLauncher(BasicLauncher):
    """Runs jobs one after the other, once all of them are known to be possible."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from pare.sweeps.sweep import around

        assert self.hydra_context is not None
        assert self.config is not None
        with around(self.hydra_context.config_loader, self.config, job_overrides):
            returns: Sequence[JobReturn] = super().launch(job_overrides, initial_job_idx)
        for job in returns:
            if job.status == JobStatus.FAILED:
                raise job._return_value  # its property would add to what was said when the job failed
        return returns


class PareSweeper(BasicSweeper):
    """Hydra's grid; mistakes are left to the launcher, which lists all of them."""

    def validate_batch_is_legal(self, batch: Any) -> None:
        pass

    @staticmethod
    def split_arguments(overrides: Any, max_batch_size: int | None) -> Any:
        """One batch, whatever was asked for: a failure ends its batch, and all jobs are checked at once."""
        return BasicSweeper.split_arguments(overrides, None)


ConfigStore.instance().store(
    group="hydra/launcher",
    name="pare",
    node=BasicLauncherConf(_target_="hydra_plugins.pare_launcher.PareLauncher"),
    provider="pare",
)
ConfigStore.instance().store(
    group="hydra/sweeper",
    name="pare",
    node=BasicSweeperConf(_target_="hydra_plugins.pare_launcher.PareSweeper"),
    provider="pare",
)
