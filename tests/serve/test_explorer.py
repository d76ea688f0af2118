"""The explorer in a real browser: the main story, by keyboard, on a phone, with errors; axe finds nothing."""

import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest

BROWSER = (
    os.environ.get("TROUSSEAU_BROWSER")
    or shutil.which("chromium")
    or shutil.which("google-chrome")
)
SHOTS = os.environ.get("TROUSSEAU_SCREENSHOTS")  # a folder to keep pictures in


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
    """Opens the explorer of a new server: visit(phone=True, keys=...); fails where the page's console complains."""
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


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def axe(page: Any) -> list[Any]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]


def answered(page: Any) -> None:
    page.wait_for_selector("#status:has-text(' ms')")
    page.wait_for_selector("#found[aria-busy=false]")


def test_the_main_story(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    shot(page, "empty")
    assert axe(page) == []
    page.fill("#text", "black chair")
    page.keyboard.press("Enter")
    answered(page)
    assert "black" in page.inner_text("#found li >> nth=0")
    assert not re.search(
        r"words|graph|language|%", page.inner_text("#answers")
    )  # a vector's share is no reason
    shot(page, "search")
    page.click("#found li >> nth=0 >> button:has-text('Add')")
    answered(page)
    assert (
        page.is_checked("[value=complete]") and page.locator("#basket li").count() == 1
    )
    page.fill("#text", "")
    page.fill("#user", "u002")
    page.wait_for_selector("#found button[aria-label^='u002 bought']")
    page.click("#found li >> nth=0 >> button:has-text('Why')")
    page.wait_for_selector("#reasons .picture svg")
    dots = page.eval_on_selector_all(
        "#reasons .picture circle",
        "dots => dots.map(d => [d.cx.baseVal.value, d.cy.baseVal.value])",
    )
    assert len(dots) > 2 and all(
        math.dist(*pair) > 26 for pair in combinations(dots, 2)
    )  # none lies on another
    assert page.evaluate("document.activeElement.id") == "why"
    page.wait_for_selector("#reasons >> text=What carries the score")
    carries, rest = (
        page.inner_text("#reasons")
        .split("What carries the score")[1]
        .split(" took ", 1)
    )
    for part in ("paths", "popularity", "words", "vectors"):
        assert re.search(rf"^{part}\s+\S*\d\.\d\d$", carries, re.M)
    assert re.search(
        r"^Its vector: \d+% from words, \d+% from the graph\.$", rest, re.M
    )
    assert "%" not in carries
    page.click("#reasons summary >> nth=0")
    assert "MATCH" in page.inner_text("#reasons pre >> nth=0")
    shot(page, "why")
    assert axe(page) == []
    page.locator("#count").fill("4")
    page.check("[value=build]", force=True)
    page.wait_for_selector("#found .outfit")
    assert page.locator("#found .outfit >> nth=0").locator(".card").count() == 4
    page.click("#found .outfit >> nth=0 >> .card >> nth=1 >> button:has-text('Why')")
    page.wait_for_selector("#reasons h3")
    shot(page, "outfits")
    assert axe(page) == []
    page.click("button:has-text('Take it') >> nth=0")
    assert page.locator("#basket li").count() == 4


def test_with_the_keyboard_alone(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "text":
            break
    page.keyboard.type("white vase")
    page.keyboard.press("Enter")
    answered(page)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Why?":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#reasons h3")
    assert page.evaluate("document.activeElement.id") == "why"


@pytest.mark.parametrize(("width", "height"), [(375, 812), (1280, 900)])
def test_all_of_a_picture_is_seen(
    visit: Callable[..., Any], width: int, height: int
) -> None:
    page = visit()
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=recommend]", force=True)
    page.fill("#user", "u003")
    answered(page)
    page.click("#found li >> nth=0 >> button:has-text('Why')")
    page.wait_for_selector("#reasons >> text=What carries the score")
    shot(page, f"picture-{width}")
    inside = """all => all.map(one => {
        const own = one.getBoundingClientRect(), around = one.closest(".picture").getBoundingClientRect();
        return own.left >= around.left && own.right <= around.right && own.bottom <= around.bottom;
    })"""
    seen = page.eval_on_selector_all("#reasons .picture :is(circle, text)", inside)
    assert len(seen) > 4 and all(seen)
    assert page.eval_on_selector(
        "#reasons .picture", "one => one.scrollWidth <= one.clientWidth"
    )


def test_every_type_has_a_colour_of_its_own(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    types = [
        "user",
        "brand",
        "item",
        "style",
        "bundle",
        *(f"other {n}" for n in range(8)),
    ]
    looks = page.evaluate(
        """async types => {
            const { colour } = await import("/explorer/picture.js");
            const about = { item_type: "item", user_type: "user", bundle_type: "bundle", types };
            return types.map(type => {
                const dot = document.createElement("b");
                dot.className = colour(type, about);
                document.body.append(dot);
                const look = getComputedStyle(dot);
                return look.fill + look.stroke;
            });
        }""",
        types,
    )
    assert len(set(looks)) == len(types)


def test_what_is_nothing_has_no_sign(visit: Callable[..., Any]) -> None:
    page = visit()
    told = page.evaluate(
        "import('/explorer/api.js').then(m => [-0.004, 0.004, -0.006, 1, null].map(m.signed))"
    )
    assert told == ["0.00", "0.00", "\N{MINUS SIGN}0.01", "+1.00", "?"]


def test_on_a_phone(visit: Callable[..., Any]) -> None:
    page = visit(phone=True)
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=recommend]", force=True)
    page.fill("#user", "u003")
    answered(page)
    page.click("#found li >> nth=0 >> button:has-text('Why')")
    page.wait_for_selector("#reasons .path")
    shot(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert axe(page) == []


def test_what_was_bought_changes_the_answer(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=recommend]", force=True)
    page.fill("#user", "u003")
    answered(page)
    first = page.inner_text("#found li >> nth=0 >> h3")
    page.click("#found li >> nth=0 >> button:has-text('Bought it')")
    page.wait_for_selector("text=latest items were considered")
    assert first not in page.locator("#found h3").all_inner_texts()


def test_an_answer_is_narrowed_to_what_is_new_to_the_user_and_explained_so(
    visit: Callable[..., Any],
) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    assert not page.is_visible("#new")
    page.check("[value=recommend]", force=True)
    page.fill("#user", "u003")
    answered(page)
    with page.expect_response(
        lambda r: '"k":30' in (r.request.post_data or "")
    ) as before:
        page.locator("#count").fill("30")
    with page.expect_response(
        lambda r: '"exclude_seen":true' in (r.request.post_data or "")
    ) as after:
        page.check("#new")
    old, new = (
        {item["id"] for item in told.value.json()["items"]} for told in (before, after)
    )
    assert new and old - new
    answered(page)
    shot(page, "new")
    assert axe(page) == []
    with page.expect_request("**/v1/explain") as told:
        page.click("#found li >> nth=0 >> button:has-text('Why')")
    assert told.value.post_data_json["where"]["exclude_seen"] is True
    page.wait_for_selector("#reasons .path")


def test_what_is_not_known_is_told_above_the_answers(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=recommend]", force=True)
    page.fill("#user", "424242")
    page.wait_for_selector("#notes >> text=There is no user 424242 in the graph")
    assert (
        "what is popular" in page.inner_text("#notes")
        and page.locator("#found li").count()
    )
    shot(page, "unknown")
    assert axe(page) == []
    page.fill("#user", "u003")
    page.wait_for_selector("#found button[aria-label^='u003 bought']")
    assert not page.inner_text("#notes")


def test_why_closes_with_the_answer_that_it_is_of(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=recommend]", force=True)
    page.fill("#user", "u003")
    answered(page)
    for change in (
        lambda: page.fill("#user", "u002"),
        lambda: page.check("[value=search]", force=True),
    ):
        page.click("#found li >> nth=0 >> button:has-text('Why')")
        page.wait_for_selector("#reasons .path")
        change()
        page.wait_for_selector("#why", state="hidden")
        assert not page.locator("main.explains").count() and not page.text_content(
            "#reasons"
        )
        page.wait_for_selector("#found[aria-busy=false]")
    page.wait_for_selector("text=Type what you look for")


def test_errors_are_told_and_can_be_tried_again(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=build]", force=True)
    page.fill("#text", "chair")
    page.fill("#slots", "no such thing")
    page.wait_for_selector(".problem")
    assert "no such thing" in page.inner_text(
        ".problem"
    ) and "Request" in page.inner_text(".problem")
    shot(page, "problem")
    assert axe(page) == []
    page.fill("#slots", "")
    page.wait_for_selector("#found .outfit")


def test_markup_in_what_is_typed_is_text(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    page.check("[value=build]", force=True)
    page.fill("#text", "chair")
    page.fill("#slots", "<img src=x onerror=alert(1)>")
    page.wait_for_selector(".problem")
    assert page.locator("#found img").count() == 0


def test_a_key_is_asked_for(visit: Callable[..., Any], keys: SimpleNamespace) -> None:
    page = visit(keys=keys.file)
    page.wait_for_selector("#key-box[open]")
    assert axe(page) == []
    page.fill("#key", keys.reader["Authorization"].removeprefix("Bearer "))
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Type what you look for")
    assert page.get_attribute("#user", "placeholder") == "an anonymous user"
