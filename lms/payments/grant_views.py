"""Routes by which admins give credit to many learners at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from lms.core.pagination import Page
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.bodies import UnsupportedMediaError, read_body
from lms.http.call import Call
from lms.payments import grants
from lms.payments.examples import GRANT
from lms.payments.grant_files import read_shares
from lms.payments.grant_schemas import CreditGrantIn, CreditGrantOut, ImportQuery, RecipientOut
from lms.payments.grants import Share
from lms.payments.models import CreditGrant
from lms.payments.presenting import CSV
from tenants.session import organization_of

blp = TenantBlueprint(
    "Sponsored credit",
    __name__,
    description="For admins: wallet credit for many learners at once.",
)


@blp.operation(
    "POST",
    "/credit-grants",
    id="createCreditGrant",
    body=CreditGrantIn,
    returns=CreditGrantOut,
    status=201,
    roles=ADMINS,
    idempotent=True,
    refusals=(409,),
    example=GRANT,
)
def create_credit_grant(call: Call, body: dict[str, Any]) -> CreditGrant:
    """Give many learners the same credit.

    For admins. Everybody gets it, or nobody: 422 `wrong_shares` names in `errors` everybody who is
    unknown, deactivated or named twice. What a wallet owes is paid first. 409 `currency_mismatch`
    when the organization's currency is another. What was granted by mistake is taken back by
    adjustments.
    """
    amount = body["amount"]
    shares = [
        Share(learner, amount.amount, f"/learners/{number}")
        for number, learner in enumerate(body["learners"])
    ]
    return grants.grant_credit(
        call.session,
        call.actor,
        shares,
        grant_id=_grant_id(call),
        currency=amount.currency,
        reason=body["reason"],
    )


@blp.operation(
    "POST",
    "/credit-grants/import",
    id="importCreditGrant",
    raw_body=CSV,
    query=ImportQuery,
    returns=CreditGrantOut,
    status=201,
    roles=ADMINS,
    idempotent=True,
    refusals=(409, 413, 415),
    example=GRANT,
)
def import_credit_grant(call: Call, query: dict[str, Any]) -> CreditGrant:
    """Give learners credit as a CSV file says.

    For admins. UTF-8 with a first line `email,amount`, and at most 5,000 rows; empty lines are
    skipped, lines of commas alone are not. Amounts are decimal numbers of the organization's
    currency, `25` or `25.00` for euros. All rows count, or none: 422 tells of every wrong row at
    once, in their order, with the line in `pointer` (`/rows/3/amount`); `invalid_csv` when it is no
    such file.
    """
    if call.request.mimetype != CSV:
        raise UnsupportedMediaError(f"Send the body as {CSV}.")
    currency = organization_of(call.session).currency
    shares, errors = read_shares(read_body(call.request), currency)
    return grants.grant_credit(
        call.session,
        call.actor,
        shares,
        grant_id=_grant_id(call),
        currency=currency,
        reason=query["reason"],
        errors=errors,
    )


@blp.operation(
    "GET",
    "/credit-grants",
    id="listCreditGrants",
    returns=CreditGrantOut,
    paged=True,
    roles=ADMINS,
)
def list_credit_grants(call: Call, query: dict[str, Any]) -> Page[CreditGrant]:
    """List what was granted, newest first.

    For admins.
    """
    return grants.credit_grants(call.session, **query)


@blp.operation(
    "GET",
    "/credit-grants/<uuid:grant_id>",
    id="getCreditGrant",
    returns=CreditGrantOut,
    roles=ADMINS,
    example=GRANT,
)
def get_credit_grant(call: Call, grant_id: UUID) -> CreditGrant:
    """Read a grant.

    For admins; `GET /credit-grants/{id}/recipients` tells who got what.
    """
    return grants.credit_grant(call.session, grant_id)


@blp.operation(
    "GET",
    "/credit-grants/<uuid:grant_id>/recipients",
    id="listCreditGrantRecipients",
    returns=RecipientOut,
    paged=True,
    roles=ADMINS,
)
def list_recipients(
    call: Call, grant_id: UUID, query: dict[str, Any]
) -> Page[Row[UUID, str, str, int, str]]:
    """List who got what by a grant, in the order in which their accounts were made.

    For admins.
    """
    return grants.recipients(call.session, grant_id, **query)


def _grant_id(call: Call) -> UUID:
    if call.subject_id is None:
        raise TypeError("this operation declares that it is idempotent")
    return call.subject_id
