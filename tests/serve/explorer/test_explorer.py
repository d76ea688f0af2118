"""The explorer in a real browser: by keyboard, on a phone, with errors; axe finds nothing."""

import math
import os
import re
from collections.abc import Callable
from itertools import combinations
from types import SimpleNamespace
from typing import Any

SHOTS = os.environ.get("TROUSSEAU_SCREENSHOTS")  # a folder to keep pictures in


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
    standings = page.locator("#found li .standing")
    assert standings.count() == page.locator("#found li").count()
    assert page.inner_text("#found li >> nth=0 >> .facts").startswith("#1")
    widths = page.eval_on_selector_all(
        "#found .standing rect:not(.all)", "all => all.map(r => r.width.baseVal.value)"
    )
    assert widths[0] == 100 and widths == sorted(widths, reverse=True)
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
