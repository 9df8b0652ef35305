"""What a job has for a key that names rows, columns or a baseline."""

from collections.abc import Sequence
from typing import Any

import yaml

from pare.errors import ConfigError
from pare.result import CONFIG, Result
from pare.study.collecting import Record
from pare.study.quantities import TEXTS

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def short(key: str) -> str:
    return key.replace("/", ".").rpartition(".")[2]


def value_of(key: str, record: Record, result: Result) -> str:
    """What a job has for a key: from its overrides, then its result, then its config; raises ConfigError.

    key: whole, or how it ends: `quantize` is compression/quantize, `width.keep` compression.width.keep.
    """
    pairs = [override.lstrip("+").partition("=")[::2] for override in record.overrides]
    meant = {whole: value for whole, value in pairs if ends_with(whole, key)}
    if len(meant) > 1 and key not in meant:
        raise ConfigError(f"{key}: is any of {', '.join(meant)}")
    if meant:
        return str(meant.get(key, next(iter(meant.values()))))
    if key == "seed":
        return str(result.seed)
    if key in TEXTS:
        return TEXTS[key](result)
    return from_config(key, record, [whole for whole, _ in pairs])


def ends_with(whole: str, key: str) -> bool:
    dotted, wanted = whole.replace("/", "."), key.replace("/", ".")
    return dotted == wanted or dotted.endswith(f".{wanted}")


def from_config(key: str, record: Record, overrides: Sequence[str]) -> str:
    found = {}
    if (record.folder / CONFIG).is_file():
        config = yaml.load((record.folder / CONFIG).read_text(encoding="utf-8"), Loader=LOADER)
        found = {path: value for path, value in leaves(config) if ends_with(path, key)}
    if len(found) == 1:
        return str(next(iter(found.values())))
    told = f"is any of {', '.join(found)}" if found else f"is no key of {record.folder}"
    raise ConfigError(f"{key}: {told}; overrides are {', '.join(dict.fromkeys(overrides)) or 'none'}")


def leaves(config: Any, path: str = "") -> "list[tuple[str, Any]]":
    if not isinstance(config, dict):
        return [(path, config)]
    return [
        leaf for key, value in config.items() for leaf in leaves(value, f"{path}.{key}" if path else str(key))
    ]
