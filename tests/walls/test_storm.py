"""Two organizations at once through one process and a pool of two: requests never mix.

Between reads and writes there is what could leave a connection in a wrong state: statements that
PostgreSQL refuses, answers that nobody waits for, downloads left half-way, and backends that end in
the middle of a transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, make_url, text

from lms.compose import create_storage
from lms.config import Settings
from tenants.session import Database, OrganizationScope
from tests.factories.storm import Client, file_of
from tests.factories.twins import World
from tests.servers.api import serving

CLIENTS = 4
API = "storm"
"""By this name PostgreSQL knows the API's connections from the suite's own."""
SECONDS_BETWEEN_ENDS = 0.5


@contextmanager
def backends_that_end(admin: Engine) -> Iterator[None]:
    """Let PostgreSQL end one of the API's connections every now and then."""
    over = threading.Event()

    def end_one_by_one() -> None:
        query = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = :name ORDER BY state = 'idle', random() LIMIT 1"
        )
        while not over.wait(SECONDS_BETWEEN_ENDS):
            with admin.begin() as connection:
                connection.execute(query, {"name": API})

    with ThreadPoolExecutor(1) as thread:
        ending = thread.submit(end_one_by_one)
        try:
            yield
        finally:
            over.set()
            ending.result()


def put_files(settings: Settings, database: Database, world: World) -> dict[str, UUID]:
    """Store each side's file, of nothing but its canary; returns host -> organization."""
    storage, found = create_storage(settings), {}
    for side in (world.acme, world.globex):
        organization = database.find_host(slug=side.host.partition(".")[0], host=side.host)
        assert organization is not None
        key = f"o/{organization}/{world.shared.asset_id}/original"
        storage.write(key, file_of(side), content_type="video/mp4")
        found[side.host] = organization
    return found


def work_through(client: Client, start: int, requests: int) -> Client:
    number = start
    while client.sent < requests:
        client.visit(number)
        number += 1
    client.leave()
    return client


@pytest.mark.parametrize(
    "requests", [5_000, pytest.param(100_000, marks=pytest.mark.long)], ids=str
)
def test_requests_over_a_tiny_pool_never_see_the_other_organization(
    settings: Settings,
    database: Database,
    admin_engine: Engine,
    world: World,
    tmp_path: Path,
    requests: int,
) -> None:
    organizations = put_files(settings, database, world)
    url = make_url(settings.database_url).update_query_dict({"application_name": API})
    tiny = replace(
        settings,
        database_url=url.render_as_string(hide_password=False),
        database_pool_size=2,
        host_cache_seconds=0.5,
        log_format="json",
    )
    with (
        serving(tiny, tmp_path / "api.log", threads=CLIENTS) as port,
        ThreadPoolExecutor(CLIENTS) as threads,
        backends_that_end(admin_engine),
    ):
        # From different places of the round, so that everything meets everything.
        runs = [
            threads.submit(work_through, Client(port, world), 7 * number, requests // CLIENTS)
            for number in range(CLIENTS)
        ]
        clients = [run.result() for run in runs]
    print((tmp_path / "api.log").read_text(errors="replace")[-6000:])
    assert [one for client in clients for one in client.mismatches] == []
    repeated = sum(client.repeated for client in clients)
    assert 0 < repeated < requests / 20, "either no connection ended, or far too much was refused"
    for side in (world.acme, world.globex):
        acknowledged = set().union(*(client.created[side.host] for client in clients))
        with database.transaction(OrganizationScope(organizations[side.host])) as session:
            rows = session.execute(
                text("SELECT id, title FROM courses WHERE title LIKE 'Created %'")
            ).all()
        assert acknowledged <= {row.id for row in rows}
        assert {row.title for row in rows} == {f"Created {side.canary}"}
