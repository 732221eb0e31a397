"""RFC 9457: the one table from kinds of errors to answers."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import psycopg
import structlog
from flask import Flask, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError
from structlog.contextvars import get_contextvars
from werkzeug.exceptions import BadHost, HTTPException

from lms.core.errors import DomainError, Kind
from tenants.errors import (
    DatabaseUnavailableError,
    InvalidSlugError,
    OrganizationMigratingError,
    OrganizationNotFoundError,
    SlugTakenError,
)

log = structlog.get_logger()
CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "/problems/"
"""Problem types are URI references below the documentation of the host that answered."""

STATUS: dict[Kind, HTTPStatus] = {
    "bad_request": HTTPStatus.BAD_REQUEST,
    "invalid": HTTPStatus(422),
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "payment_required": HTTPStatus.PAYMENT_REQUIRED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "precondition_failed": HTTPStatus.PRECONDITION_FAILED,
    "precondition_required": HTTPStatus.PRECONDITION_REQUIRED,
    "too_large": HTTPStatus(413),
    "unsupported": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Phrases that differ between Python versions, fixed so that documents do not."""

MOST_OF_A_NAME = 200
"""Characters of a member's name in the pointer to it: ours are shorter, others have no end."""

BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


def title_of(status: int) -> str:
    """Return the phrase of an HTTP status, the same on every Python."""
    return TITLES.get(status, HTTPStatus(status).phrase)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
) -> Response:
    """Build a problem document.

    Args:
        status: HTTP status.
        code: stable snake_case name; also the end of `type`.
        detail: for people.
        errors: `{"pointer", "message"}` of each invalid member.
        headers: to add (Retry-After, WWW-Authenticate, Allow).
        params: further members for programs.
    """
    body: dict[str, Any] = {
        "type": TYPE_BASE + code.replace("_", "-"),
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "instance": quote(request.path),
        "code": code,
    }
    request_id = get_contextvars().get("request_id")
    if request_id:
        body["request_id"] = request_id
    if errors:
        body["errors"] = errors
    for name, value in (params or {}).items():
        body.setdefault(name, value)
    response = Response(json.dumps(body, default=str), status=status, content_type=CONTENT_TYPE)
    response.headers.update(headers or {})
    return response


def of_domain_error(error: DomainError) -> Response:
    """Answer a rule's refusal."""
    status = STATUS[error.kind]
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = f'Bearer error="{error.code}"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "2"
    return problem(
        status,
        error.code,
        error.detail,
        errors=error.errors,
        headers=headers,
        params=error.params,
    )


def of_http_error(error: HTTPException) -> Response:
    """Answer an error of the framework, its headers (Allow, Retry-After) kept."""
    status = error.code or 500
    data: dict[str, Any] = getattr(error, "data", None) or {}
    if status == 422 and "messages" in data:
        return problem(
            status,
            "validation_failed",
            "The request does not have the expected form; see errors.",
            errors=_flatten(data["messages"]),
        )
    kept = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    code = title_of(status).lower().replace(" ", "_").replace("-", "_")
    if status == 404 or isinstance(error, BadHost):
        return not_found()
    return problem(status, code, error.description or title_of(status), headers=kept)


def not_found() -> Response:
    """The one answer to whatever is not there or not to be revealed."""
    return problem(404, "not_found", "There is nothing here for you.")


def register(app: Flask) -> None:
    """Answer every error of the app with a problem document."""
    app.register_error_handler(DomainError, of_domain_error)
    app.register_error_handler(HTTPException, of_http_error)
    app.register_error_handler(OrganizationNotFoundError, lambda _error: not_found())
    app.register_error_handler(StaleDataError, lambda _error: _stale())
    app.register_error_handler(
        OrganizationMigratingError,
        lambda _error: _try_again("migrating", "This organization is being updated.", 5),
    )
    app.register_error_handler(
        DatabaseUnavailableError,
        lambda _error: _try_again("unavailable", "The service is not available right now.", 2),
    )
    app.register_error_handler(
        InvalidSlugError,
        lambda error: problem(
            422,
            "invalid_slug",
            str(error),
            errors=[{"pointer": "/slug", "message": str(error)}],
        ),
    )
    app.register_error_handler(
        SlugTakenError,
        lambda error: problem(409, "slug_taken", f"Another organization has the slug {error}."),
    )
    app.register_error_handler(DBAPIError, _of_database_error)
    app.register_error_handler(Exception, _of_bug)


def _stale() -> Response:
    return problem(
        412, "stale_version", "It was changed since you read it; read it again and repeat."
    )


def _try_again(code: str, detail: str, seconds: int) -> Response:
    return problem(503, code, detail + " Try again shortly.", headers={"Retry-After": str(seconds)})


def _of_database_error(error: DBAPIError) -> Response:
    if isinstance(error.orig, BUSY):
        return _try_again("busy", "Others are changing the same thing.", 1)
    return _of_bug(error)


def _of_bug(error: Exception) -> Response:
    log.error("unhandled_error", error=type(error).__name__, exc_info=error)
    return problem(500, "internal_error", "Something went wrong on our side; it has been logged.")


def pointers_of(messages: Any, at: str = "") -> list[dict[str, str]]:
    """Turn marshmallow's nested messages into `{"pointer": JSON pointer, "message": ...}`.

    Members' names that are longer than any of ours are cut.

    Args:
        messages: of a `ValidationError`.
        at: pointer of what they are about.
    """
    if isinstance(messages, list):
        return [found for one in messages for found in pointers_of(one, at)]
    if not isinstance(messages, dict):
        return [{"pointer": at, "message": str(messages)}]
    found: list[dict[str, str]] = []
    for key, inner in messages.items():
        step = _cut(str(key)).replace("~", "~0").replace("/", "~1")
        found += pointers_of(inner, at if key == "_schema" else f"{at}/{step}")
    return found


def _cut(name: str) -> str:
    """Return a member's name as far as an answer repeats it: who sent it knows the rest."""
    if len(name) <= MOST_OF_A_NAME:
        return name
    return name[:MOST_OF_A_NAME] + "\N{HORIZONTAL ELLIPSIS}"


def _flatten(messages: Any) -> list[dict[str, str]]:
    """Turn webargs' messages by location into JSON pointers, or the names of query parameters."""
    found: list[dict[str, str]] = []
    for location, inner in messages.items() if isinstance(messages, dict) else []:
        if location == "json":
            found += pointers_of(inner)
        elif isinstance(inner, dict):
            for name, below in inner.items():
                found += pointers_of(below, str(name))
    return found
