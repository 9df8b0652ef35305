"""From plain YAML values to frozen dataclasses: the dataclass is the schema, every mistake is reported.

A mapping with `_target_: pare.…` becomes an object of that class; a mapping where the field's type is a
dataclass becomes one without saying so. Nothing outside `pare.` can be named.
"""

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

TARGET = "_target_"
_MISTAKE = object()


def build(value: Any, where: str, problems: list[str], expected: Any = Any) -> Any:
    """The object that `value` describes. Appends one line to `problems` for each mistake, naming its key."""
    if isinstance(value, Mapping) and TARGET in value:
        cls = resolve(value[TARGET], where, problems)
        if cls is None:
            return _MISTAKE
        if expected is not Any and not any(issubclass(cls, c) for c in classes_in(expected)):
            problems.append(f"{where}.{TARGET}: {value[TARGET]} is not {describe(expected)}")
            return _MISTAKE
        return build_object(cls, {k: v for k, v in value.items() if k != TARGET}, where, problems)
    return fit(value, expected, where, problems)


def resolve(target: Any, where: str, problems: list[str]) -> type | None:
    """The dataclass that a `_target_` names."""
    module, _, name = str(target).rpartition(".")
    if not module.startswith("pare."):
        problems.append(f"{where}.{TARGET}: {target!r} is not allowed, only classes under pare. are")
        return None
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError:
        found = None
    if not (isinstance(found, type) and is_dataclass(found)):
        problems.append(f"{where}.{TARGET}: there is no class {target}")
        return None
    return found


@cache
def schema(cls: type) -> dict[str, tuple[Field[Any], Any]]:
    """Fields and their types by name."""
    hints = get_type_hints(cls)
    return {f.name: (f, hints[f.name]) for f in fields(cls) if f.init}


def build_object(cls: type, values: Mapping[str, Any], where: str, problems: list[str]) -> Any:
    """An instance of the dataclass, or a mark that there is none."""
    before = len(problems)
    known = schema(cls)
    for key in values:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            problems.append(f"{where}.{key}: {cls.__name__} has no such key; {hint}")
    arguments = {}
    for name, (field, hint) in known.items():
        if name in values:
            arguments[name] = build(values[name], f"{where}.{name}", problems, hint)
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{where}.{name}: missing; {describe(hint)} is needed")
    if len(problems) > before:
        return _MISTAKE
    try:
        return cls(**arguments)
    except ValueError as e:
        problems.append(f"{where}.{e}")
        return _MISTAKE


def fit(value: Any, expected: Any, where: str, problems: list[str]) -> Any:
    """`value` as the expected type has it: lists become tuples, ints floats, numbers text; nothing else."""
    if expected is Any:
        return value
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    for option in options:
        origin = get_origin(option)
        if option is type(None):
            if value is None:
                return None
        elif origin is Literal:
            if any(value == choice and type(value) is type(choice) for choice in get_args(option)):
                return value
        elif origin is tuple:
            if isinstance(value, Sequence) and not isinstance(value, str):
                item = get_args(option)[0]
                return tuple(build(v, f"{where}.{i}", problems, item) for i, v in enumerate(value))
        elif origin is Mapping:
            if isinstance(value, Mapping):
                item = get_args(option)[1]
                return {str(key): build(v, f"{where}.{key}", problems, item) for key, v in value.items()}
        elif isinstance(option, type) and is_dataclass(option):
            if isinstance(value, Mapping):
                return build_object(option, value, where, problems)
        elif option is float:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
        elif option is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        elif option is str:
            if isinstance(value, str):
                return value
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return str(value)  # the command line makes a number of `positive=1`
        elif isinstance(option, type) and isinstance(value, option):
            return value
    problems.append(f"{where}: found {value!r}; {describe(expected)} is needed")
    return _MISTAKE


def classes_in(expected: Any) -> list[type]:
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    return [option for option in options if isinstance(option, type)]


def describe(expected: Any) -> str:
    """A type in words."""
    if get_origin(expected) in (Union, types.UnionType):
        return " or ".join(describe(option) for option in get_args(expected))
    if get_origin(expected) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(expected))
    if get_origin(expected) is tuple:
        return f"a list of {describe(get_args(expected)[0])}"
    if get_origin(expected) is Mapping:
        return f"a mapping of names to {describe(get_args(expected)[1])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return names.get(expected, f"a {getattr(expected, '__name__', expected)}")
