"""Single values of a recipe: what each type is called, and whether a value has it."""

from __future__ import annotations

from typing import Any

from kg.errors import InputError, field_error

TYPE_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}


def choice(
    value: Any,
    choices: tuple[Any, ...],
    path: str,
) -> Any:
    """The value, which must be one of some choices and of its type."""
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    named = ", ".join(map(repr, choices))
    raise field_error(path, f"must be one of {named}, not {value!r}")


def scalar(
    value: Any,
    hint: Any,
    path: str,
) -> Any:
    """The value, which must be a bool, an int, a float or a str, as `hint` says."""
    if hint is float and type(value) is int:
        return float(value)
    if hint not in TYPE_NAMES:
        raise field_error(path, f"a recipe cannot fill a field of type {hint}")
    # NaN passes every check that a class makes.
    if type(value) is not hint or value != value:
        raise wrong_type(path, TYPE_NAMES[hint], value)
    return value


def wrong_type(
    path: str,
    wanted: str,
    value: Any,
) -> InputError:
    """The error of a value that is of another type than wanted."""
    return field_error(
        path, f"must be {wanted}, not the {type(value).__name__} {value!r}"
    )
