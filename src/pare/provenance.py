"""What a result depends on besides its inputs: the values, the code, the packages."""

import ast
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path, PurePath

from pare import machine

#: keys of a config that say how a job is carried out and told of, and nothing of what it is
HOW = ("store", "tracker", "sweep", "engine")
#: those that do not change its result
UNTRACKED = (*HOW, "name", "measure", "bundle", "expect")
_SOURCE_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "torch-pruning",
    "nncf",
    "onnx",
    "onnxruntime-gpu",
    "onnxruntime",
    "hydra-core",
    "omegaconf",
    "wandb",
    "numpy",
)


def canonical_json(value: object) -> str:
    """The one text that stands for a value: sorted keys, no white space, no NaN or Infinity."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def digest_of_rows(rows: Iterable[object]) -> str:
    """One digest of many values, of which one is in memory at a time."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(canonical_json(row).encode("ascii") + b"\n")
    return sha.hexdigest()


def split_digest(texts: Iterable[object], truths: Iterable[object]) -> str:
    """Names the rows that scores are of."""
    return digest_of_rows(zip(texts, truths, strict=True))[:16]


def file_digest(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file's content, read in pieces."""
    sha, buffer = hashlib.sha256(), bytearray(1 << 20)
    view = memoryview(buffer)
    with Path(path).open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            sha.update(view[:count])
    return sha.hexdigest()


@cache
def code_digest(module: str, root: Path | None = None) -> str:
    """
    The sha256 over the source of a module and of all it imports, transitively, from its own top package.

    `root` is the folder that holds the top package, where Python finds it if not given: a task or a stage may
    come from a package of the user's own. Only import statements are followed: what a module
    reaches through `importlib.import_module` or a `_target_` string is not seen. Each file is read once
    per process, so the digest stays that of the code as it was when first asked for.
    """
    top = module.partition(".")[0]
    root = (root or _root_of(top)).resolve()
    if _module(module, root) is None:
        raise ModuleNotFoundError(f"{module}: no source file under {root}")
    sources: dict[str, str] = {}
    seen: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name in seen or name.partition(".")[0] != top:
            continue
        seen.add(name)
        pending.append(name.rpartition(".")[0] or name)  # importing a.b runs a/__init__.py first
        if found := _module(name, root):
            sources[name] = found.sha256
            pending.extend(found.imports)
    return digest(sources)


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each package, None where it is not installed."""
    return {name: _version(name) for name in packages}


def environment() -> dict[str, object]:
    """The software and the machine of this process; what cannot be found out is None or empty."""
    import platform

    return {
        "python": platform.python_version(),
        "packages": versions(_PACKAGES),
        "platform": platform.platform(),
        "cpu": machine.cpu(),
        "cores": machine.cores(),
        "memory_gb": machine.memory_gb(),
        "gpu": machine.gpus(),
        "git": _git(),
    }


def _plain(value: object) -> object:
    kind = type(value)
    if isinstance(value, Enum):
        return {"class": f"{kind.__module__}.{kind.__qualname__}", "name": value.name}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": f"{kind.__module__}.{kind.__qualname__}", **fields}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):  # json would write 1 and "1" alike
                raise TypeError(f"mapping key {key!r} is a {type(key).__name__}; only str is allowed")
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(
        f"{value!r} is a {kind.__name__}; str, int, float, bool, None, list, tuple, mapping, Path, "
        "dataclass and Enum are allowed"
    )


@dataclasses.dataclass(frozen=True)
class _Module:
    sha256: str
    imports: frozenset[str]


@cache
def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@cache
def _root_of(top: str) -> Path:
    if top == __name__.partition(".")[0]:
        return _SOURCE_ROOT
    from importlib.util import find_spec

    found = find_spec(top)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{top}: no source file that Python can find")
    file = Path(found.origin)
    return file.parents[1] if file.name == "__init__.py" else file.parent


@cache
def _module(name: str, root: Path) -> _Module | None:
    place = root.joinpath(*name.split("."))
    for file, package in (
        (place / "__init__.py", name),
        (place.with_name(place.name + ".py"), name.rpartition(".")[0]),
    ):
        if file.is_file():
            source = file.read_bytes()
            imports = frozenset(_imports(ast.parse(source, str(file)), package))
            return _Module(hashlib.sha256(source).hexdigest(), imports)
    return None  # an attribute of a module, or a package without __init__.py


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and _type_checking(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)  # the name may be a module
        pending.extend(ast.iter_child_nodes(node))


def _type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _git() -> dict[str, object] | None:
    commit = machine.output_of("git", "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = machine.output_of("git", "status", "--porcelain")
    return {"commit": commit.strip(), "dirty": None if changes is None else bool(changes.strip())}
