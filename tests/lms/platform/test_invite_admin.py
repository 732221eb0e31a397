"""`lms organizations invite-admin`: the way back in when a first admin's invitation is gone."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.cli import main
from lms.core.ids import new_id
from lms.users import operations
from tenants.session import PLATFORM, Database, OrganizationScope
from tests.conftest import Servers
from tests.factories.accounts import PASSWORD, bearer, make_account

Invite = Callable[..., Result]
EMAIL = "dana@initech.example"


@pytest.fixture
def slug() -> str:
    return f"school-{new_id().hex[-12:]}"


@pytest.fixture
def school(make_organization: Callable[..., UUID], slug: str) -> UUID:
    return make_organization(slug)


@pytest.fixture
def invite(servers: Servers) -> Invite:
    """Run the command as an operator would."""

    def run(slug: str, email: str = EMAIL) -> Result:
        words = ["organizations", "invite-admin", slug, "--email", email, "--name", "Dana Reyes"]
        return CliRunner().invoke(main, words, env={"DATABASE_URL": servers.app_url})

    return run


def accept(client: FlaskClient, slug: str, token: str) -> TestResponse:
    return client.post(
        "/api/v1/auth/invitations/accept",
        base_url=f"http://{slug}.localhost",
        json={"token": token, "password": PASSWORD},
    )


def test_a_first_admin_is_invited_again_and_administers(
    client: FlaskClient, database: Database, school: UUID, slug: str, invite: Invite
) -> None:
    with database.transaction(OrganizationScope(school)) as session:
        user, lost = operations.create_user(
            session, None, email=EMAIL, name="Dana", account_type="admin"
        )
    result = invite(slug, "Dana@Initech.example")
    assert result.exit_code == 0, result.output
    token = result.stdout.split("token")[-1].split()[0]
    assert accept(client, slug, lost.token).status_code == 422
    joined = accept(client, slug, token)
    account = client.get(
        "/api/v1/me", base_url=f"http://{slug}.localhost", headers=bearer(joined.json)
    ).json
    assert (account["id"], account["account_type"]) == (str(user.id), "admin")


def test_inviting_an_admin_is_on_record_on_both_sides(
    database: Database, school: UUID, slug: str, invite: Invite
) -> None:
    invite(slug)
    with database.transaction(OrganizationScope(school)) as session:
        [inside] = session.execute(
            text("SELECT action, actor_id, subject_id FROM audit_events")
        ).all()
    with database.transaction(PLATFORM) as session:
        [outside] = session.execute(
            text(
                "SELECT action, actor_id, detail FROM platform.audit_events"
                " WHERE organization_id = :id"
            ),
            {"id": school},
        ).all()
    assert (inside.action, inside.actor_id) == ("user.create", None)
    assert (outside.action, outside.actor_id) == ("organization.invite_admin", None)
    assert outside.detail == {"user_id": str(inside.subject_id)}


def test_who_has_joined_is_not_invited(
    database: Database, school: UUID, slug: str, invite: Invite
) -> None:
    _, email = make_account(database, school)
    result = invite(slug, email)
    assert result.exit_code == 1
    assert result.stderr == f"Error: There is already an account with the address {email}.\n"


@pytest.mark.usefixtures("school")
def test_a_suspended_organization_gets_no_admin(
    servers: Servers, slug: str, invite: Invite
) -> None:
    CliRunner().invoke(
        main,
        ["organizations", "suspend", slug, "--reason", "Unpaid."],
        env={"DATABASE_URL": servers.app_url},
    )
    result = invite(slug)
    assert result.exit_code == 1
    assert "The organization is suspended" in result.stderr


def test_an_unknown_organization_is_one_plain_line(invite: Invite) -> None:
    result = invite("nobody-has-this")
    assert result.exit_code == 1
    assert result.stderr == "Error: There is no organization with the slug 'nobody-has-this'.\n"
