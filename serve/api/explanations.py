"""Explanations: why an item is in an answer, with each edge looked up in the store on demand."""

from __future__ import annotations

from contextlib import nullcontext

from fastapi import APIRouter, Request, Response

from serve.api import answers, schemas
from serve.api.common import head, noted, reply, state_of, there
from serve.problems import Problem, refused

router = APIRouter(prefix="/v1")


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
            explanation = loaded.explain(
                body.query(latest),
                body.item,
                k=body.paths,
                support=body.support,
                verify=store,
                language=body.language,
            )
        plain = {
            name: getattr(explanation, name)
            for name in ("item", "score", "rank", "text_weight", "paths", "words")
        }
        return answers.ExplainAnswer.model_validate(
            {
                **head(request, loaded),
                **plain,
                "parts": explanation.parts,
                "notes": list(explanation.notes),
            },
            from_attributes=True,
        )

    return reply(await state.engine.run(work, slow=True))
