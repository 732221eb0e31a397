"""The app over a sandbox provider, and worlds to send bad requests into."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from flask import Flask

from lms.app import create_app
from lms.config import Settings
from tenants.session import Database
from tests.contract.world import SampleWorld, make_world
from tests.factories.sandbox import SECRET_KEY, WEBHOOK_SECRET, running_sandbox


@pytest.fixture(scope="session")
def contract_settings(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    with running_sandbox(tmp_path_factory.mktemp("contract") / "sandbox.sqlite") as url:
        yield replace(
            settings,
            sandbox_url=url,
            sandbox_secret_key=SECRET_KEY,
            sandbox_webhook_secret=WEBHOOK_SECRET,
        )


@pytest.fixture(scope="session")
def contract_app(contract_settings: Settings) -> Iterator[Flask]:
    app = create_app(contract_settings)
    yield app
    app.extensions["edge"].database.dispose()


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Keep a line for each of thousands of requests out of the report."""
    loggers = [logging.getLogger(name) for name in ("lms", "httpx")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture
def sample_world(
    contract_app: Flask,
    contract_settings: Settings,
    database: Database,
    make_organization: Callable[..., UUID],
    acme: UUID,
    globex: UUID,
) -> SampleWorld:
    # The document's examples make an organization `acme`: the one of the other tests comes first.
    return make_world(contract_app, contract_settings, database, make_organization)
