"""The API's purchase without the API: what it sends to PostgreSQL, sent by a thin client.

Under HTTP, PostgreSQL's processes share the cores with the API's Python, and take more CPU for the
same work because their caches are cold. A client as thin as that of the hand-written function
(`bench.handwritten`) shows what the statements themselves take. `tests/walls/test_bench.py` holds
the two lists of statements together.
"""

from __future__ import annotations

from typing import Any, LiteralString, cast
from uuid import uuid4

import orjson
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from bench.handwritten import Connection, Order
from bench.market import Market
from bench.report import UnmeasurableError
from lms.checkout.enroll_statement import ENROLL
from lms.checkout.views import PURCHASE
from lms.core.ids import new_id
from lms.http.idempotency import INSERT_KEY, LEASE_SECONDS, STORE_RESPONSE
from lms.payments.receipts import ISSUE_MADE
from lms.users.actors import FIND_USER
from tenants import names
from tenants.session import BIND_ORGANIZATION

OPERATION = "enrollInRun"
BIND = cast("LiteralString", BIND_ORGANIZATION)
COMPILED = ENROLL["wallet"].compile(dialect=PGDialect_psycopg(paramstyle="numeric_dollar"))
ENROLL_FROM_WALLET = cast("LiteralString", str(COMPILED))
ORDER_OF_VALUES = tuple(COMPILED.positiontup or ())


def buy(connection: Connection, market: Market, order: Order) -> None:
    """Buy as the API does, in its round trips.

    Args:
        connection: of the login role, in autocommit, with PostgreSQL's own placeholders.
        market: in whose organization.
        order: who buys what.

    Raises:
        UnmeasurableError: the organization, the sign-in or the purchase was refused.
        psycopg.Error: a statement failed.
    """
    organization = market.organization
    key, payment_id = str(uuid4()), new_id()
    entry = (names.search_path(organization.schema), names.role_name(organization.id))
    claim = (order.user_id, OPERATION, key, 2 * uuid4().hex, payment_id, LEASE_SECONDS)
    with connection.pipeline():
        connection.execute("BEGIN")
        bound = connection.execute(BIND, (*entry, organization.id))
        actor = connection.execute(FIND_USER.sql, (order.user_id, order.session_id))
        claimed = connection.execute(INSERT_KEY, claim)
    values: dict[str, Any] = {
        "run_id": order.run_id,
        "user_id": order.user_id,
        "payment_id": payment_id,
        "enrollment_id": new_id(),
        "change_id": new_id(),
    }
    done = connection.execute(ENROLL_FROM_WALLET, [values[name] for name in ORDER_OF_VALUES])
    columns = [column.name for column in done.description or ()]
    made = dict(zip(columns, done.fetchone() or (), strict=True))
    if not made["seated"] or None in (bound.fetchone(), actor.fetchone(), claimed.fetchone()):
        raise UnmeasurableError("A purchase was refused.")
    with connection.pipeline():
        receipt = (payment_id, "UTC", order.user_id, made["amount"], made["currency"])
        connection.execute(ISSUE_MADE, receipt)
        answer = (201, _answer(payment_id), "application/json", "{}")
        connection.execute(STORE_RESPONSE, (order.user_id, OPERATION, key, *answer))
        connection.execute("COMMIT")


def _answer(payment_id: Any) -> str:
    """Return an answer of the API's shape and size."""
    payment = {**PURCHASE["payment"], "id": str(payment_id)}
    return orjson.dumps({**PURCHASE, "payment": payment}).decode()
