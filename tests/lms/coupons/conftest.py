from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine

from lms.config import Settings
from lms.core.ids import new_id
from tenants.session import Database
from tests.factories.money import Academy
from tests.factories.sandbox import paying_app


@pytest.fixture(scope="session")
def app_without_provider(settings: Settings) -> Iterator[Flask]:
    with paying_app(settings, None) as app:
        yield app


@pytest.fixture(scope="session")
def academy(
    app_without_provider: Flask,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> Academy:
    slug = f"coupons-{new_id().hex[-12:]}"
    organization_id = make_organization(slug)
    return Academy(app_without_provider, database, admin_engine, organization_id, slug)
