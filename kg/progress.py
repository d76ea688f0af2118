"""Progress bars: drawn on a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm as drawn

EVERY = 10.0  # seconds between two lines of a log


def tqdm(*arguments: Any, **settings: Any) -> Any:
    """A bar as tqdm makes it; where stderr is no terminal, one that writes lines instead."""
    if sys.stderr.isatty():
        return drawn(*arguments, **settings)
    # What is done within the first ten seconds leaves no line at all.
    quiet = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY}
    return LogBar(*arguments, **{"ascii": True, **quiet, **settings})


class LogBar(drawn):  # type: ignore[misc]  # tqdm ships no types
    """A bar in a file: whole lines, and none that is drawn over."""

    disable: bool

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """What writes one state of the bar."""

        def write(state: str) -> None:
            if line := state.strip():
                file.write(f"{line}\n")
                file.flush()

        return write

    def moveto(self, n: int) -> None:
        """A file has no cursor to move."""

    def close(self) -> None:
        """End; a bar that was written before and is to stay writes where it ended."""
        if self.disable:
            return
        written = self.last_print_t >= self.start_t + self.delay
        self.disable = True
        self._decr_instances(self)
        if written and self.leave:
            self.sp(str(self))
