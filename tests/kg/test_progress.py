"""Progress on a terminal and in a log."""

import io
import sys

from kg import progress


def test_a_log_gets_whole_lines_and_hardly_any(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress.tqdm(total=3, desc="counting") as bar:
        for _ in range(3):
            bar.update()
    written = log.getvalue()
    assert written.endswith("\n") and "\r" not in written and "\n\n" not in written
    assert written.splitlines()[-1].startswith("counting: 100%")


def test_what_is_soon_done_leaves_no_line(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(progress.tqdm(range(1000), desc="tokenising")) == list(range(1000))
    assert log.getvalue() == ""


def test_a_hidden_bar_stays_hidden(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    for _ in progress.tqdm(range(9), disable=True):
        pass
    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar_that_is_drawn_over(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.tqdm(total=2, desc="training") as bar:
        bar.update(2)
    assert "\r" in terminal.getvalue()
