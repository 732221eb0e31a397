"""Errors of the rules: a kind and a stable code, no HTTP.

One table in `lms/http/problems.py` turns kinds into answers. Errors are raised, never returned, so
a failed request always rolls back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from sqlalchemy.orm import Session

Kind = Literal[
    "bad_request",
    "invalid",
    "unauthenticated",
    "payment_required",
    "forbidden",
    "not_found",
    "conflict",
    "precondition_failed",
    "precondition_required",
    "too_large",
    "unsupported",
    "unavailable",
]


class DomainError(Exception):
    """A rule said no.

    Subclasses set `kind` and `code`, and with `remedy` what would change it; instances carry a
    message for people and parameters for programs (ids, limits, what is allowed, a `remedy` of
    their own), which the problem document shows as they are.

    Args:
        detail: one or two sentences: what is wrong and what to do next.
        errors: for validation: a list of `{"pointer": JSON pointer, "message": ...}`.
        params: JSON-ready members added to the problem document.
    """

    kind: ClassVar[Kind] = "conflict"
    code: ClassVar[str] = "conflict"
    remedy: ClassVar[str | None] = None

    def __init__(
        self, detail: str, *, errors: list[dict[str, str]] | None = None, **params: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.params = params if self.remedy is None else {"remedy": self.remedy, **params}


class NotFoundError(DomainError):
    """No such thing, or none that the caller may know of."""

    kind = "not_found"
    code = "not_found"


class ForbiddenError(DomainError):
    """The caller may know that the thing exists, but not do this with it."""

    kind = "forbidden"
    code = "forbidden"


class ConflictError(DomainError):
    """The state of things does not allow it now."""


class InvalidInputError(DomainError):
    """The request's content breaks a rule that needs more than its schema to see."""

    kind = "invalid"
    code = "invalid_input"


class UnauthenticatedError(DomainError):
    """No credentials, or none that hold."""

    kind = "unauthenticated"
    code = "unauthenticated"


class StaleVersionError(DomainError):
    """The client's copy (If-Match) is older than what is stored."""

    kind = "precondition_failed"
    code = "stale_version"


class PreconditionRequiredError(DomainError):
    """A write where a lost update would hurt came without If-Match."""

    kind = "precondition_required"
    code = "if_match_required"


class RecordedRefusalError(DomainError):
    """A refusal that must leave a mark although the request's transaction is rolled back.

    The edge rolls back, runs `record` in a second short transaction of the same scope, and then
    answers: a reused refresh token revokes its family, a declined payment is remembered.

    Args:
        detail: as for every domain error.
        record: writes the mark; gets a fresh session of the same scope.
    """

    def __init__(self, detail: str, *, record: Callable[[Session], None], **params: Any) -> None:
        super().__init__(detail, **params)
        self.record = record
