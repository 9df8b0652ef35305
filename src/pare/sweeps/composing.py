"""The configs of all jobs of a sweep: composed once for each choice of groups, values put in afterwards."""

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from pare.composition import one_line
from pare.errors import ConfigError


@dataclass(frozen=True)
class Composed:
    """The config of one job, hydra's own part aside, and the folder it will fill."""

    config: DictConfig
    folder: Path


class Remembering:
    """A repository of configs that parses each file once, however often configs are composed from it."""

    def __init__(self, repository: Any) -> None:
        self.repository = repository
        self.known: dict[str, Any] = {}

    def load_config(self, config_path: str) -> Any:
        if config_path not in self.known:
            self.known[config_path] = self.repository.load_config(config_path=config_path)
        return self.known[config_path]

    def __deepcopy__(self, memo: Any) -> "Remembering":
        return self  # Hydra copies its repository for each composition

    def __getattr__(self, name: str) -> Any:
        return getattr(self.repository, name)


class Composer:
    """What Hydra's own loader finds for each job, without reading the same files for each again."""

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self.loader.repository = Remembering(loader.repository)  # type: ignore[assignment]
        self.parser = OverridesParser.create()
        #: by choice of groups: hydra's part, and the rest pickled, which is copied four times as fast so
        self.found: dict[tuple[str, ...], tuple[DictConfig, bytes]] = {}

    @contextmanager
    def job(self, number: int, overrides: Sequence[str]) -> Iterator[Composed]:
        """While it is open, `hydra:` in the config means this job."""
        parsed = self.parser.parse_overrides(list(overrides))
        values = [o for o in parsed if self.is_value(o)]
        choices = [o for o in parsed if o not in values]
        try:
            own, shared = self.composed([str(o.input_line) for o in choices])
        except ValueError as e:  # `model=null`
            wrong = [
                f"{o.input_line}: "
                for o in choices
                if not (o.is_delete() or isinstance(o.value(), (str, list)))
            ]
            raise ConfigError("".join([*wrong, one_line(e)])) from None
        config = pickle.loads(shared)
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        with read_write(own), open_dict(own):
            own.hydra.overrides.task = list(overrides)
            own.hydra.job.override_dirname = self.dirname(parsed)
            own.hydra.job.id = own.hydra.job.num = number
        folder = Path(str(self.master.hydra.sweep.dir)) / self.subfolder(own, config)
        with read_write(own), open_dict(own):
            own.hydra.runtime.output_dir = str(folder.absolute())
        known: Any = HydraConfig.instance()
        before, known.cfg = known.cfg, own
        try:
            yield Composed(config, folder)
        finally:
            known.cfg = before

    def is_value(self, override: Override) -> bool:
        """Whether it changes a value, in the job's own part of the config."""
        return not (
            override.package is not None
            or override.is_hydra_override()
            or self.loader.repository.group_exists(override.key_or_group)
        )

    def composed(self, groups: Sequence[str]) -> tuple[DictConfig, bytes]:
        key = tuple(groups)
        if key not in self.found:
            whole = self.loader.load_sweep_config(self.master, list(groups))
            own = OmegaConf.masked_copy(whole, "hydra")
            with open_dict(whole):
                del whole["hydra"]
            self.found[key] = own, pickle.dumps(whole)
        return self.found[key]

    def dirname(self, parsed: Sequence[Override]) -> str:
        told = self.master.hydra.job.config.override_dirname
        return get_overrides_dirname(
            overrides=list(parsed),
            kv_sep=told.kv_sep,
            item_sep=told.item_sep,
            exclude_keys=told.exclude_keys,
        )

    def subfolder(self, own: DictConfig, config: DictConfig) -> str:
        """May refer to anything."""
        raw = str(OmegaConf.to_container(own, resolve=False)["hydra"]["sweep"]["subdir"])  # type: ignore[index,call-overload]
        for key in ("num", "id"):
            raw = raw.replace(f"${{hydra.job.{key}}}", str(own.hydra.job[key]))
        if "$" not in raw:
            return raw
        with open_dict(config):
            whole = OmegaConf.merge(config, own)
        return str(whole.hydra.sweep.subdir)
