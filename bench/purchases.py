"""Purchases per second, spread out and where everybody wants the same: one run, one wallet.

What each takes of PostgreSQL is compared with a function written by hand (`bench.handwritten`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from statistics import median
from typing import Any
from uuid import UUID

from flask import Flask
from rich.progress import Progress

from bench import replay
from bench.expansion import expand
from bench.handwritten import ALONE, AS_REQUEST, Client, Connection, Order, by_hand, connect
from bench.load import Round, Server, play, require_wrk, serving
from bench.market import SIZE, Market, deadlocks, find_market
from bench.report import Cell, Context, Report, Target, UnmeasurableError
from bench.stage import SECRET_KEY, Stage, set_up
from bench.target import OPERATIONS, TOKEN_SECONDS, production_command, token_of
from lms.http import auth

CLIENTS = (1, 8, 32)
POOL = 8
"""Connections to PostgreSQL: of the API, two processes with DATABASE_POOL_SIZE 4; of the function's
clients as many."""
BY_HAND = 2000
"""Purchases of a round by hand: enough for clocks that count hundredths of a second."""
SPREAD, HOT_RUN, HOT_WALLET = "spread", "hot run", "hot wallet"
TIMES_BY_HAND = 1.25
"""PostgreSQL's CPU of a purchase to stay below, in hand-written ones."""
REPLAYED = "replayed"
WAYS = (ALONE, AS_REQUEST)
REQUEST = ("method", "path", "headers", "body")


@dataclass(frozen=True, slots=True)
class Case:
    """Who buys what, each buyer and each run in turn.

    Attributes:
        tenant: what requests are expanded from.
        orders: the first of them, for purchases by hand.
    """

    tenant: Mapping[str, Any]
    orders: Sequence[Order]


@dataclass(frozen=True, slots=True)
class Compared:
    """One round.

    Attributes:
        ours: of the API.
        replayed: PostgreSQL's CPU of the API's statements in milliseconds, sent by a thin client.
        by_hand: so of a hand-written purchase, by its way.
    """

    ours: Round
    replayed: float
    by_hand: dict[str, float]

    def ratio(self, way: str) -> float:
        """Return PostgreSQL's CPU of our statements over a hand-written purchase's.

        Both from clients that do nothing else, over connections of the same number.
        """
        return self.replayed / self.by_hand[way]


Results = dict[tuple[str, int], list[Compared]]


def run(context: Context) -> Report:
    """Measure wallet purchases over HTTP and by hand, and look whether the books balance."""
    require_wrk()
    report = Report(
        title="Purchases from the wallet, one organization",
        columns=[
            *("case", "clients", "purchases/s", "p50 ms", "p99 ms", "CPU web ms", "CPU PG ms"),
            REPLAYED,
            *(f"by hand, {way}" for way in WAYS),
            *(f"{REPLAYED} / {way}" for way in WAYS),
            "errors",
        ],
        notes=[
            (
                f"{SPREAD}: every purchase by another student of another run; {HOT_RUN}: of the"
                f" same run; {HOT_WALLET}: by the same student, of another run."
            ),
            (
                f"{REPLAYED.capitalize()}: PostgreSQL's CPU, ms a purchase, of the API's own"
                " statements in its round trips, sent by a client that does nothing else."
            ),
            (
                "By hand: PostgreSQL's CPU, ms a purchase, of a PL/pgSQL function that writes the"
                f" same rows, {ALONE} and {AS_REQUEST}: bound to the organization and with the"
                " sign-in looked up. A ratio is the median of the rounds' ratios."
            ),
        ],
    )
    with set_up(context) as stage:
        with context.console.status("make the buyers"):
            market = find_market(stage)
        before = deadlocks(stage)
        results, wrong = _measure(context, stage, market)
        locked = deadlocks(stage) - before
    for (case, clients), done in results.items():
        report.rows.append([case, clients, *_figures(done)])
        report.details[f"{case}, {clients} clients"] = [asdict(one) for one in done]
    report.targets = [
        *(_target(clients, results[SPREAD, clients]) for clients in CLIENTS if clients > 1),
        Target("deadlocks", locked, 0, at_most=True),
        Target("errors", _errors(one for of in results.values() for one in of), 0, at_most=True),
        Target("wallets, runs and payments that do not balance", wrong, 0, at_most=True),
    ]
    return report


def _target(clients: int, done: Sequence[Compared]) -> Target:
    return Target(
        f"{SPREAD}, {clients} clients: CPU of PostgreSQL, {REPLAYED} / by hand {AS_REQUEST}",
        median(one.ratio(AS_REQUEST) for one in done),
        TIMES_BY_HAND,
        at_most=True,
    )


def _figures(done: Sequence[Compared]) -> list[Cell]:
    return [
        *(
            median(getattr(one.ours, field) for one in done)
            for field in ("rps", "p50_ms", "p99_ms", "web_ms", "postgres_ms")
        ),
        median(one.replayed for one in done),
        *(median(one.by_hand[way] for one in done) for way in WAYS),
        *(median(one.ratio(way) for one in done) for way in WAYS),
        _errors(done),
    ]


def _errors(done: Iterable[Compared]) -> int:
    return sum(one.ours.errors for one in done)


def _measure(context: Context, stage: Stage, market: Market) -> tuple[Results, int]:
    """Return the rounds of each case, and how much was out of balance after them."""
    rounds, seconds = (2, 2) if context.quick else (5, 4)
    measured = cases(market)
    results: Results = {(case, clients): [] for case in measured for clients in CLIENTS}
    with (
        serving(
            "ours-purchases",
            production_command("$PORT"),
            stage.environment,
            postmaster=stage.postmaster,
            logs=stage.home,
        ) as server,
        by_hand(stage, market, POOL) as functions,
        replaying(stage, market, POOL) as replayed,
        Progress(console=context.console, transient=True) as progress,
    ):
        shop = _Shop(stage, market, server, {**functions, REPLAYED: replayed}, seconds)
        task = progress.add_task("", total=rounds * len(results))
        for _ in range(rounds):
            progress.update(task, description="warm up")
            shop.warm_up(measured[SPREAD])
            for (case, clients), done in results.items():
                progress.update(task, description=f"{case}, {clients} clients")
                done.append(shop.play_round(measured[case], clients))
                progress.advance(task)
        market.clear(stage)
    return results, shop.wrong


@dataclass(slots=True)
class _Shop:
    """Where purchases are made, and what is known of those made so far.

    Attributes:
        thin: clients that do nothing but buy, by their way.
        wrong: wallets, runs and payments that did not balance.
        written: what every purchase left behind; None before the first.
    """

    stage: Stage
    market: Market
    server: Server
    thin: Mapping[str, Client]
    seconds: int
    wrong: int = 0
    written: dict[str, Any] | None = None

    def warm_up(self, case: Case) -> None:
        """Let PostgreSQL plan for tables that hold purchases, and every connection have its plans.

        It plans anew when it has counted a table's rows, which therefore happens only here.
        """
        self._by_thin(ALONE, case, POOL)
        self.market.settle(self.stage)
        self.play_round(case, POOL)

    def play_round(self, case: Case, clients: int) -> Compared:
        """Buy over HTTP and then by hand, each time from a state without purchases."""
        ours = self._over_http(case, clients)
        thin = {way: self._by_thin(way, case, clients) for way in self.thin}
        return Compared(ours, thin.pop(REPLAYED), thin)

    def _over_http(self, case: Case, clients: int) -> Round:
        self.market.clear(self.stage)
        operation = {key: OPERATIONS["enroll"][key] for key in REQUEST}
        requests = expand(operation, [case.tenant], SIZE)
        one = play(self.server, requests, self.seconds, clients, once=True)
        bought = one.requests - one.errors
        # Each client may have made one more, whose answer came too late to be counted.
        self._look(bought, bought + clients + one.errors)
        return one

    def _by_thin(self, way: str, case: Case, clients: int) -> float:
        self.market.clear(self.stage)
        milliseconds = self.thin[way].play(self.stage, case.orders, clients)
        self._look(BY_HAND, BY_HAND)
        return milliseconds

    def _look(self, least: int, most: int) -> None:
        """Look at what was written, and count what does not balance.

        Raises:
            UnmeasurableError: there are fewer purchases than were answered, or more, or they left
                something else behind than those before them.
        """
        self.wrong += self.market.wrong_books(self.stage)
        found = self.market.purchases(self.stage)
        count = sum(one[1] for one in found)
        if not least <= count <= most:
            raise UnmeasurableError(f"{least:,} purchases were answered, {count:,} were made.")
        ways = [one[0] for one in found]
        self.written = self.written or ways[0]
        if ways != [self.written] or self.written["fits"] is not True:
            raise UnmeasurableError(f"Purchases were written in different ways: {found}.")


@contextmanager
def replaying(stage: Stage, market: Market, size: int) -> Iterator[Client]:
    """Open connections over which the API's statements are sent without the API.

    Args:
        stage: where.
        market: in whose schema.
        size: how many connections.
    """
    with ExitStack() as stack:

        def buy(connection: Connection, order: Order) -> None:
            replay.buy(connection, market, order)

        yield Client([stack.enter_context(connect(stage)) for _ in range(size)], buy)


def cases(market: Market) -> dict[str, Case]:
    """Return what is measured: who buys what."""
    app = Flask(__name__)
    auth.configure(
        app, secret_key=SECRET_KEY, access_seconds=TOKEN_SECONDS, refresh_seconds=TOKEN_SECONDS
    )
    with app.app_context():
        tokens = [
            {"id": user_id, "token": token_of(market.organization, user_id, session_id)}
            for user_id, session_id in market.buyers
        ]

    def case(buyers: int, runs: int) -> Case:
        tenant = {
            "host": market.organization.host,
            "schema": market.organization.schema,
            "students": tokens[:buyers],
            "vars": {"run_id": market.runs[:runs]},
        }
        pairs = zip(cycle(market.buyers[:buyers]), cycle(market.runs[:runs]), strict=False)
        orders = [
            Order(UUID(user_id), UUID(session_id), UUID(run_id))
            for (user_id, session_id), run_id in islice(pairs, BY_HAND)
        ]
        return Case(tenant, orders)

    return {SPREAD: case(SIZE, SIZE), HOT_RUN: case(SIZE, 1), HOT_WALLET: case(1, SIZE)}
