"""Routes of wallets' statements, as JSON and as CSV, and of the export for accountants."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.payments.exports import payments_file
from lms.payments.operations import ensure_wallet, wallet_of_user
from lms.payments.presenting import CSV, csv_file
from lms.payments.schemas import PeriodQuery, StatementOut, StatementQuery
from lms.payments.statements import Statement, statement, statement_file

FILE_NAME = "wallet-statement.csv"

blp = TenantBlueprint(
    "Statements",
    __name__,
    description="What went through a wallet, or the academy, in a period: to read and to file.",
)


@blp.operation(
    "GET",
    "/wallet/statement",
    id="getWalletStatement",
    query=StatementQuery,
    returns=StatementOut,
)
def get_statement(call: Call, query: dict[str, Any]) -> Statement:
    """Read your wallet's statement of a period, oldest movement first.

    The opening balance and all amounts up to a movement add up to its `balance_after`, and all of
    them to the closing balance. Long ones come in pages. Without `to` it goes up to now, so it
    grows.
    """
    return statement(call.session, ensure_wallet(call.session, call.actor.user_id), **query)


@blp.operation(
    "GET",
    "/wallet/statement.csv",
    id="downloadWalletStatement",
    query=PeriodQuery,
    content_type=CSV,
)
def download_statement(call: Call, query: dict[str, Any]) -> Response:
    """Download your wallet's statement of a period as CSV.

    Amounts are there in minor units and as decimal numbers. Texts that a spreadsheet would run
    begin with an apostrophe. 422 `period_too_long` with the `limit` of movements.
    """
    wallet = ensure_wallet(call.session, call.actor.user_id)
    return csv_file(statement_file(call.session, wallet, **query), FILE_NAME)


@blp.operation(
    "GET",
    "/users/<uuid:user_id>/wallet/statement",
    id="getUserWalletStatement",
    query=StatementQuery,
    returns=StatementOut,
    roles=ADMINS,
)
def get_user_statement(call: Call, user_id: UUID, query: dict[str, Any]) -> Statement:
    """Read the statement of a user's wallet, as its owner does.

    For admins.
    """
    return statement(call.session, wallet_of_user(call.session, user_id), **query)


@blp.operation(
    "GET",
    "/users/<uuid:user_id>/wallet/statement.csv",
    id="downloadUserWalletStatement",
    query=PeriodQuery,
    content_type=CSV,
    roles=ADMINS,
)
def download_user_statement(call: Call, user_id: UUID, query: dict[str, Any]) -> Response:
    """Download the statement of a user's wallet as CSV, as its owner does.

    For admins.
    """
    wallet = wallet_of_user(call.session, user_id)
    return csv_file(statement_file(call.session, wallet, **query), FILE_NAME)


@blp.operation(
    "GET",
    "/payments/export.csv",
    id="exportPayments",
    query=PeriodQuery,
    content_type=CSV,
    roles=ADMINS,
)
def export_payments(call: Call, query: dict[str, Any]) -> Response:
    """Download what succeeded in a period as CSV: payments, top-ups, refunds, lost disputes.

    For admins, oldest first. Amounts are there in minor units and as decimal numbers; refunds and
    lost disputes are negative. The column `entry` tells them apart: a wallet is filled by a
    `top_up`, and a `payment` by `wallet` is money that came before. Beside a payment are its list
    price, the discount and the coupon that gave it. The column `dispute` says of payments and
    top-ups whether their payer contests them (`open`) or got them back (`lost`). Free enrollments
    are left out. Texts that a spreadsheet would run begin with an apostrophe. 422 `period_too_long`
    with the `limit` of rows.
    """
    return csv_file(payments_file(call.session, **query), "payments.csv")
