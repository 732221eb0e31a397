"""The OpenAPI documents, one per side, and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask_swagger_ui
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Response, jsonify, redirect, render_template, send_from_directory
from flask_smorest import Api

from lms.http import problems
from lms.http.blueprint import Side
from lms.http.edge import Edge, host_of_request
from lms.http.schemas import Problem
from tenants.session import OrganizationScope

ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""The page loads nothing from elsewhere. Swagger UI styles elements inline."""

SCHEMAS = "#/components/schemas/"

EXAMPLES = {
    400: ("malformed_body", "The body is not JSON: Expecting value: line 1 column 1 (char 0)."),
    401: ("invalid_token", "Sign in, and send the access token as Authorization: Bearer."),
    402: ("insufficient_funds", "The wallet does not hold the price; top it up first."),
    403: ("forbidden", "This needs the account type admin."),
    404: ("not_found", "There is nothing here for you."),
    409: ("conflict", "The state of things does not allow it now; `code` says why."),
    412: ("stale_version", "It was changed since you read it; read it again and repeat."),
    413: ("content_too_large", "The data value transmitted exceeds the capacity limit."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    422: ("validation_failed", "The request does not have the expected form; see errors."),
    428: ("if_match_required", "Send If-Match with the ETag of what you read."),
    500: ("internal_error", "Something went wrong on our side; it has been logged."),
    503: ("unavailable", "The service is not available right now. Try again shortly."),
}
PROBLEM_STATUSES = tuple(EXAMPLES)

TITLES: dict[Side, str] = {"tenant": "Academy API", "platform": "Platform API"}
DESCRIPTIONS: dict[Side, str] = {
    "tenant": (
        "The API of one academy. Every organization has its own host; ids, tokens and links of one"
        " mean nothing on another.\n\nSign in with `POST /api/v1/auth/login` and send the access"
        " token as `Authorization: Bearer`. Errors are RFC 9457 problem documents with a stable"
        " `code`. Lists are paged by cursor. Times are UTC, durations seconds, sizes bytes, money"
        " minor units with an ISO 4217 currency."
    ),
    "platform": (
        "The super-admins' API, on the platform host only: organizations and the queue of work."
        "\n\nThe first super-admin is made by `lms platform create-admin`."
    ),
}


class Document(Api):
    """A smorest API whose errors are problems and whose document is the same on every Python."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = Problem

    @property
    def described(self) -> APISpec:
        """The document that blueprints have been described in."""
        if self.spec is None:
            raise RuntimeError("the document belongs to no app yet")
        return self.spec

    def finished(self) -> dict[str, Any]:
        """Return the document as clients get it.

        What we take is closed (unknown members are refused); what we only answer stays open,
        because members are added to answers within v1.
        """
        document = self.described.to_dict()
        taken = _taken(document)
        for name, schema in document["components"]["schemas"].items():
            if name not in taken:
                schema.pop("additionalProperties", None)
        return document

    def _register_error_handlers(self) -> None:
        """Errors are answered by `lms.http.problems`, once for the whole app."""

    def _register_pagination_header(self) -> None:
        """Pages carry their cursor in the body; smorest's header would be a schema without use."""

    def _register_responses(self) -> None:
        """Declare one response component per status, as problem+json."""
        for status in PROBLEM_STATUSES:
            self.described.components.response(
                f"Problem{status}",
                {
                    "description": problems.title_of(status),
                    "content": {
                        problems.CONTENT_TYPE: {"schema": Problem, "example": _example(status)}
                    },
                },
                lazy=True,
            )


def create_documents(app: Flask) -> dict[Side, Document]:
    """Create both documents; blueprints are registered with the one of their side."""
    documents: dict[Side, Document] = {}
    for side, title in TITLES.items():
        prefix = side.upper() + "_"
        app.config[prefix + "API_TITLE"] = title
        app.config[prefix + "API_VERSION"] = "1.0.0"
        app.config[prefix + "OPENAPI_VERSION"] = "3.1.0"
        documents[side] = document = Document(
            app,
            config_prefix=prefix,
            spec_kwargs={
                "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=_schema_name),
                "info": {
                    "description": DESCRIPTIONS[side],
                    "license": {"name": "MIT", "identifier": "MIT"},
                },
                "servers": [{"url": "/", "description": "The host that served this document"}],
            },
        )
        document.described.components.security_scheme(
            "bearer",
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "Access token of `login`, good for this host only.",
            },
        )
    return documents


def serve(app: Flask, edge: Edge, documents: dict[Side, Document]) -> None:
    """Serve `/api/openapi.json` and `/docs` on every host that exists, assets included."""
    finished = {side: document.finished() for side, document in documents.items()}

    def side_of_host() -> Side:
        host = host_of_request()
        if host == edge.platform_host:
            return "platform"
        # Entered, so that a suspended organization's page is as absent as an unknown one's.
        with edge.database.transaction(OrganizationScope(edge.resolver.resolve(host))):
            return "tenant"

    def openapi() -> Response:
        return jsonify(finished[side_of_host()])

    def docs() -> Response:
        side = side_of_host()
        page = Response(render_template("docs.html", title=finished[side]["info"]["title"]))
        page.headers["Content-Security-Policy"] = CONTENT_POLICY
        return page

    def asset(name: str) -> Response:
        side_of_host()
        if name == "start.js":
            return send_from_directory(Path(__file__).parent / "static", name)
        return send_from_directory(ASSETS, name)

    app.add_url_rule("/api/openapi.json", "openapi", openapi)
    app.add_url_rule("/docs", "docs", docs)
    app.add_url_rule("/", "home", lambda: redirect("/docs"))
    app.add_url_rule("/docs/assets/<path:name>", "docs_asset", asset)


def _taken(document: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that requests carry, also inside of others."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    operations = (one for path in document["paths"].values() for one in path.values())
    found: set[str] = set()
    stack: list[Any] = [one["requestBody"] for one in operations if "requestBody" in one]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            stack.extend(node.values())
            name = str(node.get("$ref", "")).removeprefix(SCHEMAS)
            if name in schemas and name not in found:
                found.add(name)
                stack.append(schemas[name])
    return found


def _example(status: int) -> dict[str, Any]:
    code, detail = EXAMPLES[status]
    return {
        "type": problems.TYPE_BASE + code.replace("_", "-"),
        "title": problems.title_of(status),
        "status": status,
        "detail": detail,
        "instance": "/api/v1/...",
        "code": code,
        "request_id": "0193a1c2-7f00-7000-8000-00000000000a",
    }


def _schema_name(schema: Any) -> str:
    """Name a component after its class; classes are In, Out, Patch or Ref, so none meet."""
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")
