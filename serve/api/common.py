"""Common: what every route needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from serve.access.middleware import pseudonym
from serve.problems import Problem
from serve.runtime.loaded import Loaded
from serve.runtime.state import State


def state_of(request: Request) -> State:
    """What the app holds."""
    state: State = request.app.state.held
    return state


def reply(answer: BaseModel, status: int = 200) -> Response:
    """JSON, written once."""
    return Response(answer.model_dump_json(), status, media_type="application/json")


def head(request: Request, loaded: Loaded) -> dict[str, Any]:
    """What every answer says."""
    return {"run": loaded.run, "request_id": request.state.request_id}


def mean(shares: Sequence[float]) -> float | None:
    """None of nothing."""
    return sum(shares) / len(shares) if shares else None


def noted(request: Request, user: str | None) -> None:
    """Who it is for, for the log, which gets no id."""
    if user is not None:
        request.state.user = pseudonym(user)


def there(loaded: Loaded, item: str) -> int:
    """The row of an item; 404 where there is none."""
    row = loaded.recommender.items.row(item)
    if row < 0:
        raise Problem(404, "there is no such item", [("item", "there is no such item")])
    return row
