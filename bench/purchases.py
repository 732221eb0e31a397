"""Purchases per second, spread out and where everybody wants the same: one run, one wallet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

from flask import Flask
from rich.progress import Progress

from bench.expansion import expand
from bench.load import Round, play, require_wrk, serving
from bench.market import SIZE, Market, find_market
from bench.report import Context, Report, Target, UnmeasurableError
from bench.reset import forget_purchases
from bench.stage import SECRET_KEY, Stage, set_up
from bench.target import OPERATIONS, TOKEN_SECONDS, production_command, token_of
from lms.http import auth

CLIENTS = (1, 8)
SPREAD, HOT_RUN, HOT_WALLET = "spread", "hot run", "hot wallet"


def run(context: Context) -> Report:
    """Measure wallet purchases over HTTP, and look whether the books balance afterwards."""
    require_wrk()
    rounds, seconds = (2, 2) if context.quick else (5, 4)
    report = Report(
        title="Purchases from the wallet, one organization",
        columns=[
            *("case", "clients", "purchases/s", "p50 ms", "p99 ms"),
            *("CPU web ms", "CPU PostgreSQL ms", "errors"),
        ],
        notes=[
            (
                f"{SPREAD}: every purchase by another student of another run; {HOT_RUN}: of the"
                f" same run; {HOT_WALLET}: by the same student, of another run."
            )
        ],
    )
    with set_up(context) as stage:
        with context.console.status("make the buyers"):
            market = find_market(stage)
        results, wrong = _measure(context, stage, market, rounds, seconds)
    for (case, clients), done in results.items():
        figures = [
            median(getattr(one, field) for one in done)
            for field in ("rps", "p50_ms", "p99_ms", "web_ms", "postgres_ms")
        ]
        report.rows.append([case, clients, *figures, sum(one.errors for one in done)])
    errors = sum(one.errors for done in results.values() for one in done)
    report.targets = [
        Target("errors", errors, 0, at_most=True),
        Target("wallets, runs and payments that do not balance", wrong, 0, at_most=True),
    ]
    report.details = {
        f"{case}, {clients} clients": [asdict(one) for one in done]
        for (case, clients), done in results.items()
    }
    return report


def _measure(
    context: Context, stage: Stage, market: Market, rounds: int, seconds: int
) -> tuple[dict[tuple[str, int], list[Round]], int]:
    tenants = _tenants(market)
    results: dict[tuple[str, int], list[Round]] = {
        (case, clients): [] for case in tenants for clients in CLIENTS
    }
    operation = {key: OPERATIONS["enroll"][key] for key in ("method", "path", "headers", "body")}
    wrong = 0
    with (
        serving(
            "ours-purchases",
            production_command("$PORT"),
            stage.environment,
            postmaster=stage.postmaster,
            logs=stage.home,
        ) as server,
        Progress(console=context.console, transient=True) as progress,
    ):
        task = progress.add_task("", total=(rounds + 1) * len(results))
        for number in range(rounds + 1):
            for (case, clients), done in results.items():
                progress.update(task, description=f"{case}, {clients} clients")
                forget_purchases(stage.conninfo, [market.organization.schema])
                requests = expand(operation, [tenants[case]], SIZE)
                one = play(server, requests, seconds, clients, once=True)
                _require_payments(one, market.payments(stage), clients)
                wrong += market.wrong_books(stage)
                if number:  # the first round warms up
                    done.append(one)
                progress.advance(task)
    forget_purchases(stage.conninfo, [market.organization.schema])
    return results, wrong


def _require_payments(one: Round, payments: int, clients: int) -> None:
    """Make sure that each purchase that was answered was made.

    Each client may have made one more, whose answer came too late to be counted.

    Raises:
        UnmeasurableError: there are fewer payments than answers with 201, or more.
    """
    bought = one.requests - one.errors
    if not bought <= payments <= bought + clients + one.errors:
        raise UnmeasurableError(f"{bought:,} purchases were answered, and {payments:,} were paid.")


def _tenants(market: Market) -> dict[str, Mapping[str, Any]]:
    """Return, for each case, who buys what, in the form that requests are expanded from."""
    app = Flask(__name__)
    auth.configure(
        app, secret_key=SECRET_KEY, access_seconds=TOKEN_SECONDS, refresh_seconds=TOKEN_SECONDS
    )
    with app.app_context():
        buyers = [
            {"id": user_id, "token": token_of(market.organization, user_id, session_id)}
            for user_id, session_id in market.buyers
        ]

    def tenant(students: list[dict[str, str]], runs: list[str]) -> dict[str, Any]:
        return {
            "host": market.organization.host,
            "schema": market.organization.schema,
            "students": students,
            "vars": {"run_id": runs},
        }

    return {
        SPREAD: tenant(buyers, market.runs),
        HOT_RUN: tenant(buyers, market.runs[:1]),
        HOT_WALLET: tenant(buyers[:1], market.runs),
    }
