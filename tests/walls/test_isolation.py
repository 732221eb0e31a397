"""Nothing crosses between organizations: every route of the url map, and it must know them all."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from lms.http.blueprint import Operation
from tests.factories.archives import opened
from tests.factories.twins import TwinIds, World

PLAIN_ENDPOINTS = {"openapi", "docs", "home", "docs_asset", "healthz", "readyz"}
"""Routes that declare nothing, and so get no session and no organization."""

SIGNED = {"token": "not-a-token", "label": "720p", "provider_name": "sandbox"}
"""Path parameters that are not ids of rows."""

LESSON = {"kind": "text", "title": "Checklist", "completion": {"rule": "viewed"}}
BODIES: dict[str, Any] = {
    "login": {"email": "nobody@example.com", "password": "a long enough password"},
    "refreshTokens": {"refresh_token": "not-a-token"},
    "logout": None,
    "acceptInvitation": {"token": "not-a-token", "password": "a long enough password"},
    "updateMe": {"name": "New name"},
    "createUser": {"email": "new@example.com", "name": "New", "account_type": "student"},
    "updateUser": {"name": "New name"},
    "createCourse": {"title": "New course"},
    "updateCourse": {"title": "New title"},
    "deleteCourse": None,
    "createCourseVersion": {},
    "importCourseVersion": None,
    "publishCourseVersion": None,
    "archiveCourseVersion": None,
    "createModule": {"title": "New module"},
    "updateModule": {"title": "New title"},
    "deleteModule": None,
    "createLesson": LESSON,
    "replaceLesson": LESSON,
    "updateLesson": {"title": "New title"},
    "deleteLesson": None,
    "setContentOrder": {"modules": []},
    "duplicateModule": None,
    "duplicateLesson": None,
    "addCourseInstructor": None,
    "removeCourseInstructor": None,
    "createMediaFile": {"file_name": "a.pdf", "content_type": "application/pdf", "size": 10},
    "deleteMediaFile": None,
    "completeMediaFile": None,
    "createTranscodingJob": None,
    "createVideoCaption": {
        "language": "de",
        "kind": "subtitles",
        "label": "Deutsch",
        "content": "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGuten Morgen\n",
    },
    "updateVideoCaption": {"label": "English"},
    "deleteVideoCaption": None,
    "cancelTranscodingJob": None,
    "updateTranscodingSettings": {"longest_video_seconds": 3600},
    "createCourseRun": None,  # filled in below: it names a version
    "updateRun": {"title": "New title"},
    "rerunCourseRun": None,  # filled in below: it has dates
    "cancelRun": {"reason": "The instructor has fallen ill."},
    "upgradeRun": {"target_version_id": str(uuid4()), "policy": "all"},
    "enrollInRun": {"payment": {"method": "wallet"}},
    "withdrawEnrollment": None,
    "enrollLearner": {"user_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33", "reason": "Invoice"},
    "importLearners": {"csv": "email\nada@example.com\n", "mode": "partial", "reason": "Invoice"},
    "suspendEnrollment": {"reason": "Asked for a pause"},
    "reinstateEnrollment": {"reason": "Is back"},
    "reopenEnrollment": {"reason": "One lesson was missed"},
    "extendEnrollment": {"until": "2099-01-01T00:00:00Z", "reason": "Was ill"},
    "transferEnrollment": {"run_id": str(uuid4()), "reason": "Another cohort"},
    "acceptOfferedSeat": {"payment": {"method": "wallet"}},
    "approveEnrollment": None,
    "declineEnrollment": {"reason": "Not in this team"},
    "recordLessonProgress": {"viewed": True},
    "markLessonComplete": {"reason": "Attended"},
    "markLessonCompleteForMany": {
        "reason": "Attended",
        "enrollment_ids": ["01935b80-11aa-7d02-b3c4-9a7e5d1f2c33"],
    },
    "topUpWallet": {"amount": {"amount": 100, "currency": "EUR"}, "token": "tok_success"},
    "adjustUserWallet": {"amount": {"amount": 100, "currency": "EUR"}, "reason": "Cash"},
    "createCreditGrant": {
        "amount": {"amount": 100, "currency": "EUR"},
        "reason": "Scholarship",
        "learners": ["nobody@example.com"],
    },
    "importCreditGrant": None,
    "createCoupon": {"code": "NEW-COUPON", "percent_off": 10},
    "updateCoupon": {"is_active": False},
    "deleteCoupon": None,
    "refundPayment": {},
    "putPaymentAccount": {
        "publishable_key": "pk_test_1",
        "secret_key": "sk_test_1",
        "webhook_secret": "whsec_1",
    },
    "deletePaymentAccount": None,
    "receiveWebhook": {},
    "writeFilePart": None,
}
"""A valid body for every write: a route that is missing here fails the test."""


def operations(app: Flask, side: str) -> list[tuple[Rule, str, Operation]]:
    found = []
    for rule in app.url_map.iter_rules():
        operation = getattr(app.view_functions[rule.endpoint], "operation", None)
        if operation is not None and operation.side == side:
            method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
            found.append((rule, method, operation))
    return found


def path_of(app: Flask, rule: Rule, ids: TwinIds) -> str:
    known = {**ids.as_dict(), **SIGNED, "organization_id": uuid4()}
    known["transcoding_job_id"] = ids.job_id
    if rule.rule.endswith(("/modules", "/order", "<uuid:version_id>/lessons", "/diff")):
        known["version_id"] = ids.draft_id  # content is edited in the draft
    if "/payment-accounts/" in rule.rule:
        known["provider_name"] = "stripe"
    unknown = rule.arguments - set(known)
    assert not unknown, f"{rule.rule} has path parameters that this test does not know: {unknown}"
    built = rule.build({name: known[name] for name in rule.arguments})
    assert built is not None
    return built[1]


def call(
    client: FlaskClient, host: str, token: str | None, method: str, path: str, body: Any = None
) -> Any:
    headers = {"Idempotency-Key": str(uuid4()), "If-Match": '"1"'}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    options: dict[str, Any] = {} if body is None else {"json": body}
    return client.open(path, method=method, base_url=f"http://{host}", headers=headers, **options)


def body_for(operation: Operation, method: str, ids: TwinIds) -> Any:
    if method == "GET":
        return None
    assert operation.id in BODIES, f"{operation.id} is a write that this test does not know"
    if operation.id in ("createCourseRun", "rerunCourseRun"):
        return {
            "version_id": str(ids.version_id),
            "title": "Another cohort",
            "enrollment_opens_at": "2027-01-01T00:00:00Z",
            "enrollment_closes_at": "2027-02-01T00:00:00Z",
            "starts_at": "2027-02-01T00:00:00Z",
            "ends_at": "2027-03-01T00:00:00Z",
            "price": {"amount": 0, "currency": "EUR"},
        }
    return BODIES[operation.id]


def test_every_route_either_declares_its_organization_or_is_known_to_need_none(app: Flask) -> None:
    undeclared = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "operation", None) is None
    }
    assert undeclared == PLAIN_ENDPOINTS


def test_without_a_token_every_private_route_is_401(
    app: Flask, client: FlaskClient, world: World
) -> None:
    for rule, method, operation in operations(app, "tenant"):
        if operation.roles:
            path = path_of(app, rule, world.shared)
            body = body_for(operation, method, world.shared)
            answer = call(client, world.globex.host, None, method, path, body)
            assert answer.status_code == 401, f"{method} {rule.rule}"


@pytest.mark.parametrize("role", ["student", "instructor", "admin"])
def test_acmes_tokens_are_worth_nothing_on_globexs_host(
    app: Flask, client: FlaskClient, world: World, role: str
) -> None:
    for rule, method, operation in operations(app, "tenant"):
        if operation.roles:
            path = path_of(app, rule, world.shared)
            body = body_for(operation, method, world.shared)
            token = world.acme.tokens[role]
            answer = call(client, world.globex.host, token, method, path, body)
            assert answer.status_code == 401, f"{method} {rule.rule}"


def test_acmes_refresh_token_is_worth_nothing_on_globexs_host(
    client: FlaskClient, world: World
) -> None:
    token = world.acme.tokens["student refresh"]
    answer = call(
        client,
        world.globex.host,
        None,
        "POST",
        "/api/v1/auth/refresh",
        {"refresh_token": token},
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("host", ["nobody.localhost", "admin.localhost", "acme.example.com"])
def test_hosts_that_are_nobodys_answer_404_to_every_route(
    app: Flask, client: FlaskClient, world: World, host: str
) -> None:
    for rule, method, operation in operations(app, "tenant"):
        path = path_of(app, rule, world.shared)
        body = body_for(operation, method, world.shared)
        answer = call(client, host, world.acme.tokens["admin"], method, path, body)
        assert answer.status_code == 404, f"{method} {rule.rule}"


@pytest.mark.parametrize("role", ["student", "instructor", "admin"])
def test_globexs_people_find_nothing_under_ids_of_acme(
    app: Flask, client: FlaskClient, world: World, role: str
) -> None:
    for rule, method, operation in operations(app, "tenant"):
        if not rule.arguments - set(SIGNED):
            continue
        path = path_of(app, rule, world.acme_only)
        body = body_for(operation, method, world.acme_only)
        token = world.globex.tokens[role]
        answer = call(client, world.globex.host, token, method, path, body)
        assert answer.status_code in (403, 404), f"{method} {rule.rule}: {answer.status_code}"
        assert answer.status_code == 404 or role not in operation.roles, f"{method} {rule.rule}"


MARKLESS = {
    *("readFile", "getMasterPlaylist", "getRenditionPlaylist", "getThumbnails"),
    *("getCaptionPlaylist", "getCaptionTrack"),
    *("downloadMediaFile", "getMediaFileDownload"),
}
"""Reads whose address must be signed (404 here), or whose answer is nothing but such an address."""


def bears(text: str, mark: int) -> bool:
    """Tell whether a text has the number by itself; ids are random digits of base 16."""
    return re.search(rf"(?<![0-9a-f]){mark}(?![0-9a-f])", text) is not None


def text_of(answer: Any) -> str:
    """Return what an answer says, also inside an archive."""
    if answer.mimetype == "application/zip":
        return json.dumps(opened(answer.data), ensure_ascii=False)
    return answer.get_data(as_text=True)


def test_the_same_ids_show_each_organization_its_own_rows_and_never_the_others(
    app: Flask, client: FlaskClient, world: World
) -> None:
    for rule, method, operation in operations(app, "tenant"):
        if method != "GET":
            continue
        path = path_of(app, rule, world.shared)
        for mine, other in ((world.acme, world.globex), (world.globex, world.acme)):
            seen = ""
            for role in ("student", "instructor", "admin"):
                # Closed at once: an organization has one stream of events at a time.
                with call(client, mine.host, mine.tokens[role], method, path) as answer:
                    assert answer.status_code < 500, rule.rule
                    seen += text_of(answer) + str(answer.headers)
            assert other.canary not in seen, rule.rule
            assert not bears(seen, other.mark), rule.rule
            shows = mine.canary in seen or bears(seen, mine.mark)
            assert shows is (operation.id not in MARKLESS), rule.rule


def test_platform_routes_do_not_exist_on_organizations_hosts(
    app: Flask, client: FlaskClient, world: World
) -> None:
    for rule, method, _operation in operations(app, "platform"):
        path = path_of(app, rule, world.shared)
        answer = call(client, world.acme.host, world.acme.tokens["admin"], method, path)
        assert answer.status_code == 404, f"{method} {rule.rule}"


def test_organizations_tokens_are_worth_nothing_on_the_platforms_host(
    app: Flask, client: FlaskClient, world: World
) -> None:
    for rule, method, operation in operations(app, "platform"):
        if operation.roles:
            path = path_of(app, rule, world.shared)
            answer = call(client, "admin.localhost", world.acme.tokens["admin"], method, path)
            assert answer.status_code == 401, f"{method} {rule.rule}"
