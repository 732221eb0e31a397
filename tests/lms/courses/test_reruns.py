"""The next run of a course, after the model of an earlier one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, make_published
from tests.lms.courses.conftest import Answer, Api

START = datetime(2027, 1, 18, 8, tzinfo=UTC)
DATES = {
    "enrollment_opens_at": START - timedelta(days=40),
    "enrollment_closes_at": START + timedelta(days=7),
    "starts_at": START,
    "ends_at": START + timedelta(days=60),
}


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def dates(later: timedelta = timedelta(0)) -> dict[str, str]:
    return {name: written(moment + later) for name, moment in DATES.items()}


@pytest.fixture
def published(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_published(database, acme, instructor.person)


@pytest.fixture
def earlier(instructor: Api, published: Content) -> dict[str, Any]:
    created = instructor.post(
        f"/courses/{published.course_id}/runs",
        {
            "version_id": str(published.version_id),
            "title": "January 2027 cohort",
            **dates(),
            "access_ends_at": written(START + timedelta(days=90)),
            "capacity": 24,
            "price": {"amount": 4900, "currency": "EUR"},
            "time_zone": "Europe/Berlin",
            "refund_policy": [
                {"until": written(START - timedelta(days=7)), "percent": 100},
                {"until": written(START), "percent": 50},
            ],
        },
    )
    assert created.status_code == 201, created.text
    return created.json


def rerun(api: Api, run: dict[str, Any], later: timedelta, **members: Any) -> Answer:
    body = {"title": "September 2027 cohort", **dates(later), **members}
    return api.post(f"/runs/{run['id']}/rerun", body)


def test_the_next_run_is_like_the_earlier_one_at_other_dates(
    instructor: Api, earlier: dict[str, Any]
) -> None:
    later = timedelta(days=230)

    made = rerun(instructor, earlier, later)

    assert made.status_code == 201, made.text
    assert made.json["id"] != earlier["id"]
    new = {name: made.json[name] for name in ("id", "created_at")}
    assert made.json == {
        **earlier,
        **new,
        **dates(later),
        "title": "September 2027 cohort",
        "access_ends_at": written(START + timedelta(days=90) + later),
        "refund_policy": [
            {"until": written(START - timedelta(days=7) + later), "percent": 100},
            {"until": written(START + later), "percent": 50},
        ],
    }
    assert made.headers["ETag"] == '"1"'
    assert instructor.get(f"/runs/{made.json['id']}").json == made.json
    assert instructor.get(f"/runs/{earlier['id']}").json == earlier


def test_what_is_given_replaces_what_the_earlier_run_had(
    instructor: Api, earlier: dict[str, Any]
) -> None:
    given = {
        "state": "draft",
        "capacity": None,
        "price": {"amount": 0, "currency": "EUR"},
        "time_zone": "UTC",
        "refund_policy": [],
        "access_ends_at": None,
    }

    made = rerun(instructor, earlier, timedelta(days=230), **given).json

    assert made["seats"]["capacity"] is None
    assert {name: made[name] for name in given if name != "capacity"} == {
        name: value for name, value in given.items() if name != "capacity"
    }


@pytest.mark.parametrize("missing", ["title", *DATES])
def test_title_and_dates_are_given_anew(
    instructor: Api, earlier: dict[str, Any], missing: str
) -> None:
    body = {"title": "Next", **dates()}
    del body[missing]

    refused = instructor.post(f"/runs/{earlier['id']}/rerun", body)

    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [f"/{missing}"]


def test_a_newer_version_is_taken_when_it_is_named(
    instructor: Api, published: Content, earlier: dict[str, Any]
) -> None:
    newer = publish_next(instructor, published)

    made = rerun(instructor, earlier, timedelta(days=230), version_id=newer)

    assert made.json["version_id"] == newer


def test_an_archived_version_is_refused_with_the_one_to_name(
    instructor: Api, published: Content, earlier: dict[str, Any]
) -> None:
    newer = publish_next(instructor, published)
    instructor.post(f"/course-versions/{published.version_id}/archive")

    refused = rerun(instructor, earlier, timedelta(days=230))

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")
    assert refused.json["latest_version_id"] == newer
    assert "`version_id`" in refused.json["detail"]
    named = rerun(instructor, earlier, timedelta(days=230), version_id=newer)
    assert named.status_code == 201


def test_without_any_published_version_one_is_to_be_published_first(
    instructor: Api, published: Content, earlier: dict[str, Any]
) -> None:
    instructor.post(f"/course-versions/{published.version_id}/archive")

    refused = rerun(instructor, earlier, timedelta(days=230))

    assert (refused.status_code, refused.json["latest_version_id"]) == (409, None)
    assert "publish one first" in refused.json["detail"]


def test_another_courses_version_is_refused(
    instructor: Api, earlier: dict[str, Any], database: Database, acme: UUID
) -> None:
    other = make_published(database, acme, instructor.person)

    refused = rerun(instructor, earlier, timedelta(0), version_id=str(other.version_id))

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")


def test_dates_out_of_order_are_refused(instructor: Api, earlier: dict[str, Any]) -> None:
    refused = rerun(instructor, earlier, timedelta(0), ends_at=written(START))

    assert refused.status_code == 422
    assert "/ends_at" in {error["pointer"] for error in refused.json["errors"]}


def test_a_policy_that_would_be_out_of_all_time_is_refused(
    instructor: Api, earlier: dict[str, Any]
) -> None:
    far = {
        "enrollment_opens_at": "1970-01-01T00:00:00Z",
        "enrollment_closes_at": "1970-01-02T00:00:00Z",
        "starts_at": "1970-01-01T00:00:00Z",
        "ends_at": "1970-01-03T00:00:00Z",
    }

    refused = rerun(instructor, earlier, timedelta(0), **far)

    assert (refused.status_code, refused.json["code"]) == (422, "invalid_input")
    assert refused.json["errors"][0]["pointer"] == "/starts_at"


def test_those_who_teach_the_course_and_admins_make_the_next_run(
    colleague: Api, student: Api, admin: Api, earlier: dict[str, Any]
) -> None:
    assert rerun(student, earlier, timedelta(0)).status_code == 403
    assert rerun(colleague, earlier, timedelta(0)).status_code == 404
    assert rerun(admin, earlier, timedelta(0)).status_code == 201
    assert rerun(admin, {"id": uuid4()}, timedelta(0)).status_code == 404


def test_a_cancelled_run_can_be_made_again(
    admin: Api, instructor: Api, earlier: dict[str, Any]
) -> None:
    admin.post(f"/runs/{earlier['id']}/cancel", {"reason": "Too few learners."})

    made = rerun(instructor, earlier, timedelta(days=230))

    assert (made.status_code, made.json["state"]) == (201, "scheduled")
    assert made.json["cancel_reason"] is None


def test_it_is_on_record_of_which_run_it_is_the_next(
    instructor: Api, earlier: dict[str, Any], database: Database, acme: UUID
) -> None:
    made = rerun(instructor, earlier, timedelta(days=230)).json
    with database.transaction(OrganizationScope(acme)) as session:
        after = session.scalar(
            text(
                "SELECT after FROM audit_events"
                " WHERE action = 'course_run.create' AND subject_id = :id"
            ),
            {"id": UUID(made["id"])},
        )
    assert after["rerun_of"] == earlier["id"]


def publish_next(api: Api, published: Content) -> str:
    version_id = api.post(f"/courses/{published.course_id}/versions", {}).json["id"]
    assert api.post(f"/course-versions/{version_id}/publish").status_code == 200
    return version_id
