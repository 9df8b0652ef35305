"""What a command line composes, as plain values; what Hydra and OmegaConf say of it, in one line."""

import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pare.errors import ConfigError
from pare.provenance import UNTRACKED, digest

TOKEN = secrets.token_hex(4)  # sweeps started in the same second get different folders
OmegaConf.register_new_resolver("pare.token", lambda: TOKEN, replace=True)


def by_start(scratch: Any, pretrained: Any, *, _parent_: DictConfig, _root_: DictConfig) -> Any:
    """What suits weights drawn at random, or those of a path: of the last students, else of the model."""
    models = next(filter(None, map(students_of, until(_parent_))), None) or mappings(_root_.get("model"))
    return pretrained if models and all(model.get("path") for model in models) else scratch


def until(node: DictConfig) -> Iterator[Any]:
    """The groups that it lies in and what stands before each of them, backwards from it."""
    while isinstance(above := node._get_parent(), DictConfig):
        parts = [above._get_node(name) for name in above]
        yield from reversed(parts[: [part is node for part in parts].index(True)])
        node = above
        yield node


def students_of(stage: Any) -> list[DictConfig]:
    if not isinstance(stage, DictConfig):
        return []
    several = stage.get("students")
    return mappings(stage.get("student"), *(several.values() if isinstance(several, DictConfig) else ()))


def mappings(*found: Any) -> list[DictConfig]:
    """What can be a model; of what else was given those tell that build it."""
    return [one for one in found if isinstance(one, DictConfig) and ("path" in one or "architecture" in one)]


def by_train(own: Any, *, _node_: Node, _parent_: DictConfig, _root_: DictConfig) -> Any:
    """In a stage what the job's `train` has under the same key; in that itself, or without one, `own`."""
    train, key = _root_.get("train"), _node_._key()
    return own if train is _parent_ or not isinstance(train, DictConfig) or key not in train else train[key]


def told_once(problems: Sequence[str]) -> list[str]:
    """Without those that stages have only because they do as `train` does."""

    def of_train(problem: str) -> str:
        stage, found, _ = problem.partition(".train.")
        return problem.replace(f"{stage}.", "") if found else problem

    return [one for one in problems if of_train(one) == one or of_train(one) not in problems]


OmegaConf.register_new_resolver("pare.start", by_start, replace=True)
OmegaConf.register_new_resolver("pare.train", by_train, replace=True)

#: what Hydra and OmegaConf raise of what cannot be composed; a file that is no YAML they let through
REFUSALS = (HydraException, OmegaConfBaseException, YAMLError)
NOISE = ("Config search path", "provider=", "full_key:", "object_type=", "See https://", "To append to your")
#: how Hydra's grammar says where it comes to a character that it does not know
UNKNOWN = "LexerNoViableAltException: "
#: what the grammar takes outside quotes inside of an element
TAKEN = re.compile(r"[\w/\\+.$%*@?|: \t=-]*", re.ASCII)
#: what stands between elements, of which the last three may also be part of one
BETWEEN = (r",\[\]{}():", r",\[\]{}")


def conf_folder() -> Path:
    """conf/ of the repository, or the copy that an installed package carries."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "conf"


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as dicts and lists, interpolations resolved; a value that cannot be had is a ConfigError."""
    try:
        found = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as e:
        raise ConfigError(f"{e.full_key or 'config'}: {first_line(e)}") from None
    assert isinstance(found, dict)
    return {str(key): with_text_keys(value) for key, value in found.items()}


def with_text_keys(node: Any) -> Any:
    """`{1: person}` is YAML, but no JSON, which configs are kept as."""
    if isinstance(node, dict):
        return {str(key): with_text_keys(value) for key, value in node.items()}
    return [with_text_keys(value) for value in node] if isinstance(node, list) else node


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def parts(overrides: Sequence[str], *keys: str) -> dict[str, Any]:
    """What a command line composes for these keys, whatever is missing elsewhere."""
    cfg = composed(overrides)
    if absent := [key for key in keys if key not in cfg]:
        raise ConfigError(f"{key}: missing; it is needed here" for key in absent)
    return {key: plain(cfg[key]) for key in keys}


def key_of(config: Mapping[str, Any]) -> str:
    """Names what a job does: the same key, the same result."""
    return digest({k: v for k, v in config.items() if k not in UNTRACKED})[:16]


def override_keys(overrides: Sequence[str]) -> list[str]:
    """What each override changes: a group or a key."""
    try:
        return [str(o.key_or_group) for o in OverridesParser.create().parse_overrides(list(overrides))]
    except HydraException as e:
        raise ConfigError(one_line(e)) from None


def changed(config: Mapping[str, Any], overrides: Sequence[str]) -> DictConfig:
    """A config with keys of it set as a command line sets them."""
    with TemporaryDirectory() as folder:
        OmegaConf.save(OmegaConf.create(dict(config)), Path(folder) / "config.yaml")
        return composed(overrides, Path(folder))


def composed(overrides: Sequence[str], folder: Path | None = None) -> DictConfig:
    """What a command line composes, of Pare's files or those in `folder`."""
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(folder or conf_folder())):
            return compose("config", overrides=list(overrides))
    except (*REFUSALS, ValueError) as e:  # `measure=5` is a ValueError
        raise ConfigError(one_line(e)) from None


def one_line(error: Exception) -> str:
    """An error of Hydra's and its cause, in one line, without what helps only its developers."""
    causes = [str(e) for e in (error, error.__cause__) if e is not None]
    lines = [line.strip() for text in causes for line in text.splitlines()]
    override = getattr(error, "override", None)
    if override and (found := re.search(rf"^{UNKNOWN}.*\n( *)\^$", str(error), re.DOTALL | re.MULTILINE)):
        return unknown_sign(override, len(found[1]) - len(UNKNOWN))
    told = dict.fromkeys(line for line in lines if line and not line.startswith(NOISE))
    start = f"{override}: " if override else ""
    return start + " ".join(told)


def unknown_sign(override: str, place: int) -> str:
    """What to say of a sign that Hydra's grammar, which takes few outside quotes, does not take there."""
    key, _, value = override.partition("=")
    sign = override[place]
    if place < len(key):
        return f"{override}: {sign!r} can be in no key; KEY=VALUE is needed"
    if re.fullmatch(r"~/[^,'\"]*", value):  # which not all that take a folder would know for it
        return f"{override}: the shell left this ~ as it is; write \"{key}='$HOME{value[1:]}'\""
    for between in BETWEEN:
        written = f"{key}={in_quotes(value, between)}"
        with suppress(HydraException):
            OverridesParser.create().parse_override(written)
            return f"{override}: {sign!r} needs quotes here: {shlex.quote(written)}"
    return f"{override}: {sign!r} is not taken here without quotes; in a YAML file it is"


def in_quotes(value: str, between: str) -> str:
    """Each element of it that the grammar does not take is in quotes. between: what stands between them."""
    element = rf"(?P<quoted>\"[^\"]*\"|'[^']*')|[^\s{between}](?:[^{between}]*[^\s{between}])?"

    def written(found: re.Match[str]) -> str:
        return found[0] if found["quoted"] or TAKEN.fullmatch(found[0]) else f'"{found[0]}"'

    return re.sub(element, written, value)
