"""What Hydra discovers: a launcher that checks every job first, and the sweeper that leaves that to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher, BasicLauncherConf
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf


class PareLauncher(BasicLauncher):
    """Plans all jobs together and runs what they need, see `pare.sweeps.sweep`."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from pare.errors import SweepFailed
        from pare.sweeps.sweep import sweep

        assert self.hydra_context is not None
        assert self.config is not None
        results = sweep(self.hydra_context.config_loader, self.config, job_overrides)
        if missing := [result for result in results if result is None]:
            raise SweepFailed(
                f"{len(missing)} of {len(results)} jobs have no result; the same command tries them again"
            )
        return [
            JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=result)
            for overrides, result in zip(job_overrides, results, strict=False)  # a dry run has none
        ]


class PareSweeper(BasicSweeper):
    """Hydra's grid, its mistakes left to the launcher, which lists them all; or a search, `sweep.search`."""

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None
        assert self.config is not None
        if OmegaConf.select(self.config, "sweep.search") is None:
            from pare.files import make_writable

            make_writable(Path(self.config.hydra.sweep.dir), "hydra.sweep.dir")
            return super().sweep(arguments)
        from pare.searching.search import search

        return search(self.hydra_context.config_loader, self.config, [*self._parse_config(), *arguments])

    def validate_batch_is_legal(self, batch: Any) -> None:
        pass

    @staticmethod
    def split_arguments(overrides: Any, max_batch_size: int | None) -> Any:
        """One batch, whatever was asked for: a failure ends its batch, and all jobs are checked at once."""
        from pare.errors import ConfigError

        problems = []
        for override in {one.get_key_element(): one for one in overrides}.values():
            try:
                if override.is_discrete_sweep() and not list(override.sweep_iterator()):
                    problems.append(f"{override.input_line}: holds no value, so there is no job")
            except ValueError as e:  # a range with steps of 0
                problems.append(f"{override.input_line}: {e}")
        if problems:
            raise ConfigError(problems)
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
