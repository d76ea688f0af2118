"""Who may do what: keys, roles, rates, quotas, hosts, headers, logs."""

import json
import logging
import sqlite3

import pytest

from serve.access.keys import add_key

QUERY = {"user": "u003", "k": 1}


def test_nobody_gets_in_without_a_key(serving, keys):
    api = serving(keys=keys.file)
    reader = keys.reader["Authorization"].removeprefix("Bearer ")
    name, secret = reader.split(".")
    forged = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {reader}"},
        {"X-API-Key": f"{name}.{'A' * 43}"},
        {"X-API-Key": reader[:-1]},
        {"X-API-Key": reader + "A"},
        {"X-API-Key": f"trs_the-admin.{secret}"},
        {"X-API-Key": "trs_nobody." + secret},
        {"X-API-Key": "trs_the-reader.' OR 1=1 --"},
        {"X-API-Key": "x" * 5000},
    ]
    for headers in forged:
        for method, path in (
            ("POST", "/v1/recommend"),
            ("GET", "/v1/items/i001"),
            ("GET", "/metrics"),
            ("POST", "/v1/admin/reload"),
            ("GET", "/v1/no-such"),
            ("GET", "//v1/about"),
            ("GET", "/anything"),
        ):
            answer = api.request(
                method,
                path,
                headers=headers,
                **({"json": QUERY} if method == "POST" else {}),
            )
            assert answer.status_code == 401, (headers, path, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (
        api.post("/v1/recommend", json=QUERY, headers={"X-API-Key": reader}).status_code
        == 200
    )
    for path in ("/", "/health/live", "/health/ready", "/docs", "/openapi.json"):
        assert api.get(path).status_code == 200


def test_who_is_not_known_is_told_so_before_the_body_is_read(serving, keys):
    api = serving(keys=keys.file)
    assert api.post("/v1/recommend", content=b"x" * 10_000_000).status_code == 401


def test_roles(serving, keys, runs):
    api = serving(keys=keys.file)
    order = ("reader", "operator", "admin")
    for method, path, body, least in (
        ("POST", "/v1/recommend", QUERY, "reader"),
        ("GET", "/metrics", None, "operator"),
        ("POST", "/v1/admin/reload", {"run": runs[0].name}, "operator"),
        ("DELETE", "/v1/admin/keys/nobody", None, "admin"),
    ):
        for role in order:
            answer = api.request(
                method,
                path,
                headers=getattr(keys, role),
                **({"json": body} if body else {}),
            )
            allowed = order.index(role) >= order.index(least)
            assert (answer.status_code != 403) == allowed, (path, role, answer.text)
    assert api.get("/v1/about", headers=keys.reader).json()["example_users"] == []
    assert api.get("/v1/about", headers=keys.operator).json()["example_users"]


def test_a_key_that_is_revoked_or_expired_is_no_key(serving, keys, monkeypatch):
    old = add_key(keys.file, "old", "admin", expires="2020-01-01")
    api = serving(keys=keys.file)
    assert api.get("/v1/about", headers={"X-API-Key": old}).status_code == 401
    assert (
        api.delete("/v1/admin/keys/the-reader", headers=keys.admin).status_code == 204
    )
    guard = api.app.state.held.guard
    guard._read = (guard._read[0] - 2, guard._read[1])  # a second later
    assert api.get("/v1/about", headers=keys.reader).status_code == 401
    assert (
        api.delete("/v1/admin/keys/the-reader", headers=keys.admin).status_code == 404
    )


def test_rates_and_quotas(serving, keys):
    slow = {"X-API-Key": add_key(keys.file, "slow", "reader", rate=1.0)}
    few = {"X-API-Key": add_key(keys.file, "few", "reader", rate=1000.0, quota=3)}
    api = serving(keys=keys.file)
    found = [api.get("/v1/items/i001", headers=slow) for _ in range(12)]
    assert [one.status_code for one in found[:2]] == [200, 200]
    refused = [one for one in found if one.status_code == 429]
    assert len(refused) >= 5 and int(refused[0].headers["retry-after"]) >= 1
    assert [api.get("/v1/items/i001", headers=few).status_code for _ in range(5)] == [
        200,
        200,
        200,
        429,
        429,
    ]
    assert (
        api.get("/v1/items/i001", headers=keys.reader).status_code == 200
    )  # another's is not touched


def test_quotas_outlive_a_restart_and_are_shared_by_workers(serving, keys, tmp_path):
    few = {"X-API-Key": add_key(keys.file, "few", "reader", rate=None, quota=5)}
    state = str(tmp_path / "shared.sqlite")

    def query(api, times):
        return [
            api.get("/v1/items/i001", headers=few).status_code for _ in range(times)
        ]

    one, two = (serving(keys=keys.file, state=state, workers=2) for _ in range(2))
    assert query(one, 2) == [200, 200]
    one.app.state.held.spend()  # as each does every second
    two.app.state.held.spend()
    assert query(two, 4) == [200, 200, 200, 429]
    two.__exit__(None, None, None)  # what was not told yet is told on the way out
    assert query(serving(keys=keys.file, state=state), 1) == [429]
    one.app.state.held.spend()
    assert query(one, 1) == [429]
    tomorrow = one.app.state.held.events.spend("9999-12-31", {"few": 1})
    assert tomorrow == {"few": 1}  # each day begins anew


def test_what_could_not_be_told_of_a_quota_is_told_later(serving, keys, monkeypatch):
    few = {"X-API-Key": add_key(keys.file, "few", "reader", rate=None, quota=3)}
    api = serving(keys=keys.file)
    state = api.app.state.held
    with monkeypatch.context() as broken:
        broken.setattr(
            state.events,
            "spend",
            lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("full")),
        )
        assert [
            api.get("/v1/items/i001", headers=few).status_code for _ in range(2)
        ] == [200, 200]
        with pytest.raises(sqlite3.Error):
            state.spend()
    state.spend()
    assert state.guard.pending()[1] == {}
    assert state.events.spend(state.guard.pending()[0], {}) == {"few": 2}
    assert [api.get("/v1/items/i001", headers=few).status_code for _ in range(2)] == [
        200,
        429,
    ]


def test_a_web_page_cannot_ask_an_open_server_by_another_name(api):
    assert api.get("/v1/about", headers={"Host": "evil.example"}).status_code == 421
    assert api.get("/v1/about", headers={"Host": "127.0.0.1:8000"}).status_code == 200


def test_other_origins_are_let_in_only_where_named(api, serving):
    origin = {"Origin": "https://shop.example"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    assert (
        "access-control-allow-origin"
        not in api.get("/v1/about", headers=origin).headers
    )
    assert (
        "access-control-allow-origin"
        not in api.options("/v1/recommend", headers=asked).headers
    )
    open_one = serving(cors=["https://shop.example"])
    allowed = open_one.options("/v1/recommend", headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    other = open_one.get("/v1/about", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_headers_are_safe(api):
    for answer in (
        api.get("/"),
        api.get("/v1/about"),
        api.get("/nothing"),
        api.post("/v1/recommend", json={}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_logs_hold_nobody_and_acts_are_noted(serving, keys, runs, tmp_path, caplog):
    audit = tmp_path / "audit.log"
    api = serving(keys=keys.file, audit=str(audit))
    with caplog.at_level(logging.INFO):
        api.post(
            "/v1/recommend",
            json={"user": "anna@example.org", "k": 1},
            headers=keys.reader,
        )
        event = {"user": "anna@example.org", "item": "i001", "kind": "view"}
        api.post("/v1/events", json={"events": [event]}, headers=keys.reader)
        api.post("/v1/admin/reload", json={"run": runs[1].name}, headers=keys.operator)
        api.post("/v1/admin/reload", json={"run": "none"}, headers=keys.operator)
        api.delete("/v1/admin/keys/the-reader", headers=keys.admin)
    ours = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("serve")
    ]
    assert "anna" not in " ".join(ours) and "trs_" not in " ".join(ours)
    line = next(json.loads(m) for m in ours if "/v1/recommend" in m)
    assert (
        line["key"] == "the-reader"
        and line["status"] == 200
        and len(line["user"]) == 12
    )
    acts = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(a["who"], a["act"], a["on"], a["outcome"]) for a in acts] == [
        ("the-operator", "reload", runs[1].name, "done"),
        ("the-operator", "reload", "none", "refused"),
        ("the-admin", "revoke", "the-reader", "done"),
    ]
