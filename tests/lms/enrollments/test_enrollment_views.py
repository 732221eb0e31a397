from __future__ import annotations

from lms.core.ids import new_id
from tests.factories.money import Academy


def test_a_learner_lists_their_own_enrollments_by_run_and_state(academy: Academy) -> None:
    person, runs = academy.person(), [academy.run(price=0) for _ in range(2)]
    made = [academy.enroll(person, run, "free").get_json()["enrollment"] for run in runs]
    academy.enroll(academy.person(), runs[0], "free")
    assert academy.get("/enrollments", person).get_json()["items"] == made[::-1]
    by_run = academy.get("/enrollments", person, run_id=str(runs[0])).get_json()["items"]
    assert by_run == made[:1]
    assert academy.get("/enrollments", person, state="withdrawn").get_json()["items"] == []
    assert academy.get("/enrollments", person, state="dreaming").status_code == 422


def test_an_enrollment_is_seen_by_its_learner_those_who_teach_it_and_admins(
    academy: Academy,
) -> None:
    person, teacher = academy.person(), academy.person("instructor")
    run_id = academy.run(price=0, teacher=teacher)
    enrollment = academy.enroll(person, run_id, "free").get_json()["enrollment"]
    path = f"/enrollments/{enrollment['id']}"
    for allowed in (person, teacher, academy.person("admin")):
        assert academy.get(path, allowed).get_json() == enrollment
    for refused in (academy.person(), academy.person("instructor")):
        assert academy.get(path, refused).status_code == 404


def test_who_is_in_a_run_is_seen_by_those_who_teach_it_and_admins(academy: Academy) -> None:
    teacher = academy.person("instructor")
    run_id = academy.run(price=0, teacher=teacher)
    made = [
        academy.enroll(academy.person(), run_id, "free").get_json()["enrollment"] for _ in range(2)
    ]
    path = f"/runs/{run_id}/enrollments"
    for allowed in (teacher, academy.person("admin")):
        assert academy.get(path, allowed).get_json()["items"] == made
    assert academy.get(path, teacher, state="completed").get_json()["items"] == []
    assert academy.get(path, academy.person("instructor")).status_code == 404
    assert academy.get(path, academy.person()).status_code == 403
    assert academy.get(f"/runs/{new_id()}/enrollments", teacher).status_code == 404
