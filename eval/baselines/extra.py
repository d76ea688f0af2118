"""Packages that only the `benchmark` extra brings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kg.errors import InputError


class MissingExtraError(InputError):
    """A package that only the `benchmark` extra brings is not installed."""


@contextmanager
def extra() -> Iterator[None]:
    """Around the import of a package that only the `benchmark` extra brings.

    Raises:
        MissingExtraError: It is not there; the message says how to install it.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{error}: this baseline needs `pip install 'trousseau[benchmark]'`"
        ) from error
