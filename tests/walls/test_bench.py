"""The benchmark measures what it says: its seeded academies answer with the expected substance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from bench import market as marketplace
from bench import seed as seeding
from bench.academy import Shape
from bench.check import check_answers
from bench.expansion import expand
from bench.handwritten import by_hand
from bench.in_process import asking, send
from bench.purchases import SPREAD, cases
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


def test_a_purchase_by_hand_writes_what_ours_writes(
    servers: Servers,
    settings: Settings,
    database: Database,
    admin_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    word = new_id().hex[-12:]
    monkeypatch.setattr(seeding, "slug_of", lambda number: f"academy-{word}-{number}")
    monkeypatch.setattr(marketplace, "SIZE", 3)
    seed = make_organizations(admin_engine, database, login_role="app", count=1, shape=SMALL)
    stage = Stage(servers.admin_url, servers.app_url, {}, seed, postmaster=tmp_path, home=tmp_path)
    market = marketplace.find_market(stage)
    spread = cases(market)[SPREAD]
    app = create_app(replace(settings, base_domain=BASE_DOMAIN, secret_key=SECRET_KEY))
    try:
        status, _ = send(app, expand(OPERATIONS["enroll"], [spread.tenant], 1)[0])
    finally:
        app.extensions["edge"].database.dispose()
    with by_hand(stage, market, 1) as ways:
        for way, order in zip(ways.values(), spread.orders[1:3], strict=True):
            way.buy(way.connections[0], order)
    [(written, count)] = market.purchases(stage)
    assert (status, count, written["fits"], market.wrong_books(stage)) == (201, 3, True, 0)


def test_the_books_that_are_reconciled_agree(
    servers: Servers, database: Database, make_organization: Callable[..., UUID]
) -> None:
    organization_id = make_organization()
    assert fill_books(servers.admin_url, organization_id, 3) == 3 * ROWS_EACH
    with database.transaction(OrganizationScope(organization_id)) as session:
        assert [check for check in check_books(session) if check.total] == []
