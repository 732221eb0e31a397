"""The benchmark measures what it says: its seeded academies answer with the expected substance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine

from bench import market as marketplace
from bench import seed as seeding
from bench.academy import Shape
from bench.check import check_answers
from bench.expansion import expand
from bench.handwritten import by_hand
from bench.in_process import asking, send
from bench.market import Market
from bench.purchases import SPREAD, Case, cases, replaying
from bench.reconcile import ROWS_EACH
from bench.reconcile import fill as fill_books
from bench.seed import BASE_DOMAIN, make_organizations
from bench.stage import SECRET_KEY, Stage
from bench.target import OPERATIONS, make_tenants
from lms.app import create_app
from lms.checkout.reconcile.books import check_books
from lms.config import Settings
from lms.core.ids import new_id
from tenants.session import Database, OrganizationScope
from tests.conftest import Servers

SMALL = Shape(instructors=2, students=3, courses=20, outlines=1, runs=20)


def test_seeded_academies_answer_with_the_substance_that_is_measured(
    settings: Settings,
    database: Database,
    admin_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The suite's database has other guests, and may have had these before.
    word = new_id().hex[-12:]
    monkeypatch.setattr(seeding, "slug_of", lambda number: f"academy-{word}-{number}")
    seed = make_organizations(admin_engine, database, login_role="app", count=2, shape=SMALL)
    tenants = make_tenants(seed, secret_key=settings.secret_key)
    app = create_app(replace(settings, base_domain=BASE_DOMAIN))
    try:
        check_answers(asking(app), tenants)
    finally:
        app.extensions["edge"].database.dispose()


@dataclass(frozen=True)
class Shop:
    """A market, and an app that sells there."""

    app: Flask
    stage: Stage
    market: Market
    case: Case

    def buy_over_http(self, number: int) -> int:
        """Buy what the case's request of this number asks for; return the answer's status."""
        status, _ = send(
            self.app, expand(OPERATIONS["enroll"], [self.case.tenant], number + 1)[number]
        )
        return status


@pytest.fixture
def shop(
    servers: Servers,
    settings: Settings,
    database: Database,
    admin_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Shop]:
    word = new_id().hex[-12:]
    monkeypatch.setattr(seeding, "slug_of", lambda number: f"academy-{word}-{number}")
    monkeypatch.setattr(marketplace, "SIZE", 4)
    seed = make_organizations(admin_engine, database, login_role="app", count=1, shape=SMALL)
    stage = Stage(servers.admin_url, servers.app_url, {}, seed, postmaster=tmp_path, home=tmp_path)
    market = marketplace.find_market(stage)
    app = create_app(replace(settings, base_domain=BASE_DOMAIN, secret_key=SECRET_KEY))
    try:
        yield Shop(app, stage, market, cases(market)[SPREAD])
    finally:
        app.extensions["edge"].database.dispose()


def test_purchases_by_hand_and_replayed_write_what_ours_writes(shop: Shop) -> None:
    status = shop.buy_over_http(0)
    with by_hand(shop.stage, shop.market, 1) as ways, replaying(shop.stage, shop.market, 1) as ours:
        thin = (*ways.values(), ours)
        for way, order in zip(thin, shop.case.orders[1:4], strict=True):
            way.buy(way.connections[0], order)
    [(written, count)] = shop.market.purchases(shop.stage)
    wrong = shop.market.wrong_books(shop.stage)
    assert (status, count, written["fits"], wrong) == (201, 4, True, 0)


def test_what_is_replayed_is_what_the_api_sends(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(cursor: Any, query: Any, *rest: Any, **options: Any) -> Any:
        sent.append(query.partition("\n--")[0].strip())
        return execute(cursor, query, *rest, **options)

    shop.buy_over_http(0)  # a new connection is asked who it is
    with replaying(shop.stage, shop.market, 1) as ours:
        monkeypatch.setattr(psycopg.Cursor, "execute", noted)
        shop.buy_over_http(1)
        (host, *api), sent = sent, []
        ours.buy(ours.connections[0], shop.case.orders[2])
    assert host.startswith("SELECT o.id FROM platform.organizations")  # servers remember hosts
    assert sent == api


def test_the_books_that_are_reconciled_agree(
    servers: Servers, database: Database, make_organization: Callable[..., UUID]
) -> None:
    organization_id = make_organization()
    assert fill_books(servers.admin_url, organization_id, 3) == 3 * ROWS_EACH
    with database.transaction(OrganizationScope(organization_id)) as session:
        assert [check for check in check_books(session) if check.total] == []
