from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from lms.core.ids import new_id
from lms.courses.models import RunSeats
from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, make_draft, make_published, make_run
from tests.factories.people import make_user
from tests.lms.courses.conftest import Api

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def at(days: float) -> str:
    return (NOW + days * DAY).isoformat()


@pytest.fixture
def published(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_published(database, acme, instructor.person)


@pytest.fixture
def run(instructor: Api, published: Content) -> dict[str, Any]:
    created = instructor.post(f"/courses/{published.course_id}/runs", body(published, capacity=5))
    assert created.status_code == 201
    return created.json


def body(published: Content, **members: Any) -> dict[str, Any]:
    return {
        "version_id": str(published.version_id),
        "title": "January 2027 cohort",
        "starts_at": at(10),
        "ends_at": at(40),
        "enrollment_opens_at": at(-1),
        "enrollment_closes_at": at(12),
        "price": {"amount": 4900, "currency": "EUR"},
        **members,
    }


def listed(api: Api, path: str) -> list[str]:
    """Return the ids of all pages of a list."""
    ids: list[str] = []
    cursor = ""
    while cursor is not None:
        page = api.get(f"{path}?limit=100{cursor and f'&cursor={cursor}'}").json
        ids += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    return ids


def take_seats(database: Database, organization_id: UUID, run_id: str, taken: int) -> None:
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.execute(update(RunSeats).where(RunSeats.run_id == UUID(run_id)).values(taken=taken))


def test_a_run_is_scheduled_with_its_seats_and_price(instructor: Api, published: Content) -> None:
    created = instructor.post(
        f"/courses/{published.course_id}/runs",
        body(
            published,
            capacity=24,
            time_zone="Europe/Berlin",
            refund_policy=[
                {"until": "2027-01-01T00:00:00+01:00", "percent": 100},
                {"until": "2027-02-01T00:00:00+01:00", "percent": 50},
            ],
        ),
    )

    assert created.status_code == 201
    assert created.json["state"] == "scheduled"
    assert created.json["price"] == {"amount": 4900, "currency": "EUR"}
    assert created.json["seats"] == {"capacity": 24, "taken": 0, "waitlisted": 0, "available": 24}
    assert created.json["time_zone"] == "Europe/Berlin"
    assert created.json["refund_policy"] == [
        {"until": "2026-12-31T23:00:00Z", "percent": 100},
        {"until": "2027-01-31T23:00:00Z", "percent": 50},
    ]
    assert instructor.get(f"/runs/{created.json['id']}").json == created.json


def test_without_a_capacity_the_seats_are_unlimited(instructor: Api, published: Content) -> None:
    created = instructor.post(f"/courses/{published.course_id}/runs", body(published))

    assert created.json["seats"] == {
        "capacity": None,
        "taken": 0,
        "waitlisted": 0,
        "available": None,
    }


def test_a_run_delivers_a_published_version_only(
    instructor: Api, database: Database, acme: UUID
) -> None:
    draft = make_draft(database, acme, instructor.person)

    refused = instructor.post(f"/courses/{draft.course_id}/runs", body(draft))

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")


def test_an_archived_version_takes_no_new_runs(instructor: Api, published: Content) -> None:
    instructor.post(f"/course-versions/{published.version_id}/archive")

    refused = instructor.post(f"/courses/{published.course_id}/runs", body(published))

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")


def test_a_run_cannot_deliver_another_courses_version(
    instructor: Api, published: Content, database: Database, acme: UUID
) -> None:
    other = make_published(database, acme, instructor.person)

    refused = instructor.post(f"/courses/{other.course_id}/runs", body(published))

    assert (refused.status_code, refused.json["code"]) == (409, "version_not_published")


@pytest.mark.parametrize(
    ("members", "pointers"),
    [
        ({"ends_at": at(10)}, {"/ends_at", "/enrollment_closes_at"}),
        ({"enrollment_closes_at": at(-1)}, {"/enrollment_closes_at"}),
        ({"enrollment_closes_at": at(41)}, {"/enrollment_closes_at"}),
        ({"access_ends_at": at(39)}, {"/access_ends_at"}),
        ({"access_ends_at": "2027-03-01"}, {"/access_ends_at"}),
        ({"starts_at": "2027-01-01T00:00:00"}, {"/starts_at"}),
        ({"price": {"amount": 1, "currency": "USD"}}, {"/price/currency"}),
        ({"price": {"amount": -1, "currency": "EUR"}}, {"/price/amount"}),
        ({"time_zone": "Europe/Atlantis"}, {"/time_zone"}),
        ({"time_zone": "../../etc/passwd"}, {"/time_zone"}),
        ({"capacity": 0}, {"/capacity"}),
        ({"state": "cancelled"}, {"/state"}),
        ({"refund_policy": [{"until": at(5), "percent": 101}]}, {"/refund_policy/0/percent"}),
        (
            {"refund_policy": [{"until": at(5), "percent": 9}, {"until": at(4), "percent": 5}]},
            {"/refund_policy"},
        ),
    ],
)
def test_a_run_that_makes_no_sense_is_refused_with_pointers(
    instructor: Api, published: Content, members: dict[str, Any], pointers: set[str]
) -> None:
    refused = instructor.post(f"/courses/{published.course_id}/runs", body(published, **members))

    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json["errors"]} == pointers


@pytest.mark.parametrize(
    ("days", "phase"),
    [
        ((1, 2, 3, 4), "upcoming"),
        ((-1, 2, 3, 4), "enrollment_open"),
        ((-2, 1, -1, 4), "enrollment_open"),
        ((-2, -1, 1, 4), "upcoming"),
        ((-3, -2, -1, 4), "in_progress"),
        ((-5, -4, -3, -1), "ended"),
    ],
)
def test_the_phase_follows_from_the_dates(
    instructor: Api, published: Content, days: tuple[int, int, int, int], phase: str
) -> None:
    names = ("enrollment_opens_at", "enrollment_closes_at", "starts_at", "ends_at")
    dates = dict(zip(names, map(at, days), strict=True))

    created = instructor.post(f"/courses/{published.course_id}/runs", body(published, **dates))

    assert created.json["phase"] == phase
    (listed,) = instructor.get(f"/courses/{published.course_id}/runs").json["items"]
    assert listed == created.json


def test_students_see_scheduled_runs_but_no_drafts(
    instructor: Api, student: Api, published: Content
) -> None:
    path = f"/courses/{published.course_id}/runs"
    scheduled = instructor.post(path, body(published)).json["id"]
    draft = instructor.post(path, body(published, state="draft")).json["id"]

    assert [one["id"] for one in student.get(path).json["items"]] == [scheduled]
    assert student.get(f"/runs/{scheduled}").status_code == 200
    assert student.get(f"/runs/{draft}").status_code == 404
    assert draft not in {one["id"] for one in student.get("/runs?limit=100").json["items"]}


def test_students_cannot_see_runs_of_a_course_outside_the_catalog(
    instructor: Api, student: Api, published: Content
) -> None:
    path = f"/courses/{published.course_id}/runs"
    instructor.post(path, body(published, state="draft"))

    assert student.get(path).status_code == 404


def test_runs_are_scheduled_and_changed_by_those_who_teach_the_course(
    colleague: Api, student: Api, admin: Api, published: Content, run: dict[str, Any]
) -> None:
    path, one = f"/courses/{published.course_id}/runs", f"/runs/{run['id']}"

    assert student.post(path, body(published)).status_code == 403
    assert student.patch(one, {"title": "Mine"}).status_code == 403
    assert colleague.post(path, body(published)).status_code == 404
    assert colleague.get(one).status_code == 404
    assert colleague.patch(one, {"title": "Mine"}).status_code == 404
    assert run["id"] not in {item["id"] for item in colleague.get("/runs").json["items"]}
    assert admin.patch(one, {"title": "Edited"}).json["title"] == "Edited"


def test_runs_are_paged(instructor: Api, published: Content) -> None:
    path = f"/courses/{published.course_id}/runs"
    made = [instructor.post(path, body(published)).json["id"] for _ in range(3)]

    first = instructor.get("/runs?limit=2").json
    second = instructor.get(f"/runs?limit=2&cursor={first['next_cursor']}").json

    assert [one["id"] for one in first["items"] + second["items"]] == made


def test_a_patch_of_a_run_changes_only_what_it_names(instructor: Api, run: dict[str, Any]) -> None:
    changed = instructor.patch(f"/runs/{run['id']}", {"price": {"amount": 0, "currency": "EUR"}})

    assert changed.json == {**run, "price": {"amount": 0, "currency": "EUR"}}
    assert changed.headers["ETag"] == '"2"'


def test_a_patch_is_checked_against_the_dates_that_stay(
    instructor: Api, run: dict[str, Any]
) -> None:
    refused = instructor.patch(f"/runs/{run['id']}", {"starts_at": at(50)})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["pointer"] == "/ends_at"


def test_access_ends_with_the_run_or_after_it_or_never(
    instructor: Api, run: dict[str, Any]
) -> None:
    path, ends_at = f"/runs/{run['id']}", run["ends_at"]
    assert run["access_ends_at"] is None

    assert instructor.patch(path, {"access_ends_at": ends_at}).json["access_ends_at"] == ends_at
    refused = instructor.patch(path, {"ends_at": at(41)})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == ["/access_ends_at"]
    assert instructor.patch(path, {"access_ends_at": None}).json["access_ends_at"] is None


def test_the_price_stays_in_the_organizations_currency(
    instructor: Api, run: dict[str, Any]
) -> None:
    refused = instructor.patch(f"/runs/{run['id']}", {"price": {"amount": 1, "currency": "JPY"}})

    assert refused.status_code == 422


def test_an_edit_of_a_stale_run_is_refused(instructor: Api, run: dict[str, Any]) -> None:
    instructor.patch(f"/runs/{run['id']}", {"title": "First"}, etag='"1"')

    assert instructor.patch(f"/runs/{run['id']}", {"title": "2"}, etag='"1"').status_code == 412


def test_taking_a_seat_does_not_change_the_runs_etag(
    instructor: Api, run: dict[str, Any], database: Database, acme: UUID
) -> None:
    take_seats(database, acme, run["id"], 2)

    read = instructor.get(f"/runs/{run['id']}")

    assert read.headers["ETag"] == '"1"'
    assert read.json["seats"] == {"capacity": 5, "taken": 2, "waitlisted": 0, "available": 3}


def test_the_capacity_cannot_go_below_the_seats_taken(
    instructor: Api, run: dict[str, Any], database: Database, acme: UUID
) -> None:
    take_seats(database, acme, run["id"], 3)
    path = f"/runs/{run['id']}"

    refused = instructor.patch(path, {"capacity": 2})

    assert (refused.status_code, refused.json["code"]) == (409, "capacity_below_taken")
    assert refused.json["taken"] == 3
    exact = instructor.patch(path, {"capacity": 3}).json["seats"]
    assert exact == {"capacity": 3, "taken": 3, "waitlisted": 0, "available": 0}
    lifted = instructor.patch(path, {"capacity": None}).json["seats"]
    assert lifted == {"capacity": None, "taken": 3, "waitlisted": 0, "available": None}


def test_the_version_can_change_until_someone_holds_a_seat(
    instructor: Api, published: Content, run: dict[str, Any], database: Database, acme: UUID
) -> None:
    second = instructor.post(f"/courses/{published.course_id}/versions", {}).json["id"]
    path = f"/runs/{run['id']}"
    unpublished = instructor.patch(path, {"version_id": second})
    assert (unpublished.status_code, unpublished.json["code"]) == (409, "version_not_published")
    instructor.post(f"/course-versions/{second}/publish")
    assert instructor.patch(path, {"version_id": second}).json["version_id"] == second

    take_seats(database, acme, run["id"], 1)
    refused = instructor.patch(path, {"version_id": str(published.version_id)})

    assert (refused.status_code, refused.json["code"]) == (409, "run_has_learners")
    assert f"POST {path}/upgrade" in refused.json["detail"]
    assert instructor.patch(path, {"title": "Still editable"}).status_code == 200


def test_a_draft_run_can_be_scheduled_and_a_scheduled_one_archived_but_not_back(
    instructor: Api, published: Content
) -> None:
    path = f"/courses/{published.course_id}/runs"
    run_id = instructor.post(path, body(published, state="draft")).json["id"]

    assert instructor.patch(f"/runs/{run_id}", {"state": "archived"}).status_code == 409
    scheduled = instructor.patch(f"/runs/{run_id}", {"state": "scheduled"})
    assert scheduled.json["state"] == "scheduled"
    back = instructor.patch(f"/runs/{run_id}", {"state": "draft"})
    assert (back.status_code, back.json["code"]) == (409, "run_state_not_allowed")
    assert back.json["allowed"] == ["archived"]
    archived = instructor.patch(f"/runs/{run_id}", {"state": "archived"})
    assert archived.json["state"] == "archived"


def test_a_run_of_another_organization_is_not_found(
    instructor: Api, database: Database, acme: UUID, globex: UUID
) -> None:
    made = make_published(database, acme, instructor.person)
    run_id = make_run(database, acme, instructor.person, made)
    stranger = Api(instructor.client, make_user(database, globex, "admin"), host="globex.localhost")

    assert stranger.get(f"/runs/{run_id}").status_code == 404


def test_an_archived_run_and_its_course_stay_readable_for_its_learners_alone(
    instructor: Api,
    student: Api,
    published: Content,
    run: dict[str, Any],
    database: Database,
    acme: UUID,
) -> None:
    stranger = Api(student.client, make_user(database, acme, "student"))
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text(
                "INSERT INTO enrollments (id, user_id, run_id, version_id, state)"
                " VALUES (:id, :user_id, :run_id, :version_id, 'active')"
            ),
            {
                "id": new_id(),
                "user_id": student.person.id,
                "run_id": UUID(run["id"]),
                "version_id": published.version_id,
            },
        )
    archived = instructor.patch(f"/runs/{run['id']}", {"state": "archived"})
    assert archived.status_code == 200

    for path in (f"/runs/{run['id']}", f"/courses/{published.course_id}"):
        assert student.get(path).status_code == 200
        assert stranger.get(path).status_code == 404
    assert run["id"] in listed(student, "/runs")
    assert run["id"] not in listed(stranger, "/runs")
    assert listed(student, f"/courses/{published.course_id}/runs") == [run["id"]]
