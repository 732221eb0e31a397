"""What the money rooms' views share."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

import structlog
from flask import Response, jsonify
from sqlalchemy.orm import Session

from lms.core.encryption import UnreadableSecretError
from lms.http.call import Call
from lms.http.schemas import Schema
from lms.payments.accounts import held_account
from lms.payments.errors import ProviderNotConfiguredError
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.registry import Providers

log = structlog.get_logger()
CSV = "text/csv"


def provider_of(call: Call, session: Session, name: str | None = None) -> PaymentProvider:
    """Return the payment provider of the organization that was called.

    Args:
        call: the request.
        session: of a step, in which the organization's account is read and stays until it has
            ended; the provider is called after it.
        name: the provider that was asked before; None for the one that takes new payments.

    Raises:
        ProviderNotConfiguredError: there is none, or none of this name.
        UnreadableSecretError: the account's secrets are under a key that we do not have.
    """
    return call.use(Providers).for_organization(
        call.organization_id,
        held_account(session),
        webhook_url=f"{call.base_url}/api/v1/webhooks/sandbox",
        name=name,
    )


def askable_provider(call: Call, session: Session, name: str | None) -> PaymentProvider | None:
    """Return the provider that was asked before, or None when nobody can ask it now.

    For what is committed all the same: a job asks later. See `provider_of` for the arguments.
    """
    try:
        return provider_of(call, session, name)
    except (ProviderNotConfiguredError, UnreadableSecretError) as error:
        log.error(error.code, error=error.detail)  # noqa: TRY400 - expected: no trace is needed
        return None


def claimed_subject(call: Call, session: Session) -> UUID:
    """Claim the request's Idempotency-Key in the view's first step.

    Returns:
        The id of what the request makes, the same for a repeated request.

    Raises:
        ReplayedResponse: the outcome is known already; the edge repeats it.
        IdempotencyKeyReusedError: the key came with another request before.
        RequestInProgressError: the first request is still in this step.
    """
    if call.idempotent is None:
        raise TypeError("this operation does not declare that it is idempotent")
    return call.idempotent.claim(session)


def accepted(schema: type[Schema], result: Any, **further: Any) -> Response:
    """Answer 202: the outcome is not known yet, and the answer says where to look for it."""
    return answered(schema, result, status=202, **further)


def answered(schema: type[Schema], result: Any, *, status: int, **further: Any) -> Response:
    """Make the answer that a view would get by returning `result`, at once.

    Args:
        schema: of the answer.
        result: what it presents.
        status: of the answer.
        further: members of the schema that `result` does not have.
    """
    dumped: Any = _dumper(schema).dump(result)
    response = jsonify({**dumped, **further})
    response.status_code = status
    return response


def csv_file(table: str, name: str) -> Response:
    """Answer a CSV file for download, which nobody on the way keeps."""
    response = Response(table, content_type=f"{CSV}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


@cache
def _dumper(schema: type[Schema]) -> Schema:
    """Return one instance for all answers: making it copies all its fields."""
    return schema()
