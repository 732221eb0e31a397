"""Two cohorts on two versions of one course, edited while both run: from end to end over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.academy import Member, OnlineAcademy, run_members

PRICE = 4900
LESSONS = ("Grinding", "Brewing", "Milk")


def write_course(teacher: Member) -> dict[str, Any]:
    """Author and publish the first version; gives course, version and lessons by title."""
    course = teacher.post(
        "/courses", {"title": "Espresso from Bean to Cup", "summary": "By hand."}, expect=201
    )
    version = teacher.post(f"/courses/{course['id']}/versions", {}, expect=201)
    path = f"/course-versions/{version['id']}"
    module = teacher.post(f"{path}/modules", {"title": "Basics", "summary": ""}, expect=201)
    for title in LESSONS:
        add_lesson(teacher, module["id"], title)
    teacher.post(f"{path}/publish")
    return {"id": course["id"], "version_id": version["id"]}


def add_lesson(teacher: Member, module_id: str, title: str) -> dict[str, Any]:
    lesson = {"kind": "text", "title": title, "content": f"All about **{title.lower()}**."}
    return teacher.post(f"/modules/{module_id}/lessons", lesson, expect=201)


def lessons_of(person: Member, version_id: str) -> dict[str, str]:
    """The lessons of a version that somebody may read: title to id."""
    outline = person.get(f"/course-versions/{version_id}/outline")
    return {
        lesson["title"]: lesson["id"]
        for module in outline["modules"]
        for lesson in module["lessons"]
    }


def publish_next(teacher: Member, course_id: str) -> str:
    """Edit a copy of the latest version while others learn in it; gives the new one."""
    draft = teacher.post(f"/courses/{course_id}/versions", {"label": "With tasting"}, expect=201)
    path = f"/course-versions/{draft['id']}"
    (module,) = teacher.get(f"{path}/modules")["items"]
    add_lesson(teacher, module["id"], "Tasting")
    (grinding,) = [
        one
        for one in teacher.get(f"/modules/{module['id']}/lessons")["items"]
        if one["title"] == "Grinding"
    ]
    teacher.patch(f"/lessons/{grinding['id']}", {"content": "Finer than you think."})
    teacher.post(f"{path}/publish")
    return draft["id"]


def schedule(teacher: Member, course_id: str, version_id: str, title: str, capacity: int) -> str:
    members = run_members(version_id, title, price=PRICE, capacity=capacity)
    return teacher.post(f"/courses/{course_id}/runs", members, expect=201)["id"]


def test_two_cohorts_on_two_versions(online: Callable[[], OnlineAcademy]) -> None:
    academy = online()
    teacher, admin = academy.person("instructor"), academy.person("admin")
    course = write_course(teacher)
    first_version = course["version_id"]
    morning = schedule(teacher, course["id"], first_version, "Morning cohort", 2)

    # The morning cohort fills up, and two wait for it.
    ada, ben = academy.person(money=PRICE), academy.person(money=PRICE)
    ada_id, ben_id = ada.enroll(morning)["id"], ben.enroll(morning)["id"]
    cleo, dan = academy.person(money=PRICE), academy.person(money=PRICE)
    full = {"payment": {"method": "wallet"}}
    assert cleo.post(f"/runs/{morning}/enrollments", full, expect=409)["code"] == "run_full"
    cleo_id = cleo.enroll(morning, wait=True, pay_automatically=True, expect=202)["id"]
    dan_id = dan.enroll(morning, wait=True, expect=202)["id"]
    assert dan.get(f"/enrollments/{dan_id}/place")["position"] == 2

    # While it learns, the course is edited; the evening cohort gets the second version.
    lessons = lessons_of(ada, first_version)
    for title in ("Grinding", "Brewing"):
        ada.open(ada_id, lessons[title])
    ben.open(ben_id, lessons["Grinding"])
    second_version = publish_next(teacher, course["id"])
    assert lessons_of(ada, first_version) == lessons
    evening = schedule(teacher, course["id"], second_version, "Evening cohort", 3)
    eve = academy.person()
    eve_id = eve.enroll(evening, "provider", token="tok_success")["id"]
    assert set(lessons_of(eve, second_version)) == {*LESSONS, "Tasting"}

    # Ben goes over to the evening, and Cleo has the seat and has paid for it.
    moved = teacher.post(
        f"/enrollments/{ben_id}/transfer",
        {"run_id": evening, "reason": "Works in the mornings now."},
        expect=201,
    )
    assert (moved["percent"], moved["version_id"]) == (25, second_version)
    assert ben.enrollment(ben_id)["state"] == "transferred"
    assert academy.eventually(lambda: cleo.enrollment(cleo_id)["state"] == "active")
    assert cleo.balance() == 0
    assert dan.get(f"/enrollments/{dan_id}/place")["position"] == 1

    # The morning is upgraded, after a look at what that does to everybody.
    upgrade = {"target_version_id": second_version, "policy": "all"}
    foreseen = teacher.post(f"/runs/{morning}/upgrade", {**upgrade, "dry_run": True})
    effects = {
        effect["enrollment_id"]: (effect["percent_before"], effect["percent_after"])
        for effect in foreseen["effects"]
    }
    assert effects == {ada_id: (66, 50), cleo_id: (0, 0), dan_id: (0, 0)}
    assert ada.enrollment(ada_id)["percent"] == 66
    done = teacher.post(f"/runs/{morning}/upgrade", {**upgrade, "dry_run": False})
    assert (done["counts"], done["effects"]) == (foreseen["counts"], foreseen["effects"])
    assert ada.enrollment(ada_id)["percent"] == 50

    # Cleo leaves, gets all of it back, and Dan accepts the seat that he is offered.
    assert cleo.post(f"/enrollments/{cleo_id}/withdraw")["refund"]["amount"]["amount"] == PRICE
    academy.eventually(lambda: dan.enrollment(dan_id)["awaiting"] == "offer")
    dan.post(f"/enrollments/{dan_id}/accept", {"payment": {"method": "wallet"}}, expect=201)
    assert (dan.enrollment(dan_id)["state"], dan.balance()) == ("active", 0)

    # The evening is cancelled: Ben's money came with him, Eve paid by card.
    admin.post(f"/runs/{evening}/cancel", {"reason": "The roaster is being repaired."}, expect=202)
    academy.eventually(lambda: admin.get(f"/runs/{evening}")["enrollments_left"] == 0)
    assert ben.enrollment(moved["id"])["state"] == "withdrawn"
    assert (ben.balance(), cleo.balance()) == (PRICE, PRICE)
    eve_payment = eve.enrollment(eve_id)["payment_id"]
    academy.eventually(
        lambda: eve.get(f"/payments/{eve_payment}")["refunded_amount"]["amount"] == PRICE
    )

    # The morning goes on to its end.
    lessons = lessons_of(ada, second_version)
    ada.open(ada_id, lessons["Milk"])
    assert ada.open(ada_id, lessons["Tasting"])["state"] == "completed"
    history = [change["reason"] for change in ada.get(f"/enrollments/{ada_id}/changes")["items"]]
    assert history == ["paid", "all_required_lessons_done"]
    academy.assert_books_balance()
