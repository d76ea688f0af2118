"""Bundles: build whole combinations, measure their compatibility, rank them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from fusion.bundles.plan import Combination, Plan
from fusion.explain.notes import unknown
from fusion.query import Query
from serve.api import answers, schemas
from serve.api.common import head, mean, noted, reply, state_of
from serve.problems import refused
from serve.runtime.loaded import Loaded

router = APIRouter(prefix="/v1")


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
        combinations = [combination_out(loaded, one) for one in built]
        share = mean(
            [piece.text_weight or 0.0 for one in combinations for piece in one.items]
        )
        notes = unknown(loaded.recommender, query, popular=False)
        return answers.BuildAnswer(
            **head(request, loaded),
            combinations=combinations,
            text_weight=share,
            notes=notes,
        )

    return reply(await state_of(request).engine.run(work, slow=True))


@router.post("/compatibility", response_model=answers.CompatibilityAnswer)
async def compatibility(request: Request, body: schemas.CompatibilityIn) -> Response:
    """How well items go together, the weakest, and the best single swap."""
    noted(request, body.user)
    loaded = state_of(request).engine.now

    def work() -> answers.CompatibilityAnswer:
        with refused():
            plan = Plan(
                budget=body.budget,
                item_budget=body.item_budget,
                where=body.where.constraints(),
            )
            result = loaded.recommender.compatibility(
                tuple(body.items), body.user, body.text, plan, body.category
            )
            whole = combination_out(loaded, result.combination)
            swap = (
                None
                if result.swap is None
                else answers.SwapOut.model_validate(result.swap)
            )
            if swap is not None:
                (swap.item.text_weight,) = loaded.shares([swap.item.id])
            share = mean([piece.text_weight or 0.0 for piece in whole.items])
            return answers.CompatibilityAnswer(
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
            ranked = loaded.recommender.rank_bundles(
                body.bundles, body.user, body.text, tuple(body.items), body.k
            )
            ids = [
                item
                for one in ranked
                for item in one.items
                if loaded.recommender.items.row(item) >= 0
            ]
            share = mean(loaded.shares(ids)) if ids else None
            bundles = [answers.BundleOut.model_validate(one) for one in ranked]
            return answers.BundlesAnswer(
                **head(request, loaded), bundles=bundles, text_weight=share
            )

    return reply(await state_of(request).engine.run(work, slow=True))
