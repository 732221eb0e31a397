"""A purchase as a hand-written function in the database: what PostgreSQL needs at the least.

It writes the rows that `POST /runs/{id}/enrollments` writes, with the same checks and locks, in one
transaction: the key with the answer, run, wallet, payment, enrollment, seat, journal, history and
receipt. It knows one way to pay, refuses with an exception, and is called from prepared statements
by a client that does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg

from bench.load import postgres_cpu
from bench.market import Market
from bench.report import UnmeasurableError
from bench.stage import Stage, libpq_url
from lms.core.ids import new_id
from lms.users.actors import FIND_USER
from tenants import names
from tenants.session import BIND_ORGANIZATION

CREATE: LiteralString = """
    CREATE OR REPLACE FUNCTION buy_from_wallet(
        the_user uuid, the_run uuid, the_key text, the_hash text, the_payment uuid,
        the_enrollment uuid, the_change uuid, the_zone text)
    RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        run record;
        wallet record;
        place record;
        receipt record;
        answer text;
    BEGIN
        INSERT INTO idempotency_keys
               (user_id, operation, key, request_hash, subject_id, claimed_until)
        VALUES (the_user, 'enrollInRun', the_key, the_hash, the_payment,
                clock_timestamp() + interval '30 seconds')
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE 'the key was used before';
        END IF;

        SELECT version_id, price_amount, currency, refund_policy INTO run
          FROM course_runs
         WHERE id = the_run AND state = 'scheduled' AND NOT approval_required AND price_amount > 0
           AND now() >= enrollment_opens_at AND now() < enrollment_closes_at
           FOR SHARE;
        IF NOT FOUND THEN
            RAISE 'the run takes nobody';
        END IF;

        UPDATE wallets SET balance = balance - run.price_amount, seq = seq + 1
         WHERE user_id = the_user AND currency = run.currency AND balance >= run.price_amount
           AND frozen_at IS NULL
        RETURNING id, seq, balance INTO wallet;
        IF NOT FOUND THEN
            RAISE 'the wallet does not hold the price';
        END IF;

        INSERT INTO payments
               (id, user_id, run_id, amount, currency, method, state, succeeded_at, refund_policy)
        VALUES (the_payment, the_user, the_run, run.price_amount, run.currency, 'wallet',
                'succeeded', now(), run.refund_policy);

        INSERT INTO enrollments
               (id, user_id, run_id, version_id, payment_id, attempt, state, activated_at)
        VALUES (the_enrollment, the_user, the_run, run.version_id, the_payment,
                (SELECT COALESCE(max(attempt), 0) + 1 FROM enrollments
                  WHERE user_id = the_user AND run_id = the_run),
                'active', now())
        RETURNING attempt INTO place;

        UPDATE run_seats SET taken = taken + 1
         WHERE run_id = the_run AND (capacity IS NULL OR taken + waitlisted < capacity);
        IF NOT FOUND THEN
            RAISE 'the run is full';
        END IF;

        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account,
                payment_id, reference, created_by)
        VALUES (wallet.id, wallet.seq, 'deduction', -run.price_amount, run.currency,
                wallet.balance, 'run:' || the_run, the_payment, 'payment:' || the_payment,
                the_user);

        INSERT INTO enrollment_changes (id, enrollment_id, to_state, actor_id, reason)
        VALUES (the_change, the_enrollment, 'active', the_user, 'paid');

        INSERT INTO receipt_counters AS c (year, last_number)
        VALUES (EXTRACT(year FROM now() AT TIME ZONE the_zone), 1)
        ON CONFLICT (year) DO UPDATE SET last_number = c.last_number + 1
        RETURNING year, last_number INTO receipt;

        INSERT INTO receipts (year, number, payment_id, user_id, amount, currency)
        VALUES (receipt.year, receipt.last_number, the_payment, the_user, run.price_amount,
                run.currency);

        answer := json_build_object(
            'enrollment', json_build_object(
                'id', the_enrollment, 'user_id', the_user, 'run_id', the_run,
                'version_id', run.version_id, 'payment_id', the_payment,
                'attempt', place.attempt, 'state', 'active', 'awaiting', NULL, 'percent', 0,
                'hold_until', NULL, 'waitlisted_at', NULL, 'approved_at', NULL,
                'pay_automatically', false, 'access_ends_at', NULL,
                'transferred_from_id', NULL, 'activated_at', now(), 'completed_at', NULL,
                'ended_at', NULL, 'created_at', now()),
            'payment', json_build_object(
                'id', the_payment, 'user_id', the_user, 'run_id', the_run,
                'amount', json_build_object(
                    'amount', run.price_amount, 'currency', run.currency),
                'list_price', json_build_object(
                    'amount', run.price_amount, 'currency', run.currency),
                'discount', json_build_object('amount', 0, 'currency', run.currency),
                'coupon', NULL,
                'refunded_amount', json_build_object('amount', 0, 'currency', run.currency),
                'lost_amount', json_build_object('amount', 0, 'currency', run.currency),
                'dispute_state', 'none', 'disputed_at', NULL,
                'refund_state', 'none', 'method', 'wallet', 'state', 'succeeded',
                'provider', NULL, 'failure_code', NULL, 'succeeded_at', now(),
                'created_at', now()),
            'client_secret', NULL);
        UPDATE idempotency_keys
           SET status = 201, body = answer, content_type = 'application/json', headers = '{}'
         WHERE user_id = the_user AND operation = 'enrollInRun' AND key = the_key;
        RETURN answer;
    END
    $$
"""
DROP: LiteralString = "DROP FUNCTION buy_from_wallet"
CALL: LiteralString = "SELECT buy_from_wallet($1, $2, $3, $4, $5, $6, $7, $8)"
BIND = BIND_ORGANIZATION.encode()
ENTER: LiteralString = """
    SELECT set_config('search_path', $1, false), set_config('role', $2, false)
"""
SECONDS_TO_CONNECT = 10

ALONE, AS_REQUEST = "alone", "as a request"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Order:
    """Who buys what, signed in as whom."""

    user_id: UUID
    session_id: UUID
    run_id: UUID


@dataclass(frozen=True, slots=True)
class Client:
    """A load of its own: connections that stay open, as a pool's, and how each purchase is sent.

    Attributes:
        connections: of the login role.
        buy: makes one purchase.
    """

    connections: Sequence[Connection]
    buy: Callable[[Connection, Order], None]

    def play(self, stage: Stage, orders: Sequence[Order], clients: int) -> float:
        """Make every purchase once.

        Args:
            stage: whose PostgreSQL is measured.
            orders: what is bought, in this order.
            clients: how many buy at a time; no more than there are connections.

        Returns:
            PostgreSQL's CPU, milliseconds a purchase.

        Raises:
            psycopg.Error: one was refused.
        """
        waiting = iter(orders)  # one iterator for all: each order is taken once

        def work(connection: Connection) -> None:
            for order in waiting:
                self.buy(connection, order)

        working = self.connections[:clients]
        before = postgres_cpu(stage.postmaster)
        with ThreadPoolExecutor(len(working)) as threads:
            list(threads.map(work, working))
        return 1000 * (postgres_cpu(stage.postmaster) - before) / len(orders)


@contextmanager
def by_hand(stage: Stage, market: Market, size: int) -> Iterator[dict[str, Client]]:
    """Make the function and its two clients; all is gone afterwards.

    Args:
        stage: where.
        market: in whose schema.
        size: connections of each client.

    Yields:
        `ALONE`: connections that belong to the organization, one statement a purchase, and
        `AS_REQUEST`: connections of all organizations, and in each transaction what the API asks
        before it buys: it is bound to the organization, which must be active, and the sign-in is
        looked up.
    """
    organization = market.organization
    entry = (names.search_path(organization.schema), names.role_name(organization.id))
    with ExitStack() as stack:
        owner = stack.enter_context(market.entered(stage))
        owner.execute(CREATE)
        stack.callback(owner.execute, DROP)
        alone, shared = (
            [stack.enter_context(connect(stage)) for _ in range(size)] for _ in range(2)
        )
        for connection in alone:
            connection.execute(ENTER, entry)

        def buy(connection: Connection, order: Order) -> None:
            connection.execute(CALL, _values(order))

        def buy_as_request(connection: Connection, order: Order) -> None:
            with connection.pipeline():
                connection.execute("BEGIN")
                bound = connection.execute(BIND, (*entry, organization.id))
                actor = connection.execute(FIND_USER.sql, (order.user_id, order.session_id))
            if bound.fetchone() is None or actor.fetchone() is None:
                raise UnmeasurableError("The organization or a sign-in of the market is gone.")
            with connection.pipeline():
                connection.execute(CALL, _values(order))
                connection.execute("COMMIT")

        yield {ALONE: Client(alone, buy), AS_REQUEST: Client(shared, buy_as_request)}


@contextmanager
def connect(stage: Stage) -> Iterator[Connection]:
    """Yield a connection of the login role; its statements are prepared at their first use."""
    connection = psycopg.connect(
        libpq_url(stage.app_url),
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=SECONDS_TO_CONNECT,
        cursor_factory=psycopg.RawCursor,
    )
    with connection:
        yield connection


def _values(order: Order) -> tuple[Any, ...]:
    key = uuid4()
    ids = (new_id(), new_id(), new_id())
    return (order.user_id, order.run_id, str(key), 2 * key.hex, *ids, "UTC")
