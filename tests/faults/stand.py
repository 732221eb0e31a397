"""A stand: the product's real processes on servers of its own, there to be struck by faults.

PostgreSQL, Redis, an S3 store behind a proxy and a payment provider behind a gate belong to the
stand alone. Each process of the product is a supervised child, started again when it dies, and
found by its role.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx
import psutil
from flask import Flask
from sqlalchemy import Row, TextClause, make_url

from lms.app import create_app
from lms.compose import create_database
from lms.config import Settings
from lms.core.ids import new_id
from lms.core.storage.s3 import S3Storage
from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.process import free_port
from lms.embedded.redis import EmbeddedRedis
from lms.supervisor import Supervisor
from tenants import migrator, provisioning
from tenants.engines import create_admin_engine
from tenants.errors import DatabaseUnavailableError
from tenants.provisioning import NewOrganization
from tenants.session import Database, Scope
from tests.factories.jobs import LEASE_SECONDS, REPOSITORY, until
from tests.factories.sandbox_gate import Gate
from tests.faults.backends import (
    BUCKET,
    READY_SECONDS,
    S3_KEY,
    SANDBOX_SECRETS,
    make_bucket,
    start_sandbox,
    start_store,
    storage_at,
)
from tests.faults.proxy import Proxy

Role = Literal["api", "api worker", "dispatcher", "media worker", "default worker", "work-horse"]
"""`api` is granian's parent process, `api worker` one of those that serve; a `work-horse` is what a
worker forks for each job."""


@dataclass
class Stand:
    """What runs, and where.

    Attributes:
        folder: data and logs.
        settings: as all processes have them; storage is reached through the proxy.
        postgres, redis: the stand's own servers.
        proxy: stands before the store.
        storage: the store past the proxy, for looking at what is really there.
        gate: stands before the payment provider.
        database: a pool of the test's own.
        app: for making tokens; serves nothing.
        base_url: of the API.
        workers: the supervised workers of each queue.
        opened: is closed with the stand.
    """

    folder: Path
    settings: Settings
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    proxy: Proxy
    storage: S3Storage
    gate: Gate
    database: Database
    app: Flask
    base_url: str
    supervisor: Supervisor
    opened: ExitStack
    workers: dict[str, list[str]] = field(default_factory=dict)

    def processes(self, role: Role) -> list[psutil.Process]:
        """Return the living processes of a role; none while they wait for their restart."""
        match role:
            case "api" | "dispatcher":
                return self._supervised(role)
            case "api worker":
                return [child for api in self._supervised("api") for child in _children(api)]
            case "media worker" | "default worker":
                return self._supervised(*self.workers[role.partition(" ")[0]])
            case "work-horse":
                names = [name for queue in self.workers.values() for name in queue]
                return [horse for worker in self._supervised(*names) for horse in _children(worker)]

    def programs(self, name: str) -> list[psutil.Process]:
        """Return the programs below work-horses whose file name begins with `name`."""
        return [
            process
            for horse in self.processes("work-horse")
            for process in _children(horse, recursive=True)
            if command_of(process)[:1] and Path(command_of(process)[0]).name.startswith(name)
        ]

    def make_organization(self, slug: str) -> UUID:
        """Provision an organization; returns its id."""
        organization_id = new_id()
        provisioning.create_organization(
            create_admin_engine(self.postgres.admin_url),
            NewOrganization(organization_id, slug, slug.title(), "EUR"),
            login_role="app",
        )
        return organization_id

    def client(self, slug: str, *, timeout: float = 10.0) -> httpx.Client:
        """Return a client of an organization's API; it is closed with the stand."""
        client = httpx.Client(
            base_url=f"{self.base_url}/api/v1",
            headers={"Host": f"{slug}.{self.settings.base_domain}"},
            timeout=timeout,
            trust_env=False,
        )
        return self.opened.enter_context(client)

    def rows(self, scope: Scope, statement: TextClause, **values: object) -> Sequence[Row[Any]]:
        """Read in a transaction of the test's own, waiting out a database that restarts."""

        def read() -> list[Sequence[Row[Any]]]:
            with (
                suppress(DatabaseUnavailableError),
                self.database.transaction(scope) as session,
            ):
                return [session.execute(statement, values).all()]
            return []

        return until(read, READY_SECONDS)[0]

    def reconnect(self) -> None:
        """Forget the test's own connections after a restart of PostgreSQL; none may be in use."""
        self.database.dispose()
        self.app.extensions["edge"].database.dispose()

    def is_ready(self) -> bool:
        """Whether the API says that all it stands on answers."""
        try:
            return httpx.get(f"{self.base_url}/readyz", timeout=10, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def logs(self, name: str = "*", *, last: int = 6000) -> str:
        """Return the ends of the logs of the supervised processes."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-last:]}"
            for path in sorted((self.folder / "logs").glob(f"{name}.log"))
        )

    def _supervised(self, *names: str) -> list[psutil.Process]:
        found = []
        for name in names:
            pid = self.supervisor.pid(name)
            if pid is not None:
                try:
                    found.append(psutil.Process(pid))
                except psutil.NoSuchProcess:
                    continue
        return found


def command_of(process: psutil.Process) -> list[str]:
    """Return a process's command line; nothing when it has ended."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def _children(process: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    try:
        return process.children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []


def fresh_slug(name: str) -> str:
    """Return a slug that nobody has: a stand serves many tests, and a test many times."""
    return f"{name}-{new_id().hex[-12:]}"


@contextmanager
def running_stand(
    folder: Path,
    *,
    media_workers: int = 2,
    api_workers: int = 2,
    other_settings: Mapping[str, str] | None = None,
) -> Iterator[Stand]:
    """Start a stand and end everything of it afterwards.

    Args:
        folder: for its data and logs; a path that an unprivileged user may enter.
        media_workers: how many workers serve the queue `media`; one serves `default`.
        api_workers: how many processes serve the API.
        other_settings: environment variables instead of the usual ones; an empty one counts as
            unset.
    """
    said: list[str] = []
    postgres, redis = (
        EmbeddedPostgres(folder / "postgres", fast=True),
        EmbeddedRedis(folder / "redis"),
    )
    with ExitStack() as stack:
        stack.callback(postgres.stop, "immediate")
        stack.callback(redis.stop)
        # Restarts are quick, because a storm of faults is no crash loop.
        supervisor = stack.enter_context(
            Supervisor(
                folder / "logs", say=said.append, first_pause_s=0.2, longest_pause_s=1.0, grace_s=1
            )
        )
        s3_port = start_store(supervisor)
        postgres.start()
        redis.start()
        proxy = stack.enter_context(Proxy(s3_port))
        gate = stack.enter_context(Gate(start_sandbox(supervisor, folder)))
        usual = _environment(folder, postgres, redis, proxy.url, gate.url)
        environment = {**usual, **(other_settings or {})}
        read = Settings.from_environment(environment)
        migrator.upgrade_platform(postgres.admin_url, read.database_url)
        database, app = create_database(read), create_app(read)
        stack.callback(database.dispose)
        stack.callback(app.extensions["edge"].database.dispose)
        make_bucket(supervisor, s3_port)
        port = free_port()
        stand = Stand(
            folder,
            read,
            postgres,
            redis,
            proxy,
            storage_at(s3_port),
            gate,
            database,
            app,
            f"http://127.0.0.1:{port}",
            supervisor,
            stack.enter_context(ExitStack()),
        )
        _start_api(stand, environment, port, api_workers)
        _start_jobs(stand, environment, media_workers)
        supervisor.wait_ready("api", stand.is_ready, READY_SECONDS)
        yield stand


def _environment(
    folder: Path, postgres: EmbeddedPostgres, redis: EmbeddedRedis, s3_url: str, sandbox_url: str
) -> dict[str, str]:
    app_url = make_url(postgres.admin_url).set(username="app", password="app-password")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),  # supervised children start in /
        "DATABASE_URL": app_url.render_as_string(hide_password=False),
        "REDIS_URL": redis.url,
        "SECRET_KEY": "0123456789abcdef0123456789abcdef-faults",
        "S3_BUCKET": BUCKET,
        "S3_ENDPOINT_URL": s3_url,
        "S3_ACCESS_KEY": S3_KEY,
        "S3_SECRET_KEY": S3_KEY,
        "SANDBOX_URL": sandbox_url,
        **SANDBOX_SECRETS,
        "SCRATCH_PATH": str(folder / "scratch"),
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "ACCESS_TOKEN_SECONDS": str(24 * 3600),
        "LOG_FORMAT": "console",
    }


def _start_api(stand: Stand, environment: Mapping[str, str], port: int, workers: int) -> None:
    """Start the API as docker-compose.yml does, with the same options."""
    stand.supervisor.start(
        "api",
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", str(workers), "--blocking-threads", "4"),
            *("--no-ws", "--respawn-failed-workers", "--workers-kill-timeout", "20"),
            *("--working-dir", str(REPOSITORY), "wsgi:app"),
        ],
        environment,
    )


def _start_jobs(stand: Stand, environment: Mapping[str, str], media_workers: int) -> None:
    """Start the dispatcher and the workers as docker-compose.yml does."""
    python, supervisor = [sys.executable, "-m"], stand.supervisor
    supervisor.start("dispatcher", [*python, "jobs.dispatch"], environment)
    for queue, count in (("media", media_workers), ("default", 1)):
        stand.workers[queue] = [f"{queue}-{number}" for number in range(count)]
        for name in stand.workers[queue]:
            supervisor.start(name, [*python, "jobs.worker", queue], environment)
