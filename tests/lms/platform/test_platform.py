from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from lms.app import create_app
from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import DOORBELL
from lms.platform.provisioning import Owner, refill_spares
from lms.users import invitations
from tenants import spares
from tenants.session import PLATFORM, Database
from tests.conftest import Servers
from tests.factories.accounts import (
    PASSWORD,
    PLATFORM_HOST,
    bearer,
    log_in,
    make_account,
    super_admin,
)


class Platform:
    """Calls on the platform host as a super-admin."""

    def __init__(self, client: FlaskClient, database: Database) -> None:
        self.client, self.database = client, database
        self.headers = super_admin(client, database)

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        headers = {**self.headers, **kwargs.pop("headers", {})}
        return self.client.open(
            f"/api/v1/platform{path}",
            method=method,
            base_url=PLATFORM_HOST,
            headers=headers,
            **kwargs,
        )

    def create(self, slug: str, **more: Any) -> TestResponse:
        body = {
            "slug": slug,
            "name": "Initech School",
            "admin": {"email": "Dana@Initech.example", "name": "Dana Reyes"},
            **more,
        }
        return self.call("POST", "/organizations", json=body)

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.database.transaction(PLATFORM) as session:
            result = session.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    def actions(self, organization_id: str) -> list[str]:
        rows = self.sql(
            "SELECT action FROM platform.audit_events WHERE organization_id = :id ORDER BY id",
            id=organization_id,
        )
        return [row.action for row in rows]


@pytest.fixture
def platform(client: FlaskClient, database: Database) -> Platform:
    return Platform(client, database)


def new_slug() -> str:
    return f"school-{new_id().hex[-12:]}"


def test_a_wrong_password_and_an_unknown_super_admin_get_the_same_answer(
    platform: Platform, client: FlaskClient
) -> None:
    [known] = platform.sql("SELECT email FROM platform.admins ORDER BY id DESC LIMIT 1")
    answers = [
        client.post(
            "/api/v1/platform/auth/login",
            base_url=PLATFORM_HOST,
            json={"email": email, "password": "wrong horse battery"},
        )
        for email in (known.email, "nobody@platform.example")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json["detail"] == answers[1].json["detail"]


def test_signing_out_ends_the_super_admins_token(platform: Platform) -> None:
    assert platform.call("POST", "/auth/logout").status_code == 204
    assert platform.call("GET", "/organizations").status_code == 401


def test_the_platform_s_routes_are_not_on_an_organization_s_host(
    platform: Platform, acme: UUID
) -> None:
    answer = platform.client.get(
        "/api/v1/platform/organizations",
        base_url="http://acme.localhost",
        headers=platform.headers,
    )
    assert answer.status_code == 404


def test_organizations_routes_are_not_on_the_platform_s_host(platform: Platform) -> None:
    answer = platform.client.get("/api/v1/me", base_url=PLATFORM_HOST, headers=platform.headers)
    assert answer.status_code == 404


def test_accounts_of_the_two_sides_do_not_work_on_the_other(
    platform: Platform, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme, "admin")
    tokens = log_in(platform.client, "acme", email).json
    as_tenant = platform.client.get(
        "/api/v1/platform/organizations", base_url=PLATFORM_HOST, headers=bearer(tokens)
    )
    as_platform = platform.client.get(
        "/api/v1/me", base_url="http://acme.localhost", headers=platform.headers
    )
    assert (as_tenant.status_code, as_platform.status_code) == (401, 401)


def test_an_organization_is_ready_when_its_creation_answers(platform: Platform) -> None:
    slug = new_slug()
    created = platform.create(slug, currency="JPY", time_zone="Asia/Tokyo", locale="ja")
    assert created.status_code == 201
    assert created.json["state"] == "active"
    assert (created.json["currency"], created.json["time_zone"]) == ("JPY", "Asia/Tokyo")
    joined = platform.client.post(
        "/api/v1/auth/invitations/accept",
        base_url=f"http://{slug}.localhost",
        json={"token": created.json["invitation"]["token"], "password": PASSWORD},
    )
    account = platform.client.get(
        "/api/v1/me", base_url=f"http://{slug}.localhost", headers=bearer(joined.json)
    )
    assert account.json["email"] == "dana@initech.example"
    assert account.json["account_type"] == "admin"
    assert platform.actions(created.json["id"]) == ["organization.create"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"slug": "admin"}, "/slug"),
        ({"slug": "Not A Label"}, "/slug"),
        ({"currency": "XYZ"}, "/currency"),
        ({"currency": "eur"}, "/currency"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"locale": "???"}, "/locale"),
        ({"admin": {"email": "nobody", "name": "N"}}, "/admin/email"),
    ],
)
def test_what_an_organization_cannot_be_is_refused(
    platform: Platform, more: dict[str, Any], pointer: str
) -> None:
    answer = platform.create(more.pop("slug", new_slug()), **more)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("member", ["currency", "locale", "name", "slug", "time_zone"])
def test_nothing_of_an_organization_has_line_breaks(platform: Platform, member: str) -> None:
    about = {"currency": "EUR", "locale": "en", "name": "A", "slug": "a", "time_zone": "UTC"}
    answer = platform.create(**{"slug": new_slug(), member: f"{about[member]}\nb"})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == f"/{member}"


@pytest.mark.parametrize(("member", "value"), [("currency", "EUR"), ("locale", "en")])
def test_a_code_is_stored_without_the_line_break_behind_it(
    platform: Platform, member: str, value: str
) -> None:
    answer = platform.create(new_slug(), **{member: f"{value}\n"})
    assert answer.json[member] == value


def test_a_suspension_s_reason_may_have_lines(platform: Platform) -> None:
    created = platform.create(new_slug()).json
    reason = "Invoice unpaid.\nThird reminder sent."
    answer = platform.call(
        "POST", f"/organizations/{created['id']}/suspend", json={"reason": reason}
    )
    assert answer.json["suspended_reason"] == reason


def test_a_slug_is_taken_once(platform: Platform, acme: UUID) -> None:
    answer = platform.create("acme")
    assert answer.status_code == 409
    assert answer.json["code"] == "slug_taken"


def test_a_failing_creation_leaves_nothing_behind_and_a_retry_succeeds(
    platform: Platform, admin_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counts() -> tuple[int, int, int]:
        with admin_engine.begin() as connection:
            schemas = connection.execute(text("SELECT count(*) FROM pg_namespace")).scalar_one()
            roles = connection.execute(text("SELECT count(*) FROM pg_roles")).scalar_one()
            rows = connection.execute(
                text("SELECT count(*) FROM platform.organizations")
            ).scalar_one()
        return schemas, roles, rows

    slug, before = new_slug(), counts()
    with monkeypatch.context() as patched:
        patched.setattr(invitations, "_digest", lambda _token: 1 / 0)
        assert platform.create(slug).status_code == 500
    assert counts() == before
    assert platform.create(slug).status_code == 201


@pytest.mark.parametrize("admin_url", [None, "postgresql+psycopg://owner@127.0.0.1:1/lms"])
def test_without_the_owner_s_connection_creating_is_unavailable(
    platform: Platform, settings: Settings, admin_url: str | None
) -> None:
    app = create_app(replace(settings, database_admin_url=admin_url))
    try:
        platform.client = app.test_client()
        answer = platform.create(new_slug())
    finally:
        app.extensions["edge"].database.dispose()
    assert answer.status_code == 503
    assert answer.json["code"] == "provisioning_unavailable"
    assert "Retry-After" in answer.headers


def remove_spares(admin: Engine) -> None:
    with admin.begin() as connection:
        connection.execute(text("UPDATE platform.spare_schemas SET revision = '0001'"))
    spares.discard_stale(admin)


def spares_ready(admin: Engine) -> int:
    with admin.begin() as connection:
        query = text("SELECT count(*) FROM platform.spare_schemas")
        return int(connection.execute(query).scalar_one())


def test_after_an_organization_is_made_spares_are_built_for_the_next(
    platform: Platform, settings: Settings, admin_engine: Engine
) -> None:
    app = create_app(replace(settings, spare_organizations=1))
    try:
        platform.client = app.test_client()
        for _ in range(2):  # the second takes what the first had built
            assert platform.create(new_slug()).status_code == 201
            for thread in threading.enumerate():
                if thread.name == "spares":
                    thread.join(timeout=30)
            assert spares_ready(admin_engine) == 1
    finally:
        app.extensions["edge"].database.dispose()
        remove_spares(admin_engine)


def test_spares_that_cannot_be_built_do_not_fail_the_organization(
    platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> int:
        raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(spares, "refill", fail)
    owner = Owner(settings.admin_url(), settings.database_url)
    assert platform.create(new_slug()).status_code == 201
    assert refill_spares(owner, 1) is False


def test_a_suspended_host_answers_like_an_unknown_one_at_once(platform: Platform) -> None:
    slug = new_slug()
    created = platform.create(slug).json
    token = created["invitation"]["token"]
    tokens = platform.client.post(
        "/api/v1/auth/invitations/accept",
        base_url=f"http://{slug}.localhost",
        json={"token": token, "password": PASSWORD},
    ).json

    def answer(host: str) -> tuple[int, dict[str, Any]]:
        found = platform.client.get(
            "/api/v1/me", base_url=f"http://{host}.localhost", headers=bearer(tokens)
        )
        return found.status_code, {
            key: value for key, value in found.json.items() if key != "request_id"
        }

    assert answer(slug)[0] == 200
    path = f"/organizations/{created['id']}"
    suspended = platform.call("POST", f"{path}/suspend", json={"reason": "Invoice unpaid."})
    assert suspended.json["state"] == "suspended"
    assert suspended.json["suspended_reason"] == "Invoice unpaid."
    assert answer(slug) == answer("nobody-has-this")
    assert log_in(platform.client, slug, "dana@initech.example").status_code == 404
    again = platform.call("POST", f"{path}/suspend", json={"reason": "Another."})
    assert again.json["suspended_reason"] == "Invoice unpaid."
    assert platform.call("POST", f"{path}/resume").json["state"] == "active"
    assert answer(slug)[0] == 200
    assert platform.actions(created["id"]) == [
        "organization.create",
        "organization.suspend",
        "organization.resume",
    ]


def test_an_organization_that_is_being_deleted_is_not_resumed(platform: Platform) -> None:
    created = platform.create(new_slug()).json
    platform.sql(
        "UPDATE platform.organizations SET state = 'deleting' WHERE id = :id", id=created["id"]
    )
    answer = platform.call("POST", f"/organizations/{created['id']}/resume")
    assert answer.status_code == 409
    assert answer.json["code"] == "organization_state"


def test_an_organization_is_changed_against_the_version_that_was_read(platform: Platform) -> None:
    created = platform.create(new_slug()).json
    path = f"/organizations/{created['id']}"
    etag = platform.call("GET", path).headers["ETag"]
    change = {"name": "Initech University", "settings": {"ladder": [720, 360]}}
    assert platform.call("PATCH", path, json=change).status_code == 428
    changed = platform.call("PATCH", path, json=change, headers={"If-Match": etag})
    assert changed.json["name"] == "Initech University"
    assert changed.json["settings"] == {"ladder": [720, 360]}
    stale = platform.call("PATCH", path, json={"name": "X"}, headers={"If-Match": etag})
    assert stale.status_code == 412


def test_organizations_are_found_by_state_and_slug(platform: Platform) -> None:
    slug = new_slug()
    created = platform.create(slug).json
    platform.call("POST", f"/organizations/{created['id']}/suspend", json={"reason": "Test."})

    def ids(query: str) -> list[str]:
        return [one["id"] for one in platform.call("GET", f"/organizations?{query}").json["items"]]

    assert ids(f"slug={slug}") == [created["id"]]
    assert ids(f"slug={slug}&state=suspended") == [created["id"]]
    assert ids(f"slug={slug}&state=active") == []


@pytest.mark.parametrize("path", ["organizations/{id}", "jobs/{id}/retry"])
def test_what_is_not_there_is_not_found(platform: Platform, path: str) -> None:
    method = "POST" if path.startswith("jobs") else "GET"
    assert platform.call(method, "/" + path.format(id=new_id())).status_code == 404


@pytest.fixture
def make_job(platform: Platform) -> Callable[..., UUID]:
    def make(organization_id: UUID, state: str = "failed", subject_id: UUID | None = None) -> UUID:
        job_id = new_id()
        platform.sql(
            "INSERT INTO platform.work"
            " (id, organization_id, queue, kind, subject_id, state, attempts, error, fence)"
            " VALUES (:id, :organization_id, 'media', 'transcode_video', :subject_id, :state, 4,"
            " 'no space left', 4)",
            id=job_id,
            organization_id=organization_id,
            subject_id=subject_id or new_id(),
            state=state,
        )
        return job_id

    return make


def test_jobs_of_all_organizations_are_listed_and_filtered(
    platform: Platform, make_job: Callable[..., UUID], make_organization: Callable[..., UUID]
) -> None:
    one, other = make_organization(), make_organization()
    failed, done, foreign = make_job(one), make_job(one, "done"), make_job(other)

    def ids(query: str) -> list[str]:
        return [job["id"] for job in platform.call("GET", f"/jobs?{query}").json["items"]]

    assert ids(f"organization_id={one}") == [str(done), str(failed)]
    assert ids(f"organization_id={one}&state=failed&queue=media") == [str(failed)]
    assert ids(f"organization_id={one}&queue=default") == []
    assert {str(done), str(foreign)} <= set(ids("limit=3"))


def test_a_failed_job_waits_again_with_all_its_attempts(
    platform: Platform, make_job: Callable[..., UUID], acme: UUID
) -> None:
    job_id = make_job(acme)
    retried = platform.call("POST", f"/jobs/{job_id}/retry")
    assert retried.status_code == 200
    assert (retried.json["state"], retried.json["attempts"]) == ("waiting", 0)
    assert retried.json["error"] is None
    [row] = platform.sql("SELECT fence FROM platform.work WHERE id = :id", id=job_id)
    assert row.fence == 4
    assert "job.retry" in platform.actions(str(acme))


def test_retrying_a_job_rings_the_dispatcher(
    platform: Platform, make_job: Callable[..., UUID], acme: UUID, servers: Servers
) -> None:
    with redis.Redis.from_url(servers.redis_url) as heard, heard.pubsub() as ear:
        ear.subscribe(DOORBELL)
        assert ear.get_message(timeout=5)["type"] == "subscribe"
        platform.call("POST", f"/jobs/{make_job(acme)}/retry")
        ring = ear.get_message(timeout=5)
    assert ring["data"] == b"media"


@pytest.mark.parametrize("state", ["waiting", "done"])
def test_only_a_failed_job_is_tried_again(
    platform: Platform, make_job: Callable[..., UUID], acme: UUID, state: str
) -> None:
    answer = platform.call("POST", f"/jobs/{make_job(acme, state)}/retry")
    assert answer.status_code == 409
    assert answer.json["code"] == "job_not_failed"
    assert answer.json["state"] == state


def test_a_job_whose_subject_is_open_again_stays_failed(
    platform: Platform, make_job: Callable[..., UUID], acme: UUID
) -> None:
    subject_id = new_id()
    failed = make_job(acme, "failed", subject_id)
    make_job(acme, "waiting", subject_id)
    answer = platform.call("POST", f"/jobs/{failed}/retry")
    assert answer.status_code == 409
    assert answer.json["code"] == "job_already_open"
