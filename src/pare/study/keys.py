"""What a job has for a key that names rows, columns or a baseline."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from pare.errors import ConfigError
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
    """Empty where it is not there, as beside a result that came by itself."""
    file = record.folder / CONFIG
    return yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER) if file.is_file() else {}


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
