"""App: the server, put together."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.staticfiles import StaticFiles

from kg.errors import InputError
from serve.access.keys import revoke_key
from serve.access.middleware import RequestMiddleware
from serve.access.security import Authorizer
from serve.api import answers, schemas
from serve.api.common import reply, state_of
from serve.api.description import describe
from serve.api.reference import page
from serve.api.routes import ROUTERS
from serve.metrics import Metrics
from serve.problems import Problem, install
from serve.runtime.state import State
from serve.settings import Settings

SETTINGS = "TROUSSEAU_SERVE"  # settings of worker processes, as JSON
EXPLORER = Path(__file__).parent / "explorer"


def create_app(settings: Settings) -> FastAPI:
    """An app; what it serves is loaded when it starts.

    Raises:
        InputError: The keys cannot be read.
    """
    guard, metrics = Authorizer(settings.keys, 1 / settings.workers), Metrics()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        state = await asyncio.to_thread(State, settings, guard, metrics)
        await state.catch_up()
        app.state.held = state
        beside = [
            asyncio.create_task(task)
            for task in (state.follow(), state.write(), state.fold())
        ]
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await asyncio.to_thread(state.close)

    app = FastAPI(
        title="Trousseau",
        version="1",
        summary="Recommendations from a product graph and from words.",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install(app)
    # For the description alone: who may is what RequestMiddleware decides.
    bearer = Depends(
        HTTPBearer(auto_error=False, description="An API key: trs_name.secret")
    )
    for router in ROUTERS:
        app.include_router(router, dependencies=[bearer], tags=["questions"])
    _admin(app, settings, metrics, bearer)
    _open(app)
    # The explorer's files; their names are known, so nothing else can be asked for.
    app.mount("/explorer", StaticFiles(directory=EXPLORER), name="explorer")
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=[
                "authorization",
                "content-type",
                "x-api-key",
                "x-request-id",
            ],
            max_age=600,
        )
    describe(app)
    app.add_middleware(
        RequestMiddleware, settings=settings, guard=guard, metrics=metrics
    )
    return app


def _admin(app: FastAPI, settings: Settings, metrics: Metrics, bearer: object) -> None:
    """What is not for readers."""
    kept = {"dependencies": [bearer], "tags": ["operators"]}

    model = answers.ReloadAnswer

    @app.post("/v1/admin/reload", response_model=model, **kept)  # type: ignore[arg-type]
    async def reload(request: Request, body: schemas.ReloadIn) -> Response:
        """Serve another run of the same folder; a damaged one is refused with 409."""
        state, request_id = state_of(request), request.state.request_id
        before, fresh = await state.reload(body.run, request.state.caller, request_id)
        return reply(
            answers.ReloadAnswer(run=fresh, request_id=request_id, before=before)
        )

    @app.delete("/v1/admin/keys/{name}", status_code=204, **kept)  # type: ignore[arg-type]
    async def revoke(request: Request, name: str) -> Response:
        """Take a key away, in every worker within a second. For admins."""
        caller, request_id = request.state.caller, request.state.request_id
        if settings.keys is None:
            raise Problem(
                409, "this server was started with --insecure and has no keys"
            )
        try:
            await asyncio.to_thread(revoke_key, settings.keys, name)
        except InputError:
            state_of(request).act(caller, request_id, "revoke", name[:64], "refused")
            raise Problem(404, "there is no such key") from None
        state_of(request).act(caller, request_id, "revoke", name, "done")
        return Response(status_code=204)

    @app.get("/metrics", response_class=PlainTextResponse, **kept)  # type: ignore[arg-type]
    async def prometheus(request: Request) -> Response:
        """For Prometheus."""
        engine = state_of(request).engine
        metrics.inside.set(engine.inside)
        metrics.encoded.set(engine.now.recommender.encoded)
        metrics.batches.set(engine.now.recommender.batches)
        return Response(
            await asyncio.to_thread(metrics.text),
            media_type="text/plain; version=0.0.4; charset=utf-8",
        )


def _open(app: FastAPI) -> None:
    """What everybody may see."""

    @app.get("/health/live", response_model=answers.Health, tags=["health"])
    async def live() -> Response:
        """Whether the process answers at all."""
        return Response('{"status":"live"}', media_type="application/json")

    @app.get("/health/ready", response_model=answers.Health, tags=["health"])
    async def ready(request: Request) -> Response:
        """Whether queries are answered; "degraded" where a part that not all need is down."""
        return reply(answers.Health(**state_of(request).health()))

    reference: list[str] = []

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """Every question, with an example."""
        if not reference:
            reference.append(page(app.openapi()))
        return HTMLResponse(reference[0])

    @app.get("/", include_in_schema=False)
    async def explorer() -> Response:
        """The explorer."""
        return HTMLResponse((EXPLORER / "index.html").read_text(encoding="utf-8"))


def log_to_stderr() -> None:
    """A line an event, a line of JSON a request."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


def from_environment() -> FastAPI:
    """An app for a worker process."""
    log_to_stderr()
    return create_app(Settings.from_json(os.environ[SETTINGS]))
