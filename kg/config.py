"""Recipes: TOML laid over frozen, typed dataclasses; a mistake is one clear error before any work starts."""

from __future__ import annotations

import importlib
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from kg.errors import InputError
from kg.times import MOMENT, days_of

T = TypeVar("T")

COMPONENT = "component"
Component = Annotated[T, COMPONENT]
"""A field whose class the recipe names: `split: Component[Splitter]` reads `class = "kg.split.time:TimeSplit"` and then that
class's own fields. The class must be a dataclass; its instance must be a Splitter, a class or a runtime-checkable
protocol (`Component[Any]`: anything)."""

_CLASS = re.compile(r"(kg|encoders|fusion|eval)(\.\w+)*:\w+")
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}


class _Overrides(dict[str, Any]):
    """A table that no file has, only overrides: it alters a default's tables where a file's table replaces them."""


def build(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """Fill a dataclass from plain values; the inverse of `to_dict`.

    A table is laid over the field's default, so what it leaves out keeps the default's value;
    but the keys of a dict are those given, and a component of another class than the default's
    starts from that class's own defaults.

    Args:
        kind: A dataclass whose fields are bool, int, float, str, Literal, a dataclass, a
            Component, a tuple or a dict[str, ...] of these, or any of them `| None`.
        data: The values: tables as mappings, arrays as lists or tuples.
        where: What the error message calls the data; the file's name.

    Raises:
        InputError: A key is unknown or missing, a value has the wrong type, or a class
            refuses its values.
    """
    try:
        return _build(kind, data, "", None)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error.__cause__


def load(kind: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> T:
    """Read a recipe file, or the defaults alone where path is None, and lay `key.key=value` overrides over it.

    An override's value is written as in TOML; a bare word is a string: `text.tune=lora`,
    `training.epochs=3`.

    Raises:
        InputError: As `build`; or the file cannot be read, or an override is malformed.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{path}: cannot read the recipe: {error.strerror}"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a TOML file: {error}") from None
    for override in overrides:
        _override(data, override)
    where = " with ".join(["the defaults" if path is None else str(path), *overrides])
    return build(kind, data, where)


def to_dict(recipe: Any) -> dict[str, Any]:
    """Every value of a recipe, defaults included, as plain JSON values; components carry their "class"."""
    hints = get_type_hints(type(recipe), include_extras=True)
    return {
        f.name: _plain(getattr(recipe, f.name), hints[f.name])
        for f in fields(recipe)
        if f.init
    }


def _build(kind: type[T], data: Any, path: str, base: Any) -> T:
    """Fill `kind`; fields that data leaves out come from `base`, an instance of `kind`, where there is one."""
    if not isinstance(data, Mapping):
        raise _wrong(path, "a table", data)
    hints = get_type_hints(kind, include_extras=True)
    known = {f.name: f for f in fields(cast(Any, kind)) if f.init}
    for key in data:
        if key not in known:
            raise _fault(_join(path, key), f"unknown key{_guess(key, known)}")
    values: dict[str, Any] = {}
    for name, spec in known.items():
        default = _default(spec) if base is None else getattr(base, name)
        if name in data:
            inner = None if default is MISSING else default
            values[name] = _convert(data[name], hints[name], _join(path, name), inner)
        elif default is MISSING:
            raise _fault(_join(path, name), "missing; it has no default")
        else:
            values[name] = default
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise _fault(path, str(error)) from error


def _convert(value: Any, hint: Any, path: str, base: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        if MOMENT in args[1:] and isinstance(value, date):
            return days_of(value)
        return (
            _component(value, args[0], path, base)
            if COMPONENT in args[1:]
            else _convert(value, args[0], path, base)
        )
    if origin in (Union, types.UnionType):
        return _union(value, args, path, base)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in args):
            raise _fault(
                path, f"must be one of {', '.join(map(repr, args))}, not {value!r}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(path, "an array", value)
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise _fault(path, f"must have {len(args)} elements, not {len(value)}")
        kinds = args[:1] * len(value) if args[-1] is Ellipsis else args
        pairs = enumerate(zip(value, kinds, strict=True))
        return tuple(_convert(v, kind, f"{path}[{i}]", None) for i, (v, kind) in pairs)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(path, "a table", value)
        old = dict(base or {})
        return (old if isinstance(value, _Overrides) else {}) | {
            k: _convert(v, args[1], _join(path, k), old.get(k))
            for k, v in value.items()
        }
    if is_dataclass(hint):
        return _build(
            cast(type[Any], hint), value, path, base if type(base) is hint else None
        )
    if hint is Any:
        return value
    if hint is float and type(value) is int:
        return float(value)
    if hint not in _WORDS:
        raise InputError(f"{path}: a recipe cannot fill a field of type {hint}")
    if (
        type(value) is not hint or value != value
    ):  # NaN passes every check that a class makes
        raise _wrong(path, _WORDS[hint], value)
    return value


def _union(value: Any, args: tuple[Any, ...], path: str, base: Any) -> Any:
    kinds = [kind for kind in args if kind is not types.NoneType]
    if value is None and len(kinds) < len(args):
        return None
    errors = []
    for kind in kinds:
        try:
            return _convert(value, kind, path, base)
        except InputError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise _wrong(
        path, " or ".join(_WORDS.get(kind, str(kind)) for kind in kinds), value
    )


def _component(value: Any, expected: Any, path: str, base: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(path, 'a table with class = "module:Class"', value)
    rest = dict(value)
    # A default without keys is none that the given keys could be laid over.
    usual = None if base is None or (rest and not fields(base)) else class_name(base)
    name = rest.pop("class", usual)
    if name is None:
        raise _fault(_join(path, "class"), 'missing; write class = "module:Class"')
    kind = _find(name, _join(path, "class"))
    made = _build(kind, rest, path, base if type(base) is kind else None)
    if (
        isinstance(expected, type)
        and expected is not Any
        and not isinstance(made, expected)
    ):
        raise _fault(_join(path, "class"), f"{name} is no {expected.__name__}")
    return made


def _find(name: Any, path: str) -> type[Any]:
    """The dataclass that "module:Class" names. Only this project's own modules are ever imported."""
    if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise _fault(
            path,
            f'must be "module:Class" in kg, encoders, fusion or eval, not {name!r}',
        )
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise _fault(path, f"cannot import {module_name}: {error}") from error
    found = getattr(module, attribute, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        ours = [
            n
            for n, v in vars(module).items()
            if isinstance(v, type) and is_dataclass(v)
        ]
        raise _fault(
            path,
            f"{module_name} has no dataclass {attribute!r}{_guess(attribute, ours)}",
        )
    return found


def class_name(component: Any) -> str:
    """The "module:Class" by which a recipe names a component."""
    return f"{type(component).__module__}:{type(component).__qualname__}"


def _plain(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # An optional field: None, or what the one other member of the union makes of it.
        return next(
            (_plain(value, kind) for kind in args if kind is not types.NoneType), None
        )
    if origin is Annotated and COMPONENT in args[1:] and value is not None:
        return {"class": class_name(value), **to_dict(value)}
    if is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        kinds = args[:1] * len(value) if args[-1:] == (...,) else args
        return [_plain(v, kind) for v, kind in zip(value, kinds, strict=True)]
    if isinstance(value, Mapping):
        return {k: _plain(v, args[1]) for k, v in value.items()}
    return value


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    keys = [part.strip() for part in key.split(".")]
    text = text.strip()
    if not equals or not all(keys) or not text:
        raise InputError(
            f"override {override!r}: write key.key=value, as in training.epochs=3"
        )
    try:
        value = tomllib.loads(f"value = {text}\n")["value"]
    except tomllib.TOMLDecodeError as error:
        if text[0] in "[{\"'":
            raise InputError(f"override {override!r}: {error}") from None
        value = text
    for part in keys[:-1]:
        data = data.setdefault(part, _Overrides())
        if not isinstance(data, dict):
            raise InputError(f"override {override!r}: {part} is a value, not a table")
    data[keys[-1]] = value


def _default(spec: Field[Any]) -> Any:
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)


def _fault(path: str, message: str) -> InputError:
    return InputError(f"{path}: {message}" if path else message)


def _wrong(path: str, wanted: str, value: Any) -> InputError:
    return _fault(path, f"must be {wanted}, not the {type(value).__name__} {value!r}")


def _guess(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    near = get_close_matches(word, known, 1)
    return (
        f"; did you mean {near[0]!r}?"
        if near
        else f"; there are {', '.join(known)}"
        if known
        else ""
    )
