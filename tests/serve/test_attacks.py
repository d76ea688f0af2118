"""Whatever is sent, nothing crashes, nothing leaks, and what is refused is a problem."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from serve.api import fields, schemas

CASES = int(
    os.environ.get("TROUSSEAU_CASES", "300")
)  # drawn in all: four of five are sent, the others read alone
MODELS = [
    model
    for model in vars(schemas).values()
    if isinstance(model, type) and issubclass(model, fields.In)
]
ODD = [
    "\x00",
    "a\x00b",
    "\U0001fa91",
    "\u202eevil\u202c",
    "مرحبا",
    "e\u0301",
    "\ufeff",
    "\\ud800",
    "' OR 1=1 --",
    "'; DROP TABLE event; --",
    "') DETACH DELETE n //",
    "`}) MATCH (n) DETACH DELETE n //",
    "../../etc/passwd",
    "%2e%2e%2f",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "a" * 200,
    " ",
    "\n",
    "null",
    "NaN",
]
RAW = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"a"',
    b"{}" * 2,
    b"\xff\xfe",
    b'{"user": "\xc3\x28"}',
    b"NaN",
    b'{"user": "u1", "k": NaN}',
    b'{"user": "u1", "k": 1e999}',
    b'{"user": "u1", "k": -0}',
    b'{"user": "u1", "k": 99999999999999999999999999}',
    b'{"user": "u1", "user": 3}',
    b'{"user": "\\ud800"}',
    b'{"\\ud800": 1, "user": "u1"}',
    b'{"user": "u1", "where": {"within": {"\\udfff": ["a"]}}}',
    b"[" * 100_000,
    b'{"user":' * 30_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"user": "u1", "where": {"between": {"price": [Infinity, -Infinity]}}}',
    b'{"user": "' + b"a" * 200_000 + b'"}',
    b"1" * 10_000,
    b'{"user": ' + b"9" * 20_000 + b"}",
]
PATHS = [
    "recommend",
    "complete",
    "search",
    "similar",
    "build",
    "compatibility",
    "bundles/rank",
    "explain",
    "events",
]


def sound(answer):
    """No fault of ours, JSON, and nothing of how we are built."""
    assert answer.status_code < 500, answer.text
    for inside in (
        "Traceback",
        "site-packages",
        ".py",
        "sqlite",
        "torch",
        "/root",
        "/tmp",
    ):
        assert inside not in answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = json.loads(answer.text)
        assert problem["status"] == answer.status_code and problem["request_id"]
    return True


@pytest.mark.parametrize("path", [*PATHS, "admin/reload", "nothing"])
def test_raw_bytes(api, path):
    for body in RAW:
        for kind in (
            "application/json",
            "application/json; charset=utf-16",
            "text/plain",
            "application/x-www-form-urlencoded",
        ):
            sound(api.post(f"/v1/{path}", content=body, headers={"Content-Type": kind}))


def test_what_is_too_large_is_not_read(api):
    assert (
        api.post(
            "/v1/recommend",
            content=b"a" * 300_000,
            headers={"Content-Type": "application/json"},
        ).status_code
        == 413
    )
    chunks = (b"a" * 10_000 for _ in range(100))  # with no length told
    answer = api.post(
        "/v1/recommend", content=chunks, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413 and sound(answer)
    odd = api.post(
        "/v1/recommend",
        content=b"{}",
        headers={"Content-Type": "application/json", "Content-Length": "-1"},
    )
    assert odd.status_code in {400, 413}


@pytest.mark.parametrize("odd", ODD)
def test_odd_text_everywhere(api, odd):
    named = {"within": {odd[:100]: [odd]}}
    for path, body in (
        ("recommend", {"user": odd}),
        ("complete", {"items": [odd, "i002"], "text": odd, "k": 1}),
        ("complete", {"items": ["i002"], "one_per": odd[:100]}),
        ("search", {"text": odd, "user": odd}),
        ("search", {"text": "a", "where": named}),
        ("similar", {"item": odd}),
        ("build", {"text": odd}),
        (
            "build",
            {
                "plan": {
                    "slots": [odd[:100]],
                    "different": odd[:100],
                    "price": odd[:100],
                }
            },
        ),
        ("build", {"plan": {"slots": [{"name": odd[:100], **named}]}}),
        ("compatibility", {"items": [odd, "i002"]}),
        ("compatibility", {"items": ["i001", "i002"], "category": odd[:100]}),
        ("bundles/rank", {"bundles": {odd: [odd]}}),
        (
            "explain",
            {
                "item": "i002",
                "text": odd,
                "user": odd,
                "items": [odd],
                "support": False,
            },
        ),
        ("events", {"events": [{"user": odd, "item": odd, "kind": "view", "id": odd}]}),
        ("recommend", {"user": odd}),
        ("admin/reload", {"run": odd}),
    ):
        sound(api.post(f"/v1/{path}", json=body))
    for path in (
        f"/v1/items/{odd}",
        f"/{odd}",
        f"/explorer/{odd}",
        f"/v1/admin/keys/{odd}",
    ):
        try:
            answer = api.get(path)
        except Exception as error:  # the client's own refusal to send it
            assert "URL" in type(error).__name__ or "url" in str(error).lower()
            continue
        assert answer.status_code < 500
    for name in (
        "X-Request-ID",
        "Authorization",
        "X-API-Key",
        "Origin",
        "If-None-Match",
    ):
        sound(
            api.get(
                "/v1/about",
                headers={
                    name: odd.encode("utf-8", "replace")
                    .replace(b"\n", b"")
                    .replace(b"\x00", b"")
                },
            )
        )


def _anything() -> st.SearchStrategy[object]:
    text = (
        st.text(max_size=30)
        | st.sampled_from(ODD)
        | st.sampled_from(["u003", "i002", "i001", "colour", "purchase"])
    )
    plain = st.none() | st.booleans() | st.integers() | st.floats() | text
    return st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)
        ),
        max_leaves=12,
    )


def _nearly(model: type[BaseModel]) -> st.SearchStrategy[object]:
    """Bodies with the right names and anything in them."""
    anything = _anything()
    near = {
        name: anything | st.sampled_from(["i002", ["i001", "i002"], 3, {}])
        for name in model.model_fields
    }
    return st.fixed_dictionaries({}, optional=near)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(
    max_examples=max(1, CASES // 5 // len(MODELS)),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_model_takes_or_refuses(model, data):
    try:
        made = model.model_validate(data.draw(_nearly(model)))
    except ValidationError:
        return
    again = model.model_validate_json(made.model_dump_json())
    assert again == made


BODIES: dict[str, type[fields.In]] = dict(
    zip(
        PATHS,
        (
            schemas.RecommendIn,
            schemas.CompleteIn,
            schemas.SearchIn,
            schemas.SimilarIn,
            schemas.BuildIn,
            schemas.CompatibilityIn,
            schemas.BundlesIn,
            schemas.ExplainIn,
            schemas.EventsIn,
        ),
        strict=True,
    )
)


@pytest.mark.parametrize("path", PATHS)
@settings(
    max_examples=-(-4 * CASES // 5 // len(PATHS)),
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(data=st.data())
def test_nearly_right_bodies(api, path, data):
    content = json.dumps(data.draw(_nearly(BODIES[path]))).encode("utf-8", "replace")
    sound(
        api.post(
            f"/v1/{path}", content=content, headers={"Content-Type": "application/json"}
        )
    )


def test_methods_and_unknown_paths(api):
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FOO"):
        for path in (
            "/v1/recommend",
            "/",
            "/metrics",
            "/health/ready",
            "/v1/items/i002",
            "/nothing",
        ):
            assert api.request(method, path).status_code < 500
