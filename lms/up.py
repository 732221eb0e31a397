"""`lms up`: everything on one machine with one command, and the main job through it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from sqlalchemy import make_url

from lms.compose import create_database
from lms.config import Settings
from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.process import EmbeddedError
from lms.embedded.redis import EmbeddedRedis
from lms.platform.accounts import ensure_admin
from lms.sample import content, media
from lms.sample.authoring import TranscodingFailedError
from lms.sample.client import UnexpectedAnswerError
from lms.sample.isolation import LeakError
from lms.sample.study import UndecodableError
from lms.sample.walk import Walk, run
from lms.supervisor import (
    Supervisor,
    SupervisorError,
    require_disk,
    require_free_port,
    stopping_on_signals,
)
from tenants import migrator
from tenants.session import PLATFORM

HOST = "127.0.0.1"
NEEDED_DISK_BYTES = 1024**3
READY_SECONDS = 60.0
ROOT = Path(__file__).resolve().parent.parent
EXPECTED = (
    EmbeddedError,
    SupervisorError,
    media.SampleVideoError,
    TranscodingFailedError,
    UndecodableError,
    UnexpectedAnswerError,
    LeakError,
    httpx.HTTPError,
)


@click.command("up")
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    default=8000,
    show_default=True,
    help="Port of the API on 127.0.0.1; the sandbox payment provider takes the next one.",
)
@click.option(
    "--video",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A video to upload; by default one is rendered on the spot.",
)
@click.option("--once", is_flag=True, help="Stop after the main job; the last line is its JSON.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    show_default=True,
    help="Folder for the embedded servers' data, uploads and logs.",
)
def up(port: int, video: Path | None, once: bool, data: Path) -> None:
    """Start the whole product on this machine, do its main job, and keep serving.

    PostgreSQL, Redis and file storage are embedded unless DATABASE_URL, REDIS_URL or S3_BUCKET
    name other ones. Ctrl-C stops everything.
    """
    console = Console(stderr=True, highlight=False)
    with stopping_on_signals():
        try:
            summary = _up(console, port, video, once=once, data=data.resolve())
            # After everything has stopped, so that it is the last line whatever else was said.
            click.echo(json.dumps(summary))
        except EXPECTED as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"{error.strerror or error} ({error.filename})") from error
        except KeyboardInterrupt:
            console.print("Stopped.")
            if once:
                sys.exit(130)


def _up(
    console: Console, port: int, video: Path | None, *, once: bool, data: Path
) -> dict[str, Any]:
    require_free_port(HOST, port)
    if _wants_sandbox():
        require_free_port(HOST, _sandbox_port(port))
    if video is not None and video.stat().st_size == 0:
        raise media.SampleVideoError(f"{video} is empty; choose a video.")
    require_disk(data, NEEDED_DISK_BYTES)
    data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        environment = stack.enter_context(_servers(console, port, data))
        settings = Settings.from_environment(environment)
        _write_environment(data / "environment", environment)
        _migrate(console, settings)
        supervisor = stack.enter_context(Supervisor(data / "logs"))
        stack.callback(console.print, "Stopping ...")
        _start_processes(console, supervisor, environment, port)
        summary = _walk(console, settings, port, video, data)
        if once:
            return summary
        _announce(port, settings.base_domain, data)
        while True:  # until a signal interrupts
            time.sleep(3600)


@contextmanager
def _servers(console: Console, port: int, data: Path) -> Iterator[dict[str, str]]:
    """Start what no setting names, and yield the environment of all processes."""
    for name in ("DATABASE_URL", "REDIS_URL", "S3_BUCKET", "SANDBOX_URL"):
        if os.environ.get(name):
            console.print(f"using {name} from the environment instead of an embedded server")
    environment = {**os.environ, **_secrets(data / "secrets.json")}
    environment.setdefault("LOG_FORMAT", "json")
    if not environment.get("S3_BUCKET"):
        environment.setdefault("STORAGE_PATH", str(data / "storage"))
    environment.setdefault("SCRATCH_PATH", str(data / "scratch"))
    servers: dict[str, EmbeddedPostgres | EmbeddedRedis] = {}
    with ExitStack() as stack:
        if not environment.get("DATABASE_URL"):
            with console.status("start the embedded PostgreSQL"):
                postgres = EmbeddedPostgres(data / "postgres")
                stack.callback(postgres.stop)
                postgres.start()
            servers["PostgreSQL"] = postgres
            environment["DATABASE_ADMIN_URL"] = postgres.admin_url
            environment["DATABASE_URL"] = (
                make_url(postgres.admin_url)
                .set(username="app", password=environment["APP_DATABASE_PASSWORD"])
                .render_as_string(hide_password=False)
            )
        if not environment.get("REDIS_URL"):
            redis = EmbeddedRedis(data / "redis")
            stack.callback(redis.stop)
            redis.start()
            servers["Redis"] = redis
            environment["REDIS_URL"] = redis.url
        if _wants_sandbox():
            environment["SANDBOX_URL"] = f"http://{HOST}:{_sandbox_port(port)}"
        stack.enter_context(_kept_running(console, servers))
        yield environment


@contextmanager
def _kept_running(
    console: Console, servers: Mapping[str, EmbeddedPostgres | EmbeddedRedis]
) -> Iterator[None]:
    """Start an embedded server again when it dies: its address stays the same."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            for name, server in servers.items():
                if not server.is_running() and not ended.is_set():
                    console.print(f"The embedded {name} died; starting it again.")
                    try:
                        server.start()
                    except EmbeddedError as error:
                        console.print(f"It does not start: {error}")

    watcher = threading.Thread(target=watch, name="embedded-servers", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _secrets(path: Path) -> dict[str, str]:
    """Return this folder's own secrets, made at its first use; the environment's come first."""
    names = (
        "SECRET_KEY",
        "APP_DATABASE_PASSWORD",
        "SANDBOX_SECRET_KEY",
        "SANDBOX_WEBHOOK_SECRET",
        "SECRETS_KEYS",
    )
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(48) for name in missing}
        if "SECRETS_KEYS" in missing:
            kept["SECRETS_KEYS"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(kept), encoding="utf-8")
        draft.replace(path)
    return {name: os.environ.get(name) or kept[name] for name in names}


def _write_environment(path: Path, environment: Mapping[str, str]) -> None:
    """Write the settings in force as shell assignments, for the command line beside this one."""
    names = [field.name.upper() for field in fields(Settings)]
    lines = [f"{name}={shlex.quote(environment[name])}" for name in names if name in environment]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _wants_sandbox() -> bool:
    """Whether a sandbox provider of our own is to be started."""
    return os.environ.get("ENVIRONMENT") != "production" and not os.environ.get("SANDBOX_URL")


def _sandbox_port(port: int) -> int:
    return port + 1


def _migrate(console: Console, settings: Settings) -> None:
    with console.status("migrate the platform and every organization"):
        migrator.upgrade_platform(settings.admin_url(), settings.database_url)
        report = migrator.upgrade_organizations(settings.admin_url())
    if report.failed:
        raise SupervisorError(f"{len(report.failed)} organizations could not be migrated.")
    database = create_database(settings, pool_size=1)
    try:
        with database.transaction(PLATFORM) as session:
            email, name = content.SUPER_ADMIN
            ensure_admin(session, email=email, name=name, password=content.PASSWORD)
    finally:
        database.dispose()


def _start_processes(
    console: Console, supervisor: Supervisor, environment: Mapping[str, str], port: int
) -> None:
    python = [sys.executable, "-m"]
    if _wants_sandbox():
        supervisor.start(
            "sandbox",
            [
                *(*python, "lms.payments.providers.sandbox_server"),
                *("--port", str(_sandbox_port(port))),
                *("--data", str(Path(environment["SCRATCH_PATH"]).parent / "sandbox.sqlite")),
            ],
            environment,
        )
    supervisor.start("dispatcher", [*python, "jobs.dispatch"], environment)
    supervisor.start("worker-media", [*python, "jobs.worker", "media"], environment)
    supervisor.start("worker-default", [*python, "jobs.worker", "default"], environment)
    supervisor.start(
        "api",
        [
            *(*python, "granian", "--interface", "wsgi", "--host", HOST, "--port", str(port)),
            *("--workers", "2", "--blocking-threads", "4", "--no-ws"),
            "--respawn-failed-workers",
            *("--working-dir", str(ROOT), "wsgi:app"),
        ],
        environment,
    )
    with console.status("wait for the API"):
        supervisor.wait_ready("api", lambda: _is_ready(port), READY_SECONDS)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/readyz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _walk(
    console: Console, settings: Settings, port: int, video: Path | None, data: Path
) -> dict[str, Any]:
    """Do the main job; what was done before on this data is looked at, not repeated."""
    with tempfile.TemporaryDirectory(prefix="lms-main-job-") as folder:
        return run(
            Walk(
                port=port,
                base_domain=settings.base_domain,
                data=data,
                video=video,
                video_key="rendered" if video is None else _fingerprint(video),
                folder=Path(folder),
                console=console,
            )
        )


def _fingerprint(video: Path) -> str:
    digest = sha256()
    with video.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def _announce(port: int, base_domain: str, data: Path) -> None:
    click.echo("\nServing. Open one of these:")
    for organization in content.ORGANIZATIONS:
        click.echo(f"  http://{organization.slug}.{base_domain}:{port}/docs   {organization.name}")
    click.echo(f"  http://admin.{base_domain}:{port}/docs   the platform")
    click.echo(f"\nSample accounts (password: {content.PASSWORD}):")
    click.echo(f"  {content.SUPER_ADMIN[0]:32} super-admin, on admin.{base_domain}")
    for organization in content.ORGANIZATIONS:
        for person in organization.people:
            click.echo(f"  {person.email:32} {person.account_type}, on {organization.slug}")
    click.echo("\nFor the command line beside it:")
    click.echo(f"  set -a; . {data / 'environment'}; set +a; .venv/bin/lms organizations list")
    click.echo(f"Logs are in {data / 'logs'}. Ctrl-C stops everything.")
