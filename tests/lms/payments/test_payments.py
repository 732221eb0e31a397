from __future__ import annotations

from tests.factories.money import Academy


def test_a_learner_sees_their_own_payments_newest_first(academy: Academy) -> None:
    person = academy.person(money=10_000)
    made = [academy.enroll(person, academy.run()).get_json()["payment"] for _ in range(2)]
    academy.enroll(academy.person(money=4900), academy.run())
    page = academy.get("/payments", person).get_json()
    assert page == {"items": made[::-1], "next_cursor": None}


def test_an_admin_sees_everybodys_payments_by_user_and_by_run(academy: Academy) -> None:
    admin, person, run_id = academy.person("admin"), academy.person(money=10_000), academy.run()
    payment = academy.enroll(person, run_id).get_json()["payment"]
    other = academy.enroll(person, academy.run()).get_json()["payment"]
    by_run = academy.get("/payments", admin, run_id=str(run_id)).get_json()["items"]
    by_user = academy.get("/payments", admin, user_id=str(person.id)).get_json()["items"]
    assert (by_run, by_user) == ([payment], [other, payment])


def test_only_admins_ask_for_the_payments_of_others(academy: Academy) -> None:
    person = academy.person()
    for asking in (academy.person(), academy.person("instructor")):
        assert academy.get("/payments", asking, user_id=str(person.id)).status_code == 403
    assert academy.get("/payments", person, user_id=str(person.id)).status_code == 200


def test_a_payment_is_there_for_its_learner_and_admins_alone(academy: Academy) -> None:
    person = academy.person(money=4900)
    payment = academy.enroll(person, academy.run()).get_json()["payment"]
    path = f"/payments/{payment['id']}"
    for allowed in (person, academy.person("admin")):
        assert academy.get(path, allowed).get_json() == payment
    for refused in (academy.person(), academy.person("instructor")):
        assert academy.get(path, refused).status_code == 404


def test_an_unchanged_payment_is_not_sent_again(academy: Academy) -> None:
    person = academy.person(money=4900)
    payment_id = academy.enroll(person, academy.run()).get_json()["payment"]["id"]
    etag = academy.get(f"/payments/{payment_id}", person).headers["ETag"]
    client = academy.app.test_client()
    answer = client.get(
        f"/api/v1/payments/{payment_id}",
        base_url=f"http://{academy.slug}.localhost",
        headers={**person.headers, "If-None-Match": etag},
    )
    assert answer.status_code == 304
