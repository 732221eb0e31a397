from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result
from flask.testing import FlaskClient
from sqlalchemy import Engine, make_url, text

from lms.cli import openapi
from lms.cli.check import compare_documents, compare_end_state
from lms.cli.group import COMMANDS
from lms.core.ids import new_id
from tenants import ddl, names
from tenants.session import PLATFORM, Database
from tests.conftest import Servers
from tests.factories.accounts import PASSWORD, PLATFORM_HOST

Run = Callable[..., Result]


def one_plain_line(result: Result) -> bool:
    return result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1


def new_slug() -> str:
    return f"cli-{new_id().hex[-12:]}"


def create(run: Run, slug: str, *more: str) -> Result:
    return run(
        *("organizations", "create", slug, "--name", "Initech School"),
        *("--admin-email", "dana@initech.example", "--admin-name", "Dana Reyes", *more),
    )


def test_an_organization_created_here_takes_its_first_admin(run: Run, client: FlaskClient) -> None:
    slug = new_slug()
    created = create(run, slug, "--currency", "JPY")
    assert created.exit_code == 0, created.output
    token = created.stdout.split("token")[1].split()[0]
    joined = client.post(
        "/api/v1/auth/invitations/accept",
        base_url=f"http://{slug}.localhost",
        json={"token": token, "password": PASSWORD},
    )
    assert joined.status_code == 200


@pytest.mark.parametrize(
    ("slug", "more", "message"),
    [
        ("admin", (), "reserved"),
        ("Not-Lower", (), "lower-case"),
        ("cli-currency", ("--currency", "XYZ"), "not an ISO 4217"),
        ("cli-zone", ("--time-zone", "Mars/Olympus"), "not an IANA time zone"),
        ("cli-email", ("--admin-email", "nobody"), "@-sign"),
    ],
)
def test_what_an_organization_cannot_be_is_one_plain_line(
    run: Run, slug: str, more: tuple[str, ...], message: str
) -> None:
    result = create(run, slug, *more)
    assert result.exit_code == 1
    assert message in result.stderr
    assert one_plain_line(result)


def test_a_taken_slug_is_one_plain_line(run: Run) -> None:
    slug = new_slug()
    create(run, slug)
    result = create(run, slug)
    assert result.exit_code == 1
    assert f"the slug '{slug}'" in result.stderr
    assert one_plain_line(result)


def test_organizations_are_suspended_and_resumed_by_slug(run: Run) -> None:
    slug = new_slug()
    create(run, slug)
    suspended = run("organizations", "suspend", slug, "--reason", "Unpaid.")
    assert suspended.exit_code == 0, suspended.output
    assert slug in run("organizations", "list", "--state", "suspended").stdout
    assert run("organizations", "resume", slug).exit_code == 0
    assert slug not in run("organizations", "list", "--state", "suspended").stdout
    listed = [line for line in run("organizations", "list").stdout.splitlines() if slug in line]
    assert len(listed) == 1
    assert "active" in listed[0]


def test_an_unknown_slug_is_one_plain_line(run: Run) -> None:
    result = run("organizations", "resume", "nobody-has-this")
    assert result.exit_code == 1
    assert result.stderr == "Error: There is no organization with the slug 'nobody-has-this'.\n"


def test_a_super_admin_is_made_once(run: Run, client: FlaskClient, database: Database) -> None:
    email = f"root-{new_id().hex[-8:]}@platform.example"
    words = ("platform", "create-admin", "--email", email, "--name", "Robin Okafor")
    made = run(*words, "--password-stdin", typed=f"{PASSWORD}\n")
    again = run(*words, typed="another horse battery\nanother horse battery\n")
    assert (made.exit_code, again.exit_code) == (0, 0)
    assert "exists already" in again.stdout
    answer = client.post(
        "/api/v1/platform/auth/login",
        base_url=PLATFORM_HOST,
        json={"email": email, "password": PASSWORD},
    )
    assert answer.status_code == 200


def test_a_weak_password_makes_no_super_admin(run: Run, database: Database) -> None:
    result = run(
        *("platform", "create-admin", "--email", "weak@platform.example", "--name", "W"),
        "--password-stdin",
        typed="short\n",
    )
    assert result.exit_code == 1
    assert one_plain_line(result)
    with database.transaction(PLATFORM) as session:
        found = session.execute(
            text("SELECT 1 FROM platform.admins WHERE email = 'weak@platform.example'")
        ).first()
    assert found is None


@pytest.mark.parametrize("missing", ["DATABASE_URL", "DATABASE_ADMIN_URL"])
def test_a_missing_address_is_named(run: Run, missing: str) -> None:
    result = run("migrate", **{missing: None})
    assert result.exit_code == 1
    assert f"{missing} is not set" in result.stderr
    assert one_plain_line(result)


@pytest.mark.parametrize(
    ("words", "name"),
    [(("organizations", "list"), "DATABASE_URL"), (("migrate",), "DATABASE_ADMIN_URL")],
)
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql+psycopg://app@127.0.0.1:1/lms", "PostgreSQL does not let us in"),
        ("nonsense", "have the form"),
    ],
)
def test_an_unreachable_database_is_one_plain_line(
    run: Run, words: tuple[str, ...], name: str, address: str, message: str
) -> None:
    result = run(*words, **{name: address})
    assert result.exit_code == 1
    assert message in result.stderr
    assert one_plain_line(result)


def test_a_database_that_was_never_migrated_says_what_to_do(run: Run, servers: Servers) -> None:
    empty = make_url(servers.app_url).set(database="postgres")
    result = run("organizations", "list", DATABASE_URL=empty.render_as_string(hide_password=False))
    assert result.exit_code == 1
    assert "Run `lms migrate` first" in result.stderr


def test_migrating_with_nothing_to_do_succeeds(run: Run, acme: UUID) -> None:
    result = run("migrate", "--only", "acme")
    assert result.exit_code == 0, result.output
    assert "0 migrated" in result.stdout
    assert "0 failed" in result.stdout


def test_an_organization_that_cannot_be_migrated_is_named_and_the_exit_status_is_1(
    run: Run, make_organization: Callable[..., UUID], admin_engine: Engine
) -> None:
    slug = new_slug()
    organization_id = make_organization(slug)
    set_revision = text("UPDATE platform.organizations SET revision = :revision WHERE id = :id")
    with admin_engine.begin() as connection:
        connection.execute(set_revision, {"revision": "from-the-future", "id": organization_id})
    try:
        result = run("migrate", "--only", slug)
    finally:
        with admin_engine.begin() as connection:
            connection.execute(
                set_revision, {"revision": ddl.head_revision(), "id": organization_id}
            )
    assert result.exit_code == 1
    assert f"{slug}: revision from-the-future is not in this code's history" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_organization_is_not_migrated(run: Run) -> None:
    result = run("migrate", "--only", "nobody-has-this")
    assert result.exit_code == 1
    assert one_plain_line(result)


@pytest.mark.parametrize(
    ("side", "path"), [("tenant", "/api/v1/me"), ("platform", "/api/v1/platform/organizations")]
)
def test_a_side_s_document_is_printed(run: Run, side: str, path: str) -> None:
    result = run("openapi", "--side", side)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["openapi"] == "3.1.0"
    assert path in document["paths"]


def test_written_documents_are_the_app_s(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "DOCS", tmp_path / "docs")
    assert run("openapi", "--write").exit_code == 0
    assert compare_documents() == []
    document = tmp_path / "docs" / "openapi-tenant.json"
    document.write_text(document.read_text().replace('"getMe"', '"getMyself"'))
    [difference] = compare_documents()
    assert "openapi-tenant.json differs" in difference


@pytest.mark.parametrize("words", [("worker", "media"), ("worker", "default"), ("dispatcher",)])
def test_processes_are_started_by_their_modules_names(
    run: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _path, argv: became.append(argv))
    run(*words)
    [argv] = became
    module = "jobs.worker" if words[0] == "worker" else "jobs.dispatch"
    assert argv == [sys.executable, "-m", module, *words[1:]]


def test_a_worker_listens_to_one_known_queue(run: Run) -> None:
    assert run("worker", "everything").exit_code == 2


def test_the_command_is_installed() -> None:
    lms = Path(sys.executable).parent / "lms"
    shown = subprocess.run([lms, "--help"], capture_output=True, text=True, check=True)
    assert "organizations" in shown.stdout


def test_migrating_does_not_wait_for_the_application_to_load() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from lms.cli import main;"
        "CliRunner().invoke(main, ['migrate', '--help']);"
        "print({'lms.cli.migrations', 'lms.app', 'lms.models', 'lms.up'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "{'lms.cli.migrations'}\n"


def test_every_command_is_where_the_command_line_looks_for_it(run: Run) -> None:
    for command in COMMANDS:
        assert run(command, "--help").exit_code == 0


def test_the_end_state_is_rendered_from_the_models(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "END_STATE", tmp_path / "end_state.sql")
    assert compare_end_state() != []
    assert run("schema", "render").exit_code == 0
    assert compare_end_state() == []
    assert names.quote("users") in ddl.end_state()
