"""Faults: which errors are told to people in one line, and which are bugs that need their traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_OURS = {"kg", "encoders", "fusion", "eval", "serve", "train.py"}


def is_told(error: BaseException) -> bool:
    """Whether a `raise` of this project made the error: then it says what is wrong with what was given."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(last.filename)
    ours = file.is_relative_to(_ROOT) and file.relative_to(_ROOT).parts[0] in _OURS
    return ours and (last.line or "").startswith("raise ")
