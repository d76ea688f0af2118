"""Errors: what is wrong with what was given, told to people in one line; anything else is a bug.

Every `main`, and the server, catches `TrousseauError` and tells its message. An error of
another class keeps its traceback: it is a fault of ours.
"""

from __future__ import annotations


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
