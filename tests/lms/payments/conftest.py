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
from tests.factories.sandbox import NOWHERE, paying_app, running_sandbox


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox whose pending payments wait to be settled."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite") as url:
        yield url


@pytest.fixture(scope="session")
def app_with_sandbox(settings: Settings, sandbox_url: str) -> Iterator[Flask]:
    with paying_app(settings, sandbox_url) as app:
        yield app


@pytest.fixture(scope="session")
def academy(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> Academy:
    slug = f"money-{new_id().hex[-12:]}"
    organization_id = make_organization(slug)
    return Academy(app_with_sandbox, database, admin_engine, organization_id, slug)


@pytest.fixture(scope="session")
def offline(academy: Academy, settings: Settings) -> Iterator[Academy]:
    """The same organization, served while its provider cannot be reached."""
    with paying_app(settings, NOWHERE) as app:
        yield academy.with_app(app)
