"""What a job has for a key that names rows, columns or a baseline, and for all of its config."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from pare.errors import ConfigError
from pare.provenance import UNTRACKED
from pare.result import CONFIG, Result
from pare.study.collecting import Record, bare
from pare.study.quantities import TEXTS

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def short(key: str) -> str:
    return key.replace("/", ".").rpartition(".")[2]


LACKING = "–"


def value_of(key: str, record: Record, result: Result) -> str | None:
    """What a job has for a key, from its overrides, then its result, then its config; None where it lacks it.

    key: whole, or how it ends: `quantize` is compression/quantize, `width.keep` compression.width.keep.
    Raises ConfigError where it is how several end.
    """
    pairs = [bare(override).partition("=")[::2] for override in record.overrides]
    meant = {whole: value for whole, value in pairs if ends_with(whole, key)}
    if len(meant) > 1 and key not in meant:
        raise ConfigError(f"{key}: is any of {', '.join(meant)}")
    if meant:
        return str(meant.get(key, next(iter(meant.values()))))
    if key == "seed":
        return str(result.seed)
    if key in TEXTS:
        return TEXTS[key](result)
    return from_config(key, record)


def check_known(keys: Iterable[str], done: Sequence[tuple[Record, Result]]) -> None:
    """Raises ConfigError for a key that no job has."""
    for key in keys:
        if done and all(value_of(key, *job) is None for job in done):
            overrides = dict.fromkeys(o.partition("=")[0] for record, _ in done for o in record.overrides)
            raise ConfigError(f"{key}: is no key of any job; overrides are {', '.join(overrides) or 'none'}")


def ends_with(whole: str, key: str) -> bool:
    dotted, wanted = whole.replace("/", "."), key.replace("/", ".")
    return dotted == wanted or dotted.endswith(f".{wanted}")


def config_of(record: Record) -> Mapping[str, Any]:
    """Empty where it is not there, as beside a result that came by itself, or cannot be read."""
    file = record.folder / CONFIG
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER) if file.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def from_config(key: str, record: Record) -> str | None:
    found = {path: value for path, value in leaves(config_of(record)) if ends_with(path, key)}
    if len(found) > 1 and key not in found:
        raise ConfigError(f"{key}: is any of {', '.join(found)}")
    return as_typed(found.get(key, next(iter(found.values())))) if found else None


def as_typed(value: Any) -> str:
    """On a command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def leaves(config: Any, path: str = "") -> "list[tuple[str, Any]]":
    if not isinstance(config, dict):
        return [(path, config)]
    return [
        leaf for key, value in config.items() for leaf in leaves(value, f"{path}.{key}" if path else str(key))
    ]


@dataclass(frozen=True)
class Settings:
    """What makes a job what it is, by its config, but for the seed and for where its data lies."""

    seed: int
    values: Mapping[str, Any]  # none where there is no config

    @classmethod
    def of(cls, record: Record, result: Result) -> "Settings":
        config = config_of(record)
        kept = leaves({name: value for name, value in config.items() if name not in (*UNTRACKED, "seed")})
        values = {key: without_folder(key, value) for key, value in kept if not key.endswith(".folder")}
        return cls(result.seed, values if config else {})

    def alike(self, other: "Settings") -> bool:
        """Whether no more than the seed differs, wherever it stands; as far as both are known."""
        if not self.values or not other.values:
            return True
        return self.values.keys() == other.values.keys() and all(
            value == other.values[key]
            or seedless(value, self.seed) == seedless(other.values[key], other.seed)
            for key, value in self.values.items()
        )


def without_folder(key: str, value: Any) -> Any:
    """The name alone of what is a file, and of any setting of a task that may be one."""
    if not isinstance(value, str):
        return value
    path = PurePath(value)
    is_file = path.is_absolute() or key.endswith("_file") or key.startswith("task.")
    return path.name if is_file else value


def seedless(value: Any, seed: int) -> Any:
    """As it was before `${seed}` was put in."""
    if isinstance(value, str):
        return value.replace(str(seed), "${seed}")
    return "${seed}" if type(value) is int and value == seed else value
