"""Reference: every question of the API as a page that needs no script and no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any


def page(openapi: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI description: each operation, what it takes, and an example to paste."""
    parts = []
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(path, method.upper(), operation, openapi))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<title>Trousseau: the API</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/explorer/style.css"></head>'
        '<body><main class="docs"><h1>The API</h1>'
        '<p>Described for programs in <a href="/openapi.json">openapi.json</a>; to try it by hand, '
        '<a href="/">the explorer</a>. Errors are problem+json and name the field.</p>'
        f"{''.join(parts)}</main></body></html>"
    )


def _operation(
    path: str, method: str, operation: Mapping[str, Any], openapi: Mapping[str, Any]
) -> str:
    about = escape(operation.get("description", ""))
    lines = [f"<h2><code>{method} {escape(path)}</code></h2><p>{about}</p>"]
    content = (
        operation.get("requestBody", {}).get("content", {}).get("application/json")
    )
    if content:
        schema = _resolved(content["schema"], openapi)
        example = json.dumps(schema["examples"][0]) if schema.get("examples") else "{}"
        quoted = example.replace("'", "'\\''")
        curl = (
            "curl -H 'Authorization: Bearer trs_...' "
            f"-H 'Content-Type: application/json' -d '{quoted}' "
        )
        lines.append(
            f'<pre tabindex="0">{escape(curl)}http://localhost:8000{escape(path)}</pre>'
        )
        needed = schema.get("required", [])
        rows = [
            f"<tr><th scope=row><code>{escape(name)}</code></th>"
            f"<td>{'needed' if name in needed else ''}</td>"
            f"<td>{escape(_described(spec, openapi))}</td></tr>"
            for name, spec in schema.get("properties", {}).items()
        ]
        lines.append(f"<table>{''.join(rows)}</table>")
    return "".join(lines)


def _resolved(
    schema: Mapping[str, Any], openapi: Mapping[str, Any]
) -> Mapping[str, Any]:
    if "$ref" in schema:
        definition: Mapping[str, Any] = openapi["components"]["schemas"][
            schema["$ref"].rpartition("/")[2]
        ]
        return definition
    return schema


def _described(spec: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    """A field in a line: what it is, its limits, its default."""
    kinds = [_resolved(one, openapi) for one in spec.get("anyOf", [spec])]
    limits = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "maxLength": "at most {} characters",
        "maxItems": "at most {} items",
    }
    named = [
        str(kind.get("title") or kind.get("type", ""))
        for kind in kinds
        if kind.get("type") != "null"
    ]
    parts = [" or ".join(named)]
    parts += [
        phrase.format(kind[name])
        for kind in kinds
        for name, phrase in limits.items()
        if name in kind
    ]
    if spec.get("default") not in (None, "", [], {}):
        parts.append(f"{json.dumps(spec['default'])} where left out")
    about = next(
        (one["description"] for one in (spec, *kinds) if one.get("description")), ""
    )
    return (
        f"{about} " if about else ""
    ) + f"({', '.join(part for part in parts if part)})"
