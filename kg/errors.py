"""Errors: what is wrong with what was given, told to people in one line; anything else is a bug.

Every `main`, and the server, catches `TrousseauError` and tells its message. An error of
another class keeps its traceback: it is a fault of ours.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


class TrousseauError(Exception):
    """What was given cannot be used.

    Args:
        message: One line: what is wrong, where, and what to do.
        field: The setting, argument or column that it is about, as `plan.budget`; "" where
            there is none.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class InputError(TrousseauError, ValueError):
    """A setting, an argument or a file that was given does not fit."""


class DataError(TrousseauError, ValueError):
    """Tables, a schema or a graph break a rule."""


class StoreError(TrousseauError, RuntimeError):
    """A store cannot be reached, opened or read; the message says where and what to do."""


class RunError(TrousseauError, RuntimeError):
    """A run cannot be written or opened; the message names the folder, the fault and the remedy."""


def field_error(field: str, message: str) -> InputError:
    """What is wrong with a field, named by its dotted key; "" for the whole."""
    return InputError(f"{field}: {message}" if field else message, field=field)


def inside(path: str, error: Exception) -> InputError:
    """What a part refused, as an error of the whole: named by the part's dotted path, once."""
    field, message = str(getattr(error, "field", "")), str(error)
    # A class may name its own key in full, and then it is not named twice.
    if path and not message.startswith((f"{path}.", f"{path}:")):
        message = f"{path}: {message}"
    if not field.startswith(f"{path}."):
        field = ".".join(filter(None, (path, field)))
    return InputError(message, field=field)


def near_miss(word: str, known: Collection[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    near = get_close_matches(word, known, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}" if known else ""
