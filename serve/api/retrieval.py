"""Retrieval: recommend, complete, search and similar, each a ranked list of items."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from fusion.explain.notes import unknown
from fusion.query import Query, Recommendation
from serve.api import answers, schemas
from serve.api.common import head, mean, noted, state_of, there
from serve.problems import refused
from serve.runtime.loaded import Loaded

router = APIRouter(prefix="/v1")
EXPLAINED = 10  # items of an answer whose paths are found


def items_out(
    loaded: Loaded,
    recommendations: Sequence[Recommendation],
    query: Query | None,
    paths: int,
) -> list[answers.ItemOut]:
    """An answer's items, with paths where they are wanted."""
    prices = loaded.prices([one.id for one in recommendations])
    out = []
    for place, (one, price) in enumerate(zip(recommendations, prices, strict=True)):
        item = answers.ItemOut(
            id=one.id,
            title=one.title,
            score=one.score,
            text_weight=one.text_weight,
            price=price,
        )
        if paths and query is not None and place < EXPLAINED:
            explanation = loaded.explain(query, one.id, k=paths, support=False)
            item.paths = [
                answers.PathOut.model_validate(path) for path in explanation.paths
            ]
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
    answer = answers.ItemsAnswer(
        **head(request, loaded),
        items=items,
        text_weight=share,
        session=list(session),
        notes=list(notes),
    )
    return answer.model_dump_json().encode()


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
            recommendations = loaded.recommender.complete(
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
            answer_items = items_out(loaded, recommendations, query, body.paths)
            return answer_of(
                request,
                loaded,
                answer_items,
                latest,
                unknown(loaded.recommender, query),
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
            recommendations = loaded.recommender.similar(
                body.item, body.k, body.where.constraints()
            )
            return answer_of(
                request, loaded, items_out(loaded, recommendations, None, 0)
            )

    return Response(
        await state_of(request).engine.run(work), media_type="application/json"
    )
