"""Routes: each question of the API, answered by the run that is served."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from fusion.bundles.plan import Combination, Plan
from fusion.explain.notes import unknown
from fusion.query import Query, Recommendation
from serve.access.middleware import pseudonym
from serve.api import answers, schemas
from serve.feedback.events import Event, now
from serve.problems import Problem, refused
from serve.runtime.loaded import Loaded
from serve.runtime.state import State

router = APIRouter(prefix="/v1")
EXPLAINED = 10  # items of an answer whose paths are found


def state_of(request: Request) -> State:
    """What the app holds."""
    found: State = request.app.state.held
    return found


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


def items_out(
    loaded: Loaded, found: Sequence[Recommendation], query: Query | None, paths: int
) -> list[answers.ItemOut]:
    """An answer's items, with paths where they are wanted."""
    prices = loaded.prices([one.id for one in found])
    out = []
    for place, (one, price) in enumerate(zip(found, prices, strict=True)):
        item = answers.ItemOut(
            id=one.id,
            title=one.title,
            score=one.score,
            text_weight=one.text_weight,
            price=price,
        )
        if paths and query is not None and place < EXPLAINED:
            made = loaded.explain(query, one.id, k=paths, support=False)
            item.paths = [answers.PathOut.model_validate(path) for path in made.paths]
        out.append(item)
    return out


async def answered(
    request: Request, body: schemas.RecommendIn | schemas.SearchIn
) -> Response:
    """The answer to a query for a user, words or both."""
    noted(request, body.user)
    state = state_of(request)
    loaded = state.engine.now

    def work() -> bytes:
        words = body.text if isinstance(body, schemas.SearchIn) else None
        latest = (
            state.session(loaded, body.user)
            if isinstance(body, schemas.RecommendIn) and body.session
            else ()
        )
        with refused():
            query = Query(body.user, latest, words, body.k, body.where.constraints())
            items = items_out(
                loaded, loaded.recommender.answer(query), query, body.paths
            )
            return answer_of(
                request, loaded, items, latest, unknown(loaded.recommender, query)
            )

    return Response(
        await state.engine.run(work, slow=body.paths > 0), media_type="application/json"
    )


def answer_of(
    request: Request,
    loaded: Loaded,
    items: list[answers.ItemOut],
    session: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> bytes:
    """Items as JSON."""
    share = mean([item.text_weight for item in items])
    made = answers.ItemsAnswer(
        **head(request, loaded),
        items=items,
        text_weight=share,
        session=list(session),
        notes=list(notes),
    )
    return made.model_dump_json().encode()


@router.post("/recommend", response_model=answers.ItemsAnswer)
async def recommend(request: Request, body: schemas.RecommendIn) -> Response:
    """What a user may want next; what the user did in the last hours counts."""
    return await answered(request, body)


@router.post("/complete", response_model=answers.ItemsAnswer)
async def complete(request: Request, body: schemas.CompleteIn) -> Response:
    """What goes with items: an outfit, a basket, a bundle."""
    noted(request, body.user)
    state = state_of(request)
    loaded = state.engine.now

    def work() -> bytes:
        latest = state.session(loaded, body.user) if body.session else ()
        items = tuple(dict.fromkeys((*latest, *body.items)))
        with refused():
            where = body.where.constraints()
            found = loaded.recommender.complete(
                items,
                body.user,
                body.text,
                body.k,
                where,
                body.one_per,
                body.diversity,
                body.complements,
                body.season,
            )
            query = Query(body.user, items, body.text, body.k, where)
            made = items_out(loaded, found, query, body.paths)
            return answer_of(
                request, loaded, made, latest, unknown(loaded.recommender, query)
            )

    slow = bool(body.paths or body.one_per or body.diversity or body.complements)
    return Response(await state.engine.run(work, slow), media_type="application/json")


@router.post("/search", response_model=answers.ItemsAnswer)
async def search(request: Request, body: schemas.SearchIn) -> Response:
    """What words mean, for this user where one is given."""
    return await answered(request, body)


@router.post("/similar", response_model=answers.ItemsAnswer)
async def similar(request: Request, body: schemas.SimilarIn) -> Response:
    """The items that are most alike: not complements. 404 where the item is not known."""
    loaded = state_of(request).engine.now
    there(loaded, body.item)

    def work() -> bytes:
        with refused():
            found = loaded.recommender.similar(
                body.item, body.k, body.where.constraints()
            )
            return answer_of(request, loaded, items_out(loaded, found, None, 0))

    return Response(
        await state_of(request).engine.run(work), media_type="application/json"
    )


def combination_out(loaded: Loaded, one: Combination) -> answers.CombinationOut:
    """With each item's text weight."""
    out = answers.CombinationOut.model_validate(one)
    for piece, share in zip(
        out.items, loaded.shares([p.id for p in one.items]), strict=True
    ):
        piece.text_weight = share
    return out


@router.post("/build", response_model=answers.BuildAnswer)
async def build(request: Request, body: schemas.BuildIn) -> Response:
    """Whole combinations under a plan; 422 names the conditions at odds where none meets it."""
    noted(request, body.user)
    loaded = state_of(request).engine.now

    def work() -> answers.BuildAnswer:
        with refused(plan="plan"):
            built = loaded.recommender.build(
                body.plan.plan(), body.user, tuple(body.items), body.text
            )
            query = Query(body.user, tuple(body.items), body.text)
        found = [combination_out(loaded, one) for one in built]
        share = mean([piece.text_weight or 0.0 for one in found for piece in one.items])
        notes = unknown(loaded.recommender, query, popular=False)
        return answers.BuildAnswer(
            **head(request, loaded), combinations=found, text_weight=share, notes=notes
        )

    return reply(await state_of(request).engine.run(work, slow=True))


@router.post("/judge", response_model=answers.JudgeAnswer)
async def judge(request: Request, body: schemas.JudgeIn) -> Response:
    """How well items go together, the weakest, and the best single swap."""
    noted(request, body.user)
    loaded = state_of(request).engine.now

    def work() -> answers.JudgeAnswer:
        with refused():
            plan = Plan(
                budget=body.budget,
                item_budget=body.item_budget,
                where=body.where.constraints(),
            )
            found = loaded.recommender.judge(
                tuple(body.items), body.user, body.text, plan, body.category
            )
            whole = combination_out(loaded, found.combination)
            swap = (
                None
                if found.swap is None
                else answers.SwapOut.model_validate(found.swap)
            )
            if swap is not None:
                (swap.item.text_weight,) = loaded.shares([swap.item.id])
            share = mean([piece.text_weight or 0.0 for piece in whole.items])
            return answers.JudgeAnswer(
                **head(request, loaded), combination=whole, swap=swap, text_weight=share
            )

    return reply(await state_of(request).engine.run(work, slow=True))


@router.post("/bundles/rank", response_model=answers.BundlesAnswer)
async def rank_bundles(request: Request, body: schemas.BundlesIn) -> Response:
    """Bundles, the graph's own or others, for a user, words or context items."""
    noted(request, body.user)
    loaded = state_of(request).engine.now

    def work() -> answers.BundlesAnswer:
        with refused():
            found = loaded.recommender.rank_bundles(
                body.bundles, body.user, body.text, tuple(body.items), body.k
            )
            ids = [
                item
                for one in found
                for item in one.items
                if loaded.recommender.items.row(item) >= 0
            ]
            share = mean(loaded.shares(ids)) if ids else None
            made = [answers.BundleOut.model_validate(one) for one in found]
            return answers.BundlesAnswer(
                **head(request, loaded), bundles=made, text_weight=share
            )

    return reply(await state_of(request).engine.run(work, slow=True))


@router.post("/explain", response_model=answers.ExplainAnswer)
async def explain(request: Request, body: schemas.ExplainIn) -> Response:
    """Why an item is in an answer: paths, what each carries, in words and as Cypher."""
    noted(request, body.user)
    state = state_of(request)
    loaded = state.engine.now
    there(loaded, body.item)
    if body.verify and not state.settings.graph:
        raise Problem(
            422,
            "verify: this server was started without --graph",
            [("verify", "no graph store is known")],
        )

    def work() -> answers.ExplainAnswer:
        latest = state.session(loaded, body.user) if body.session else ()
        with refused(), state.graph.store() if body.verify else nullcontext() as store:
            made = loaded.explain(
                body.query(latest),
                body.item,
                k=body.paths,
                support=body.support,
                verify=store,
                language=body.language,
            )
        plain = {
            name: getattr(made, name)
            for name in ("item", "score", "rank", "text_weight", "paths", "words")
        }
        return answers.ExplainAnswer.model_validate(
            {
                **head(request, loaded),
                **plain,
                "parts": made.parts,
                "notes": list(made.notes),
            },
            from_attributes=True,
        )

    return reply(await state.engine.run(work, slow=True))


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


def there(loaded: Loaded, item: str) -> int:
    """The row of an item; 404 where there is none."""
    row = loaded.recommender.items.row(item)
    if row < 0:
        raise Problem(404, "there is no such item", [("item", "there is no such item")])
    return row
