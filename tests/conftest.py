"""The suite's own servers, the migrated database, and two organizations that look alike."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from lms.app import create_app
from lms.config import Settings
from lms.core.ids import new_id
from lms.embedded.redis import EmbeddedRedis
from tenants import ddl, provisioning
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization
from tenants.session import Database
from tests.faults.stand import Stand, running_stand
from tests.servers import choice

SECRET = "0123456789abcdef0123456789abcdef-test"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=choice.CHOICES,
        default="embedded",
        help="; ".join(f"{name}: {about}" for name, about in choice.CHOICES.items()),
    )


def pytest_configure(config: pytest.Config) -> None:
    refuse_what_is_missing(str(config.getoption("--database")))


def refuse_what_is_missing(chosen: str) -> None:
    """Say what to install for the chosen database.

    Raises:
        pytest.UsageError: it is not installed.
    """
    package = choice.missing(chosen)
    if package is not None:
        raise pytest.UsageError(
            f"--database {chosen} needs a program that is not installed."
            f" On Debian and Ubuntu, as root: apt-get install {package}"
        )


def pytest_report_header(config: pytest.Config) -> str:
    chosen = str(config.getoption("--database"))
    return f"database: {choice.CHOICES[chosen]}"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what a run of everything leaves out."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.option.keyword:
        return
    others = [name for name in choice.PACKAGES if name != config.getoption("--database")]
    packages = [package for package in map(choice.missing, others) if package is not None]
    terminalreporter.section("left out")
    terminalreporter.line("The tenancy tests behind PgBouncer and on Debian's PostgreSQL:")
    if packages:
        install = f"apt-get install {' '.join(packages)}"
        terminalreporter.line(f"not installed (on Debian and Ubuntu, as root: {install}),")
        terminalreporter.line("then `make test-servers` runs them.")
    else:
        terminalreporter.line("installed, `make test-servers` runs them.")
    terminalreporter.line("Playback in a real browser: `make test-browser` runs it.")


@dataclass(frozen=True)
class Servers:
    """Addresses of the suite's own PostgreSQL and Redis.

    Attributes:
        admin_url: the owner's, always PostgreSQL itself.
        app_url: the login role's; at the pooler where there is one.
        redis_url: Redis.
        prepared_statements: whether the app may use them at `app_url`.
        database: which of `choice.CHOICES` it is.
    """

    admin_url: str
    app_url: str
    redis_url: str
    prepared_statements: bool
    database: str


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="lms-tests-"))
    redis = EmbeddedRedis(folder / "redis")
    chosen = str(request.config.getoption("--database"))
    try:
        redis.start()
        with choice.running(chosen, folder) as database:
            yield Servers(
                database.admin_url,
                database.app_url,
                redis.url,
                database.prepared_statements,
                chosen,
            )
    finally:
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        database_url=servers.app_url,
        database_admin_url=servers.admin_url,
        spare_organizations=0,
        database_prepared_statements=servers.prepared_statements,
        redis_url=servers.redis_url,
        secret_key=SECRET,
        storage_path=tmp_path_factory.mktemp("storage"),
        scratch_path=tmp_path_factory.mktemp("scratch"),
        host_cache_seconds=0.0,
        lease_seconds=3.0,
        log_format="console",
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["edge"].database.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def database(servers: Servers) -> Iterator[Database]:
    database = Database(
        servers.app_url,
        served_revisions=ddl.served_revisions(),
        prepared_statements=servers.prepared_statements,
    )
    yield database
    database.dispose()


@pytest.fixture
def make_database(servers: Servers) -> Iterator[Callable[..., Database]]:
    """Make a pool of one's own, to be closed with the test; options are Database's."""
    made: list[Database] = []

    def make(**options: Any) -> Database:
        usual = {
            "served_revisions": ddl.served_revisions(),
            "prepared_statements": servers.prepared_statements,
        }
        made.append(Database(servers.app_url, **usual | options))
        return made[-1]

    yield make
    for database in made:
        database.dispose()


@pytest.fixture(scope="session")
def admin_engine(servers: Servers) -> Engine:
    return create_admin_engine(servers.admin_url)


@pytest.fixture(scope="session")
def make_organization(admin_engine: Engine) -> Callable[..., UUID]:
    """Provision an organization; returns its id."""

    def make(slug: str | None = None, *, name: str = "Acme Academy", currency: str = "EUR") -> UUID:
        organization_id = new_id()
        new = NewOrganization(
            organization_id, slug or f"org-{organization_id.hex[-12:]}", name, currency
        )
        provisioning.create_organization(admin_engine, new, login_role="app")
        return organization_id

    return make


@pytest.fixture(scope="session")
def acme(make_organization: Callable[..., UUID]) -> UUID:
    return make_organization("acme", name="Acme Academy")


@pytest.fixture(scope="session")
def globex(make_organization: Callable[..., UUID]) -> UUID:
    return make_organization("globex", name="Globex Learning")


@pytest.fixture(scope="session")
def shared_stand() -> Iterator[Stand]:
    """The product's real processes, for tests of faults and from end to end."""
    folder = Path(tempfile.mkdtemp(prefix="lms-faults-"))
    try:
        with running_stand(folder) as stand:
            yield stand
    finally:
        shutil.rmtree(folder, ignore_errors=True)
