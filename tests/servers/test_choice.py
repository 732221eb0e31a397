"""The suite runs on the server that was chosen, else its tests would prove less than they say."""

from __future__ import annotations

import socket
from types import ModuleType

import pytest
from sqlalchemy import Engine, text

from tenants.session import PLATFORM, Database
from tests.conftest import Servers, refuse_what_is_missing
from tests.servers import choice, debian, pgbouncer


def test_postgresql_is_the_chosen_one(servers: Servers, admin_engine: Engine) -> None:
    with admin_engine.begin() as connection:
        number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    expected = debian.major_version() if servers.database == "debian" else 18
    assert number // 10_000 == expected


def test_the_app_goes_through_a_pooler_exactly_when_one_was_chosen(
    servers: Servers, database: Database
) -> None:
    with database.transaction(PLATFORM) as session:
        seen = session.execute(text("SELECT inet_client_port()")).scalar_one()
        driver = session.connection().connection.driver_connection
        assert driver is not None
        with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as own:
            port = own.getsockname()[1]
    assert (port != seen) is (servers.database == "pgbouncer")


@pytest.mark.parametrize(
    ("chosen", "module", "program", "package"),
    [
        ("pgbouncer", pgbouncer, "binary", "pgbouncer"),
        ("debian", debian, "binaries", "postgresql"),
    ],
)
def test_a_choice_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, chosen: str, module: ModuleType, program: str, package: str
) -> None:
    assert choice.missing("embedded") is None
    monkeypatch.setattr(module, program, lambda: None)
    with pytest.raises(pytest.UsageError, match=f"apt-get install {package}$"):
        refuse_what_is_missing(chosen)
