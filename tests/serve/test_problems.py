"""Every error is a problem+json that names the field, and none says how the server is built."""

import json
import re

import numpy as np
import pytest

from fusion.query import Query
from serve.api.answers import ProblemOut
from serve.problems import Problem, refused


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("recommend", {"user": 3}, "user"),
        ("recommend", {"user": "u1", "k": 0}, "k"),
        ("recommend", {"user": "u1", "k": "5"}, "k"),
        ("recommend", {"user": "u1", "colour": "red"}, "colour"),
        ("recommend", {}, "user"),
        ("recommend", {"user": "x" * 201}, "user"),
        ("complete", {"items": []}, "items"),
        ("complete", {"items": ["i1"] * 201}, "items"),
        ("complete", {"items": ["i002"], "season": 13}, "season"),
        ("complete", {"items": ["i002"], "one_per": "nothing"}, "where"),
        ("search", {"text": "a" * 1001}, "text"),
        (
            "search",
            {"text": "a", "where": {"between": {"price": [3, 1]}}},
            "where.between",
        ),
        ("search", {"text": "a", "where": {"within": {"nothing": ["a"]}}}, "where"),
        ("build", {"plan": {"slots": ["nothing-like-it"]}}, "plan.slots"),
        ("build", {"plan": {"slots": ["  "]}}, "plan.slots"),
        ("build", {"plan": {"size": [5, 3]}}, "plan.size"),
        ("build", {"plan": {"variety": 2}}, "plan.variety"),
        ("build", {"plan": {"budget": -1}}, "plan.budget"),
        (
            "build",
            {"plan": {"slots": ["2 black", "white"], "size": [1, 2]}},
            "plan.slots",
        ),
        ("build", {"plan": {"slots": ["black", "black"]}}, "plan.slots"),
        ("build", {"items": ["nothing"]}, "items"),
        ("build", {"items": [f"i{n}" for n in range(10_000)]}, "items"),
        ("compatibility", {"items": [f"i{n}" for n in range(10_000)]}, "items"),
        ("compatibility", {"items": ["i002", "i002"]}, "items"),
        ("compatibility", {"items": ["i002", "nothing"]}, "items"),
        ("explain", {"item": "i002", "items": ["i002"]}, "item"),
        ("explain", {"item": "i002", "verify": True}, "verify"),
        ("explain", {"item": "i002", "language": "xx"}, "language"),
        (
            "events",
            {"events": [{"user": "u1", "item": "i1", "kind": "stole"}]},
            "events.0.kind",
        ),
        (
            "events",
            {"events": [{"user": "u1", "item": "i1", "kind": "view", "time": -1}]},
            "events.0.time",
        ),
    ],
)
def test_what_does_not_fit_is_a_problem_that_names_the_field(api, path, body, field):
    answer = api.post(f"/v1/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["detail"] and problem["request_id"] == answer.headers["x-request-id"]


def test_what_is_impossible_names_the_conditions_at_odds(api):
    answer = api.post(
        "/v1/build", json={"plan": {"size": [3, 3], "where": {"only": ["i002"]}}}
    )
    assert answer.status_code == 422 and "in stock" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/items/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/recommend", 405),
        ("PUT", "/v1/recommend", 405),
        ("PATCH", "/health/live", 405),
        ("POST", "/health/live", 405),
        ("POST", "/nothing", 404),
        ("GET", "/explorer/../app.py", 404),
        ("GET", "/explorer/%2e%2e/app.py", 404),
        ("POST", "/v1/similar", 404),
        ("POST", "/v1/explain", 404),
    ],
)
def test_what_is_not_there_is_a_problem(api, method, path, status):
    asked = {"json": {"item": "nothing"}} if method == "POST" else {}
    for sent in (
        asked,
        asked if path.startswith("/v1/") else {},
    ):  # without JSON, too, where none is taken
        answer = api.request(method, path, **sent)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_library_refuses_is_not_the_callers_fault():
    with pytest.raises(ValueError, match="equal division"), refused():
        np.split(np.arange(5), 3)
    with pytest.raises(Problem) as told, refused():
        Query(k=0)
    assert told.value.status == 422


def test_a_body_that_is_not_json_is_a_problem(api):
    for headers in ({}, {"content-type": "text/plain"}):
        answer = api.post("/v1/recommend", content=b"user=u001", headers=headers)
        assert (
            answer.status_code == 415 and "application/json" in answer.json()["detail"]
        )


def test_errors_are_described_as_they_are(api):
    described = api.get("/openapi.json").json()
    operations = [
        operation for path in described["paths"].values() for operation in path.values()
    ]
    assert len(operations) == 16
    for operation in operations:
        for status in ("4XX", "5XX"):
            assert operation["responses"][status]["content"] == {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/ProblemOut"}
                }
            }
        assert "422" not in operation["responses"]
    text = json.dumps(described)
    assert "HTTPValidationError" not in text
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in described["components"]["schemas"]
    for body in (
        {"text": 3},
        {"text": "chair", "colour": "red"},
        {"text": "chair", "where": {"within": {"no": ["x"]}}},
    ):
        problem = api.post("/v1/search", json=body).json()
        assert ProblemOut.model_validate(problem).model_dump() == problem
    assert list(
        described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    ) == ["text/plain"]
