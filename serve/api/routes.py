"""Routes: every question of the API below /v1, answered by the run that is served."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from serve.api import answers, bundles, explanations, retrieval, schemas
from serve.api.common import head, reply, state_of, there
from serve.feedback.events import Event, now

router = APIRouter(prefix="/v1")
ROUTERS = (retrieval.router, bundles.router, explanations.router, router)


@router.post("/events", response_model=answers.EventsAnswer, status_code=202)
async def events(request: Request, body: schemas.EventsIn) -> Response:
    """What users did. Once acknowledged it is on the disk, and in those users' answers."""
    state = state_of(request)
    moment, caller = now(), request.state.caller.name
    times = [moment if e.time is None else min(e.time, moment) for e in body.events]
    rows = [
        Event(e.user, e.item, e.kind, time, e.id, caller)
        for e, time in zip(body.events, times, strict=True)
    ]
    new = await state.keep(rows)
    state.metrics.events.inc(new)
    again = len(rows) - new
    return reply(
        answers.EventsAnswer(
            **head(request, state.engine.now), accepted=new, again=again
        ),
        202,
    )


@router.get("/items/{id}", response_model=answers.ItemAnswer)
async def item(
    request: Request,
    id: Annotated[str, Path(min_length=1, max_length=200)],  # noqa: A002 - the path's name
) -> Response:
    """An item and what is known of it."""
    loaded = state_of(request).engine.now
    return reply(
        answers.ItemAnswer(**head(request, loaded), **loaded.item(there(loaded, id)))
    )


@router.get("/about", response_model=answers.AboutAnswer)
async def about(request: Request) -> Response:
    """What is served: enough to fill forms. Users are named to operators only."""
    loaded = state_of(request).engine.now
    facts = loaded.about(users=20 if request.state.caller.may("operator") else 0)
    return reply(answers.AboutAnswer(**head(request, loaded), **facts))
