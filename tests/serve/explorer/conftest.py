"""A real browser that visits the explorer of a new server."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BROWSER = (
    os.environ.get("TROUSSEAU_BROWSER")
    or shutil.which("chromium")
    or shutil.which("google-chrome")
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed"
    )
    if BROWSER is None:
        pytest.skip(
            "there is no chromium; install one, or name one in TROUSSEAU_BROWSER"
        )
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, listening: Callable[..., str]) -> Iterator[Callable[..., Any]]:
    """Opens the explorer of a new server: visit(phone=True, keys=...).

    Fails where the page's console complains.
    """
    opened = []

    def go(phone: bool = False, **settings: Any) -> Any:
        size = (
            {"width": 390, "height": 844} if phone else {"width": 1400, "height": 900}
        )
        context = chromium.new_context(viewport=size)
        page = context.new_page()
        page.set_default_timeout(60_000)
        told: list[str] = []
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on(
            "console",
            lambda m: (
                told.append(m.text)
                if m.type == "error" and "status of 4" not in m.text
                else None
            ),
        )
        page.goto(listening(**settings))
        opened.append((context, told))
        return page

    yield go
    for context, told in opened:
        context.close()
        assert told == []
