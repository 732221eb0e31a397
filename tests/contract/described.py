"""What the committed documents say of each operation, and requests that follow them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
REFERENCE = "#/components/"


@dataclass(frozen=True)
class Described:
    """One operation of the url map, and what its document says.

    Attributes:
        id: the operationId.
        side: whose host serves it.
        method: HTTP method.
        path: with `{name}` for parameters.
        roles: account types that may call it; empty is public.
        statuses: documented ones.
        body: schema of the JSON body, references resolved; None when it takes none.
        query: schemas of the query parameters, by name.
        headers: names of the headers that it reads.
        served: methods of all operations at its path.
    """

    id: str
    side: str
    method: str
    path: str
    roles: tuple[str, ...]
    statuses: frozenset[int]
    body: dict[str, Any] | None
    query: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    headers: tuple[str, ...] = ()
    served: frozenset[str] = frozenset()

    @property
    def role(self) -> str | None:
        """An account type that may call it; None for a public one."""
        return next((one for one in PREFERRED if one in self.roles), None)

    @property
    def parameters(self) -> list[str]:
        """Names of the path parameters."""
        return re.findall(r"{(\w+)}", self.path)


PREFERRED = ("super_admin", "student", "instructor", "admin")
"""The least powerful that may, except that the platform has one kind only."""


def described(app: Flask) -> list[Described]:
    """Return every operation of both url maps; each must be in the committed document."""
    documents = {
        side: json.loads((DOCS / f"openapi-{side}.json").read_text(encoding="utf-8"))
        for side in ("tenant", "platform")
    }
    found = []
    for rule in app.url_map.iter_rules():
        operation = getattr(app.view_functions[rule.endpoint], "operation", None)
        if operation is None:
            continue
        method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        path = CONVERTER.sub(r"{\1}", rule.rule)
        document = documents[operation.side]
        found.append(_described(document, operation, method, path))
    return sorted(found, key=lambda one: (one.side, one.path, one.method))


def _described(document: dict[str, Any], operation: Any, method: str, path: str) -> Described:
    said = document["paths"][path][method.lower()]
    parameters = [_resolved(document, one) for one in said.get("parameters", [])]
    content = said.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {}).get("schema")
    return Described(
        id=operation.id,
        side=operation.side,
        method=method,
        path=path,
        roles=tuple(sorted(operation.roles)),
        statuses=frozenset(int(status) for status in said["responses"]),
        body=None if body is None else _resolved(document, body),
        query={one["name"]: one["schema"] for one in parameters if one["in"] == "query"},
        headers=tuple(one["name"] for one in parameters if one["in"] == "header"),
        served=frozenset(name.upper() for name in document["paths"][path]),
    )


def _resolved(document: dict[str, Any], node: Any) -> Any:
    if isinstance(node, list):
        return [_resolved(document, one) for one in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        target = document["components"]
        for step in reference.removeprefix(REFERENCE).split("/"):
            target = target[step]
        return _resolved(document, target)
    return {name: _resolved(document, value) for name, value in node.items()}


def members(schema: dict[str, Any] | None, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the places of all members of a body, also inside of objects and of lists' items."""
    found: list[tuple[str, ...]] = []
    for part in _alternatives(schema or {}):
        for name, inner in part.get("properties", {}).items():
            place = (*at, name)
            found.append(place)
            found.extend(members(inner, place))
            for alternative in _alternatives(inner):
                if "items" in alternative:
                    found.extend(members(alternative["items"], (*place, "0")))
    return list(dict.fromkeys(found))


def example(schema: dict[str, Any]) -> Any:
    """Return a value that follows a schema, its examples where it has some."""
    for name in ("example", "default", "const"):
        if schema.get(name) is not None:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    parts = [part for part in _alternatives(schema) if part.get("type") != "null"]
    if parts and parts != [schema]:
        return example(parts[0])
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema["items"])]
    return _plain(kind, schema)


def _plain(kind: str | None, schema: dict[str, Any]) -> Any:
    formats = {
        "uuid": "0193a1c2-7f00-7000-8000-00000000000a",
        "date-time": "2027-01-01T00:00:00Z",
        "email": "dana@acme.example",
    }
    numbers = {"integer": schema.get("minimum", 1), "number": 1.5, "boolean": True}
    return numbers.get(kind or "", formats.get(schema.get("format", ""), "words"))


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return [part for one in schema[name] for part in _alternatives(one)]
    return [schema]
