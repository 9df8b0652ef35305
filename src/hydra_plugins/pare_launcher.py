"""What Hydra discovers: a launcher that checks every job first, and the sweeper that leaves that to it."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher, BasicLauncherConf
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn


class PareLauncher(BasicLauncher):
    """Runs jobs one after the other, once all of them are known to be possible."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from pare.sweeps.sweep import around

        assert self.hydra_context is not None
        assert self.config is not None
        with around(self.hydra_context.config_loader, self.config, job_overrides):
            returns: Sequence[JobReturn] = super().launch(job_overrides, initial_job_idx)
        return returns


class PareSweeper(BasicSweeper):
    """Hydra's grid; mistakes are left to the launcher, which lists all of them."""

    def validate_batch_is_legal(self, batch: Any) -> None:
        pass


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
