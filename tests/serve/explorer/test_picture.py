"""The picture of an explanation: all of it is seen, labels lie apart, nodes have names."""

import os
from collections.abc import Callable
from typing import Any

import pytest

SHOTS = os.environ.get("TROUSSEAU_SCREENSHOTS")  # a folder to keep pictures in


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def answered(page: Any) -> None:
    page.wait_for_selector("#status:has-text(' ms')")
    page.wait_for_selector("#found[aria-busy=false]")


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
        const own = one.getBoundingClientRect();
        const around = one.closest(".picture").getBoundingClientRect();
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


def test_labels_of_edges_that_meet_lie_apart(visit: Callable[..., Any]) -> None:
    page = visit()
    page.wait_for_selector("text=Type what you look for")
    overlaps = page.evaluate("""async () => {
        const { picture } = await import("/explorer/picture.js");
        const node = (type, id, title) => ({ type, id, title: title || `${type} ${id}` });
        const edge = (relation, back, time) => ({ relation, back, time, when: "" });
        const [user, last] = [node("user", "1000"), node("item", "9", "side dishes")];
        const paths = [1, 2, 3].map(n => ({
            nodes: [user, node("basket", `3135539315${n}`),
                    node("item", String(n), "rotisserie chicken, private brand"),
                    node("department", "DELI", "Deli"), last],
            edges: [edge("made", false, 16114), edge("contains", false, null),
                    edge("in_department", false, null), edge("in_department", true, null)],
            sentence: "", support: null,
        }));
        const about = { item_type: "item", user_type: "user", bundle_type: "basket",
                        types: ["user", "basket", "item", "department"] };
        document.body.append(picture(paths, about));
        const boxes = [...document.querySelectorAll(".picture text")].map(one => {
            const { x, y, width, height } = one.getBBox();
            return [one, x, y + 2, x + width, y + height - 2];
        });
        return boxes.flatMap(([a, l, t, r, b], n) => boxes.slice(n + 1)
            .filter(([_, m, u, s, c]) => l < s && m < r && t < c && u < b)
            .map(other => [a, other[0]])
            .filter(([a, b]) => a.tagName !== b.tagName || a.parentNode !== b.parentNode
                || a.parentNode.tagName !== "g")  // two lines of one caption touch
            .map(pair => pair.map(one => one.textContent)));
    }""")
    assert overlaps == []
    assert "2014-02-13" in page.inner_text(".picture")


def test_a_node_without_a_title_is_named_by_its_type(visit: Callable[..., Any]) -> None:
    page = visit()
    names = page.evaluate(
        """import("/explorer/api.js").then(m => [
            { type: "basket", id: "830", title: "830" },
            { type: "product_type", id: "7", title: "" },
            { type: "colour", id: "white", title: "white" },
            { type: "item", id: "9", title: "side dishes" },
        ].map(m.named))"""
    )
    assert names == ["basket 830", "product type 7", "white", "side dishes"]


def test_a_time_is_a_date_where_it_can_be(visit: Callable[..., Any]) -> None:
    page = visit()
    told = page.evaluate(
        """import("/explorer/api.js").then(m => [
            { time: 16114, when: "in t 16114" },
            { time: 12, when: "in week 12" },
            { time: 12, when: "" },
            { time: null, when: "" },
        ].map(m.moment))"""
    )
    assert told == ["2014-02-13", "week 12", "time 12", ""]
