"""The API answers what the recommender answers, and says of which run."""

import pytest

from fusion.query import Constraints

BLACK = ["i002", "i004"]


def query(api, path, **body):
    answer = api.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer):
    return [item["id"] for item in answer["items"]]


def test_the_answers_are_the_recommenders(api, trained, runs):
    direct = trained.recommender
    for path, body, found in (
        ("recommend", {"user": "u003"}, direct.recommend("u003")),
        (
            "complete",
            {"items": BLACK, "user": "u003", "text": "vase"},
            direct.complete(BLACK, "u003", "vase"),
        ),
        ("search", {"text": "black chair", "k": 7}, direct.search("black chair", k=7)),
        ("similar", {"item": "i001", "k": 3}, direct.similar("i001", 3)),
    ):
        answer = query(api, path, **body)
        assert ids(answer) == [one.id for one in found]
        assert [item["score"] for item in answer["items"]] == pytest.approx(
            [one.score for one in found], abs=1e-4
        )
        assert answer["run"] == runs[0].name and answer["request_id"]
        assert answer["text_weight"] == pytest.approx(
            sum(one.text_weight for one in found) / len(found)
        )


def test_answers_are_narrowed(api, trained):
    answer = query(
        api,
        "recommend",
        user="u003",
        where={"exclude": ["i001"], "only": ["i001", "i003", "i005"]},
    )
    assert set(ids(answer)) == {"i003", "i005"}
    new = trained.recommender.recommend("u003", where=Constraints(exclude_seen=True))
    assert ids(query(api, "recommend", user="u003", where={"exclude_seen": True})) == [
        one.id for one in new
    ]
    assert ids(query(api, "recommend", user="u003")) != [one.id for one in new]
    direct = trained.recommender.complete(BLACK, k=5, diversity=0.5)
    assert ids(query(api, "complete", items=BLACK, k=5, diversity=0.5)) == [
        one.id for one in direct
    ]


def test_what_of_a_query_is_not_known_is_told(api):
    user, nobody = (
        "There is no user 424242 in the graph",
        "the answer is what is popular",
    )
    told = [
        query(api, "recommend", user="424242"),
        query(api, "complete", user="424242", items=["none"]),
    ]
    assert [len(answer["notes"]) for answer in told] == [2, 3]
    assert all(
        answer["notes"][0].startswith(user) and nobody in answer["notes"][-1]
        for answer in told
    )
    assert told[1]["notes"][1].endswith("passed over: none.")
    (note,) = query(api, "search", text="black chair", user="424242")["notes"]
    assert note.startswith(user)
    (note,) = query(api, "build", items=BLACK, user="424242")["notes"]
    assert note.startswith(user)
    known = (
        query(api, "recommend", user="u003"),
        query(api, "similar", item="i001"),
        query(api, "build", items=BLACK),
    )
    assert all(answer["notes"] == [] for answer in known)
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    for name in ("ItemsAnswer", "BuildAnswer"):
        assert "not known" in schemas[name]["properties"]["notes"]["description"]
        assert "notes" not in schemas[name]["required"]


def test_paths_come_on_request(api):
    plain = query(api, "recommend", user="u003", k=2)
    assert all(item["paths"] is None for item in plain["items"])
    told = query(api, "recommend", user="u003", k=2, paths=2)
    assert ids(told) == ids(plain)
    path = told["items"][0]["paths"][0]
    assert (
        path["sentence"]
        and path["cypher"].startswith("MATCH")
        and len(path["nodes"]) == len(path["edges"]) + 1
    )


def test_combinations(api):
    built = query(api, "build", items=BLACK, plan={"size": [4, 4], "alternatives": 2})
    assert 1 <= len(built["combinations"]) <= 2
    best = built["combinations"][0]
    assert len(best["items"]) == 4 and {
        p["id"] for p in best["items"] if p["kept"]
    } == set(BLACK)
    assert all(0 <= piece["text_weight"] <= 1 for piece in best["items"])
    judged = query(api, "compatibility", items=["i002", "i004", "i001"])
    assert judged["combination"]["weakest"] == "i001"  # the white one
    assert judged["swap"]["out"] == "i001" and judged["swap"]["gain"] > 0
    ranked = query(
        api,
        "bundles/rank",
        bundles={"black": ["i006", "i008"], "white": ["i005", "i007"]},
        items=BLACK,
    )
    assert [bundle["id"] for bundle in ranked["bundles"]] == ["black", "white"]


def test_an_explanation(api):
    best = ids(query(api, "complete", items=BLACK, user="u002", k=1))[0]
    told = query(api, "explain", item=best, items=BLACK, user="u002")
    assert (
        told["rank"] == 1
        and told["paths"]
        and told["paths"][0]["support"]["lost"] is not None
    )
    assert set(told["parts"]) >= {"paths", "words", "vectors"}
    chinese = query(
        api, "explain", item=best, items=BLACK, support=False, language="zh"
    )
    assert any("一" <= letter <= "鿿" for letter in chinese["paths"][0]["sentence"])


def test_an_item_and_what_is_served(api, trained):
    item = api.get("/v1/items/i002").json()
    assert item["title"] == trained.recommender.title(
        trained.recommender.items.row("i002")
    )
    assert (
        item["properties"]["title"] == item["title"] and 0 <= item["text_weight"] <= 1
    )
    about = api.get("/v1/about").json()
    assert about["items"] == 42 and len(about["example_users"]) == 20
    assert about["types"] == [
        node.name for node in trained.recommender.tables.schema.nodes
    ]


def test_a_whole_number_may_have_a_point(api):
    assert len(query(api, "search", text="chair", k=4.0)["items"]) == 4
    for k in (4.5, True, "4", 1e300):
        assert api.post("/v1/search", json={"text": "chair", "k": k}).status_code == 422


def test_a_request_id_is_kept_or_made(api):
    assert (
        api.get("/health/live", headers={"X-Request-ID": "mine-1"}).headers[
            "x-request-id"
        ]
        == "mine-1"
    )
    for odd in ("a b", "x" * 65, "<script>"):
        assert (
            api.get("/health/live", headers={"X-Request-ID": odd}).headers[
                "x-request-id"
            ]
            != odd
        )


def test_health_and_metrics(api, runs):
    assert api.get("/health/live").json()["status"] == "live"
    ready = api.get("/health/ready").json()
    assert ready["status"] == "ready" and ready["run"] == runs[0].name
    api.post("/v1/search", json={"text": "something new"})
    told = api.get("/metrics").text
    assert (
        'trousseau_requests_total{method="POST",route="/v1/search",status="200"}'
        in told
    )
    assert "trousseau_seconds_bucket" in told


def test_every_question_is_described_with_an_example(api):
    described = api.get("/openapi.json").json()
    posts = {
        path for path, operations in described["paths"].items() if "post" in operations
    }
    wanted = {
        "recommend",
        "complete",
        "search",
        "similar",
        "build",
        "compatibility",
        "bundles/rank",
        "explain",
        "events",
    }
    assert posts == {f"/v1/{name}" for name in wanted} | {"/v1/admin/reload"}
    page = api.get("/docs").text
    for path in posts:
        name = described["paths"][path]["post"]["requestBody"]["content"][
            "application/json"
        ]["schema"]["$ref"]
        assert described["components"]["schemas"][name.rpartition("/")[2]]["examples"]
        assert path in page
