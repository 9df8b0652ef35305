"""The configs of all jobs of a sweep: composed once for each choice of groups, values put in afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, open_dict


@dataclass(frozen=True)
class Composed:
    """The config of one job, hydra's own part aside, and the folder it will fill."""

    config: DictConfig
    folder: Path


class Composer:
    """What Hydra's own loader finds for each job, without reading the same files for each again."""

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self.parser = OverridesParser.create()
        self.found: dict[tuple[str, ...], DictConfig] = {}

    @contextmanager
    def job(self, number: int, overrides: Sequence[str]) -> Iterator[Composed]:
        """While it is open, `hydra:` in the config means this job."""
        parsed = self.parser.parse_overrides(list(overrides))
        values = [
            o for o in parsed if o.package is None and not self.loader.repository.group_exists(o.key_or_group)
        ]
        groups = tuple(str(o.input_line) for o in parsed if o not in values)
        if groups not in self.found:
            self.found[groups] = self.loader.load_sweep_config(self.master, list(groups))
        config = deepcopy(self.found[groups])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        with open_dict(config):
            config.hydra.overrides.task = list(overrides)
            config.hydra.job.id = config.hydra.job.num = number
            folder = Path(str(self.master.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
            config.hydra.runtime.output_dir = str(folder.absolute())
        known: Any = HydraConfig.instance()
        before = known.cfg
        known.set_config(config)
        try:
            task = config.copy()
            with open_dict(task):
                del task["hydra"]
            yield Composed(task, folder)
        finally:
            known.cfg = before
