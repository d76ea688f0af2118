"""What a shop asks of a running server, for locust: search, look, fill baskets and buy.

    pip install locust
    python -m serve --run runs/<id> --insecure &
    locust --locustfile benchmarks/load.py --host http://127.0.0.1:8000 --headless --users 50
    --run-time 60s

TROUSSEAU_KEY holds the API key where the server wants one. Ends with exit code 1 where a
request failed.
"""

import os
import random
from typing import Any

from locust import FastHttpUser, between, events, task

WORDS = (
    "breakfast",
    "something for a taco night",
    "black chair",
    "warm layers for a winter run",
    "pasta",
    "snacks",
)


class Shopper(FastHttpUser):  # type: ignore[misc]
    """Asks, a second or so between queries; the shares of the questions are those of `task`."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Who it is, and what there is."""
        key = os.environ.get("TROUSSEAU_KEY")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        about = self.client.get("/v1/about", headers=self.headers).json()
        self.user = random.choice(about["example_users"] or ["nobody"])
        self.seen: list[str] = []
        self.query("search", text=random.choice(WORDS))

    def query(self, path: str, **body: Any) -> None:
        """Ask, and remember what was shown."""
        with self.client.post(
            f"/v1/{path}", json=body, headers=self.headers, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(
                    f"{answer.status_code}: {answer.text[:200] if answer.text else ''}"
                )
                return
            found = answer.json()
            self.seen = [item["id"] for item in found.get("items", [])] or self.seen

    @task(10)
    def recommend(self) -> None:
        """The front page."""
        self.query("recommend", user=self.user)

    @task(6)
    def search(self) -> None:
        """Half of the words are new, so that the encoder works."""
        text = random.choice(WORDS)
        self.query(
            "search",
            text=text
            if random.random() < 0.5
            else f"{text} {random.randrange(100_000)}",
            user=self.user,
        )

    @task(6)
    def complete(self) -> None:
        """The basket's page."""
        if self.seen:
            self.query(
                "complete",
                items=random.sample(self.seen, min(3, len(self.seen))),
                user=self.user,
            )

    @task(3)
    def similar(self) -> None:
        """An item's page."""
        if self.seen:
            self.query("similar", item=random.choice(self.seen))

    @task(2)
    def buy(self) -> None:
        """An event."""
        if self.seen:
            body = {
                "events": [
                    {
                        "user": self.user,
                        "item": random.choice(self.seen),
                        "kind": "purchase",
                    }
                ]
            }
            self.client.post("/v1/events", json=body, headers=self.headers)


@events.quitting.add_listener
def judge(environment: Any, **_: Any) -> None:
    """Fail where a request did."""
    if environment.stats.total.num_failures:
        environment.process_exit_code = 1
