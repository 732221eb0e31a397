"""What an organization's videos are converted to: its admins' choice, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine, select, text
from werkzeug.test import TestResponse

from lms.core.models import AuditEvent
from lms.media import transcoding_settings
from lms.media.transcoding_settings import resolve
from tenants.models import TranscodingSettings
from tenants.session import Database, OrganizationScope
from tests.factories.people import Person, make_user

DEFAULT = {
    "ladder": [1080, 720, 480, 360],
    "longest_video_seconds": 28_800,
    "largest_side": 2160,
}


class School:
    """A new organization, its admin, and calls on its settings."""

    def __init__(self, app: Flask, database: Database, organization_id: UUID, slug: str) -> None:
        self.app, self.database, self.slug = app, database, slug
        self.scope = OrganizationScope(organization_id)
        self.admin = self.person("admin")
        self._client = app.test_client()

    def person(self, account_type: str) -> Person:
        return make_user(self.database, self.scope.id, account_type, app=self.app)

    def call(self, method: str, person: Person | None = None, **kwargs: Any) -> TestResponse:
        headers = {**(person or self.admin).headers, **kwargs.pop("headers", {})}
        return self._client.open(
            "/api/v1/transcoding-settings",
            method=method,
            base_url=f"http://{self.slug}.localhost",
            headers=headers,
            **kwargs,
        )

    def read(self) -> dict[str, Any]:
        answer = self.call("GET")
        assert answer.status_code == 200
        return dict(answer.json or {})

    def change(self, *, etag: str = "*", **members: Any) -> TestResponse:
        return self.call("PATCH", json=members, headers={"If-Match": etag})


@pytest.fixture
def set_by_platform(admin_engine: Engine) -> Callable[[UUID, str], None]:
    def set_(organization_id: UUID, settings: str) -> None:
        with admin_engine.begin() as connection:
            connection.execute(
                text("UPDATE platform.organizations SET settings = :settings WHERE id = :id"),
                {"settings": settings, "id": organization_id},
            )

    return set_


@pytest.fixture
def school(app: Flask, database: Database, make_organization: Callable[..., UUID]) -> School:
    organization_id = make_organization()
    return School(app, database, organization_id, f"org-{organization_id.hex[-12:]}")


def test_without_a_choice_it_is_the_installations_default(school: School) -> None:
    assert school.read() == DEFAULT


def test_admins_choose_the_ladder_and_the_longest_video(school: School) -> None:
    changed = school.change(ladder=[360, 720, 360], longest_video_seconds=600)
    assert changed.status_code == 200
    expected = {**DEFAULT, "ladder": [720, 360], "longest_video_seconds": 600}
    assert changed.json == school.read() == expected


def test_what_is_not_sent_stays_as_it_was_chosen(school: School) -> None:
    school.change(ladder=[720])
    school.change(longest_video_seconds=600)
    assert school.read() == {**DEFAULT, "ladder": [720], "longest_video_seconds": 600}


def test_null_takes_a_choice_back(school: School) -> None:
    school.change(ladder=[720], longest_video_seconds=600)
    school.change(ladder=None, longest_video_seconds=None)
    assert school.read() == DEFAULT


def test_the_platforms_ladder_is_the_default_and_the_bound(
    school: School, set_by_platform: Callable[[UUID, str], None]
) -> None:
    set_by_platform(school.scope.id, '{"ladder": [720, 480]}')
    assert school.read() == {**DEFAULT, "ladder": [720, 480], "largest_side": 720}
    refused = school.change(ladder=[480, 1080])
    assert refused.status_code == 422
    problem = refused.json or {}
    assert (problem["code"], problem["largest_side"]) == ("ladder_too_large", 720)
    assert [error["pointer"] for error in problem["errors"]] == ["/ladder/1"]
    assert school.change(ladder=[720, 360]).status_code == 200


def test_a_choice_from_before_the_platform_allowed_less_is_cut(
    school: School, set_by_platform: Callable[[UUID, str], None]
) -> None:
    school.change(ladder=[1080, 360])
    set_by_platform(school.scope.id, '{"ladder": [720, 480]}')
    assert school.read()["ladder"] == [360]


@pytest.mark.parametrize(
    "change",
    [
        {"ladder": []},
        {"ladder": [143]},
        {"ladder": [2161]},
        {"ladder": ["720"]},
        {"ladder": [360] * 9},
        {"longest_video_seconds": 0},
        {"longest_video_seconds": 28_801},
        {"largest_side": 4000},
    ],
)
def test_what_is_out_of_the_installations_bounds_is_refused(
    school: School, change: dict[str, Any]
) -> None:
    refused = school.change(**change)
    assert (refused.status_code, (refused.json or {})["code"]) == (422, "validation_failed")
    assert school.read() == DEFAULT


def test_a_change_needs_the_state_that_it_is_based_on(school: School) -> None:
    etag = school.call("GET").headers["ETag"]
    assert school.call("PATCH", json={"ladder": [720]}).status_code == 428
    changed = school.change(etag=etag, ladder=[720])
    assert changed.status_code == 200
    stale = school.change(etag=etag, ladder=[480])
    assert (stale.status_code, (stale.json or {})["code"]) == (412, "stale_version")
    assert school.change(etag=changed.headers["ETag"], ladder=[480]).status_code == 200


def test_of_two_changes_at_once_the_later_is_refused_and_not_lost(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = transcoding_settings._check_ladder

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(transcoding_settings, "_check_ladder", check)
        assert school.change(longest_video_seconds=600).status_code == 200

    monkeypatch.setattr(transcoding_settings, "_check_ladder", meanwhile)
    assert school.change(ladder=[720]).status_code == 412
    assert school.read() == {**DEFAULT, "longest_video_seconds": 600}


def test_a_change_is_on_record_with_before_and_after(school: School) -> None:
    school.change(ladder=[720])
    school.change()
    query = select(AuditEvent).where(AuditEvent.action == "transcoding_settings.update")
    with school.database.transaction(school.scope) as session:
        (event,) = session.scalars(query).all()
    assert (event.actor_id, event.subject_id) == (school.admin.id, school.scope.id)
    assert event.before == {"ladder": DEFAULT["ladder"], "longest_video_seconds": 28_800}
    assert event.after == {"ladder": [720], "longest_video_seconds": 28_800}


@pytest.mark.parametrize("account_type", ["student", "instructor"])
def test_only_admins_read_and_change_it(school: School, account_type: str) -> None:
    person = school.person(account_type)
    assert school.call("GET", person).status_code == 403
    anything = {"json": {"ladder": [720]}, "headers": {"If-Match": "*"}}
    assert school.call("PATCH", person, **anything).status_code == 403


def test_an_organizations_choice_is_its_own(school: School, database: Database, acme: UUID) -> None:
    school.change(ladder=[720])
    with database.transaction(OrganizationScope(acme)) as session:
        seen = session.scalars(select(TranscodingSettings.organization_id)).all()
    assert school.scope.id not in seen


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        ({}, (1080, 720, 480, 360)),
        ({"ladder": [360, 720]}, (720, 360)),
        ({"ladder": [0, "720", 100_000, True]}, (1080, 720, 480, 360)),
        ({"ladder": "720"}, (1080, 720, 480, 360)),
    ],
)
def test_the_platforms_ladder_counts_where_it_makes_sense(
    platforms: dict[str, object], expected: tuple[int, ...]
) -> None:
    assert resolve(platforms, None).ladder == expected
