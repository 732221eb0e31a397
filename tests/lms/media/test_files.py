"""Signed bytes of the local store over HTTP."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.core.storage.base import Storage
from lms.core.storage.claims import ReadClaim
from lms.core.storage.local import LocalStorage
from tenants.session import PLATFORM, Database

BASE = "http://acme.localhost/api/v1"
DATA = bytes(range(256)) * 8


@pytest.fixture
def storage(app: Flask) -> LocalStorage:
    storage = app.extensions["edge"].services.get(Storage)
    assert isinstance(storage, LocalStorage)
    return storage


@pytest.fixture
def key(acme: UUID, storage: LocalStorage) -> str:
    key = f"o/{acme}/asset/original"
    storage.write(key, DATA, content_type="video/mp4")
    return key


@pytest.fixture
def url(storage: LocalStorage, key: str) -> str:
    return storage.signed_url(key, expires_in=timedelta(minutes=1), base_url=BASE)


def get(client: FlaskClient, url: str, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(url, headers=named, buffered=True)


def test_a_signed_address_needs_no_sign_in(client: FlaskClient, url: str) -> None:
    answer = get(client, url)
    assert (answer.status_code, answer.data) == (200, DATA)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "told", "expected"),
    [
        ("bytes=0-9", "bytes 0-9/2048", DATA[:10]),
        ("bytes=2000-", "bytes 2000-2047/2048", DATA[2000:]),
        ("bytes=-5", "bytes 2043-2047/2048", DATA[-5:]),
    ],
)
def test_a_range_is_answered_with_just_those_bytes(
    client: FlaskClient, url: str, asked: str, told: str, expected: bytes
) -> None:
    answer = get(client, url, Range=asked)
    assert (answer.status_code, answer.data) == (206, expected)
    assert answer.headers["Content-Range"] == told


def test_a_range_behind_the_end_is_refused(client: FlaskClient, url: str) -> None:
    assert get(client, url, Range="bytes=5000-").status_code == 416


def test_what_the_client_has_already_is_not_sent_again(client: FlaskClient, url: str) -> None:
    tag = get(client, url).headers["ETag"]
    answer = get(client, url, If_None_Match=tag)
    assert (answer.status_code, answer.data) == (304, b"")


def test_other_bytes_than_the_client_means_are_a_problem(client: FlaskClient, url: str) -> None:
    answer = get(client, url, If_Match='"other"')
    assert (answer.status_code, answer.mimetype) == (412, "application/problem+json")
    assert get(client, url, If_Match=get(client, url).headers["ETag"]).status_code == 200


def test_an_altered_address_is_not_found(client: FlaskClient, url: str) -> None:
    # The last character carries padding bits, which base64 ignores: alter one that counts.
    altered = url[:-2] + ("A" if url[-2] != "A" else "B") + url[-1]
    assert get(client, altered).status_code == 404


def test_an_expired_address_is_not_found(
    client: FlaskClient, storage: LocalStorage, key: str
) -> None:
    expired = storage._signer.sign(ReadClaim(key, expires_at=1))
    assert get(client, f"{BASE}/files/{expired}").status_code == 404


def test_an_address_of_one_organization_does_not_work_on_anothers_host(
    client: FlaskClient, url: str, globex: UUID
) -> None:
    elsewhere = url.replace("acme.localhost", "globex.localhost")
    assert get(client, elsewhere).status_code == 404


def test_an_address_for_reading_cannot_write(client: FlaskClient, url: str) -> None:
    assert client.put(url, data=b"x").status_code == 404


def test_a_suspended_organization_serves_no_bytes(
    client: FlaskClient,
    storage: LocalStorage,
    database: Database,
    make_organization,
) -> None:
    organization_id = make_organization("paused")
    key = f"o/{organization_id}/a/original"
    storage.write(key, DATA, content_type="video/mp4")
    base_url = "http://paused.localhost/api/v1"
    url = storage.signed_url(key, expires_in=timedelta(minutes=1), base_url=base_url)
    assert get(client, url).status_code == 200
    with database.transaction(PLATFORM) as session:
        session.execute(
            text("UPDATE platform.organizations SET state = 'suspended' WHERE id = :id"),
            {"id": organization_id},
        )
    assert get(client, url).status_code == 404


def test_the_document_says_what_reading_with_ranges_and_conditions_answers(app: Flask) -> None:
    document = app.extensions["flask-smorest"]["apis"]["TENANT_"]["ext_obj"].spec.to_dict()
    path = document["paths"]["/api/v1/files/{token}"]["get"]
    assert {"200", "206", "304", "412", "416"} <= {str(status) for status in path["responses"]}
    headers = {item["name"] for item in path["parameters"] if item["in"] == "header"}
    assert headers == {"Range", "If-Match", "If-Range", "If-None-Match"}


def test_a_player_of_another_origin_may_read_ranges(client: FlaskClient, url: str) -> None:
    answer = get(client, url, Range="bytes=0-1")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"Accept-Ranges", "Content-Range", "ETag"} <= exposed
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_what_could_run_in_a_browser_is_never_shown_inline(
    client: FlaskClient, storage: LocalStorage, acme: UUID
) -> None:
    key = f"o/{acme}/page/original"
    storage.write(key, b"<script>alert(1)</script>", content_type="text/html")
    url = storage.signed_url(key, expires_in=timedelta(minutes=1), base_url=BASE)
    answer = get(client, url)
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.fixture
def part_url(storage: LocalStorage, acme: UUID) -> str:
    key = f"o/{acme}/upload/original"
    upload_id = storage.begin_upload(key, size=2_000_000, content_type="video/mp4")
    (part,) = storage.upload_parts(
        key, upload_id, size=2_000_000, expires_in=timedelta(minutes=1), base_url=BASE
    )
    return part.url


def test_a_part_may_be_larger_than_a_json_body(client: FlaskClient, part_url: str) -> None:
    assert client.put(part_url, data=b"x" * 2_000_000).status_code == 204


@pytest.mark.parametrize("size", [1_999_999, 2_000_001, 2_000_002, 9_000_000])
def test_a_part_of_another_size_is_refused(client: FlaskClient, part_url: str, size: int) -> None:
    answer = client.put(part_url, data=b"x" * size)
    assert answer.status_code == 400
    assert answer.json is not None
    assert (answer.json["code"], answer.json["size"]) == ("wrong_part_size", 2_000_000)
