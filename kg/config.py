"""Recipes: TOML laid over frozen, typed dataclasses; a mistake is one clear error at the start."""

from __future__ import annotations

import importlib
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
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

from kg.errors import InputError, field_error, inside, near_miss
from kg.scalars import TYPE_NAMES, choice, scalar, wrong_type
from kg.times import MOMENT, days_of

T = TypeVar("T")

COMPONENT = "component"
Component = Annotated[T, COMPONENT]
"""A field whose class the recipe names.

`split: Component[Splitter]` reads `class = "kg.split.time:TimeSplit"`, then that class's own
fields. The class must be a dataclass; its instance must be a Splitter, a class or a
runtime-checkable protocol (`Component[Any]`: anything).
"""

_CLASS = re.compile(r"(kg|encoders|fusion|eval)(\.\w+)*:\w+")


class _Overrides(dict[str, Any]):
    """A table of overrides alone: it alters a default's tables where a file's replaces them."""


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
            refuses its values; `field` is the dotted key.
    """
    try:
        return _build(kind, data, "", None)
    except InputError as error:
        message = f"{where}: {error}"
        raise InputError(message, field=error.field) from error.__cause__


def load(kind: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> T:
    """Read a recipe file and lay `key.key=value` overrides over it; without a path, over defaults.

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
    """Every value of a recipe, defaults included, as JSON has them; components with a "class"."""
    hints = get_type_hints(type(recipe), include_extras=True)
    return {
        f.name: _plain(getattr(recipe, f.name), hints[f.name])
        for f in fields(recipe)
        if f.init
    }


def _build(kind: type[T], data: Any, path: str, base: Any) -> T:
    """Fill `kind`; what data leaves out comes from `base`, an instance of it, if any."""
    if not isinstance(data, Mapping):
        raise wrong_type(path, "a table", data)
    hints = get_type_hints(kind, include_extras=True)
    known = {f.name: f for f in fields(cast(Any, kind)) if f.init}
    for key in data:
        if key not in known:
            raise field_error(_join(path, key), f"unknown key{near_miss(key, known)}")
    values: dict[str, Any] = {}
    for name, spec in known.items():
        default = _default(spec) if base is None else getattr(base, name)
        if name in data:
            inner = None if default is MISSING else default
            values[name] = _convert(data[name], hints[name], _join(path, name), inner)
        elif default is MISSING:
            raise field_error(_join(path, name), "missing; it has no default")
        else:
            values[name] = default
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise inside(path, error) from error


def _convert(value: Any, hint: Any, path: str, base: Any) -> Any:
    """A value as its field's type wants it; `base` is the field's default, if any."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(value, args, path, base)
    if origin in (Union, types.UnionType):
        return _union(value, args, path, base)
    if origin is Literal:
        return choice(value, args, path)
    if origin is tuple:
        return _tuple(value, args, path)
    if origin in (dict, Mapping):
        return _table(value, args[1], path, base)
    if is_dataclass(hint):
        kind = cast(type[Any], hint)
        return _build(kind, value, path, base if type(base) is hint else None)
    return value if hint is Any else scalar(value, hint, path)


def _annotated(value: Any, args: tuple[Any, ...], path: str, base: Any) -> Any:
    kind, *marks = args
    if MOMENT in marks and isinstance(value, date):
        return days_of(value)
    if COMPONENT in marks:
        return _component(value, kind, path, base)
    return _convert(value, kind, path, base)


def _tuple(value: Any, args: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise wrong_type(path, "an array", value)
    kinds = args
    if args[-1] is Ellipsis:
        kinds = args[:1] * len(value)
    if len(value) != len(kinds):
        raise field_error(path, f"must have {len(kinds)} elements, not {len(value)}")
    return tuple(
        _convert(element, kind, f"{path}[{at}]", None)
        for at, (element, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _table(value: Any, kind: Any, path: str, base: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise wrong_type(path, "a table", value)
    usual = dict(base or {})
    given = {
        key: _convert(inner, kind, _join(path, key), usual.get(key))
        for key, inner in value.items()
    }
    return {**usual, **given} if isinstance(value, _Overrides) else given


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
    raise wrong_type(
        path, " or ".join(TYPE_NAMES.get(kind, str(kind)) for kind in kinds), value
    )


def _component(value: Any, expected: Any, path: str, base: Any) -> Any:
    if not isinstance(value, Mapping):
        raise wrong_type(path, 'a table with class = "module:Class"', value)
    rest = dict(value)
    # A default without keys is none that the given keys could be laid over.
    usual = None if base is None or (rest and not fields(base)) else class_name(base)
    name = rest.pop("class", usual)
    if name is None:
        raise field_error(_join(path, "class"), 'missing; write class = "module:Class"')
    kind = _find(name, _join(path, "class"))
    made = _build(kind, rest, path, base if type(base) is kind else None)
    if (
        isinstance(expected, type)
        and expected is not Any
        and not isinstance(made, expected)
    ):
        raise field_error(_join(path, "class"), f"{name} is no {expected.__name__}")
    return made


def _find(name: Any, path: str) -> type[Any]:
    """The dataclass that "module:Class" names; only this project's own modules are imported."""
    if not isinstance(name, str) or not _CLASS.fullmatch(name):
        raise field_error(
            path,
            f'must be "module:Class" in kg, encoders, fusion or eval, not {name!r}',
        )
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise field_error(path, f"cannot import {module_name}: {error}") from error
    found = getattr(module, attribute, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        ours = [
            n
            for n, v in vars(module).items()
            if isinstance(v, type) and is_dataclass(v)
        ]
        raise field_error(
            path,
            f"{module_name} has no dataclass {attribute!r}{near_miss(attribute, ours)}",
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
