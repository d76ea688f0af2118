"""Description: the OpenAPI file, in which errors are what they are."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from serve.api.answers import ProblemOut

PROBLEM = "application/problem+json"
_MODELS = "#/components/schemas/{model}"
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> None:
    """Let the OpenAPI file say that every error is a problem+json, not one of FastAPI's own."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = plain()
            schemas = description["components"]["schemas"]
            for name in _OF_FASTAPI:
                schemas.pop(name, None)
            model = ProblemOut.model_json_schema(ref_template=_MODELS)
            schemas |= model.pop("$defs") | {ProblemOut.__name__: model}
            content = {
                PROBLEM: {"schema": {"$ref": _MODELS.format(model=ProblemOut.__name__)}}
            }
            for operations in description["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["4XX"] = {
                        "description": "The request is refused",
                        "content": content,
                    }
                    operation["responses"]["5XX"] = {
                        "description": "It cannot be answered now",
                        "content": content,
                    }
            app.openapi_schema = description
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign] # FastAPI's own way to extend it
