"""Following a conversion by server-sent events, as polling would show it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from lms.config import Settings
from lms.http import event_streams
from lms.media import transcoding
from tenants.session import Database, OrganizationScope
from tests.factories.jobs import until
from tests.factories.people import Person, make_user
from tests.servers.api import serving

ACME = "http://acme.localhost"
THREADS = 4
"""As in production."""


@pytest.fixture
def job_id(uploader: Any, clip: bytes) -> UUID:
    """A conversion that waits."""
    video_id = uploader.upload(clip)["video_id"]
    return UUID(uploader.get(f"videos/{video_id}/transcoding-jobs").json["items"][0]["id"])


def address(job_id: UUID) -> str:
    return f"/api/v1/transcoding-jobs/{job_id}/events"


def follow(client: FlaskClient, person: Person, job_id: UUID, **headers: str) -> Any:
    return client.get(address(job_id), base_url=ACME, headers={**person.headers, **headers})


def read_event(parts: Iterator[bytes]) -> tuple[str, dict[str, Any]]:
    """Return name and data of the next event."""
    for part in parts:
        fields = dict(line.split(": ", 1) for line in part.decode().strip().splitlines())
        if "event" in fields:
            return fields["event"], json.loads(fields["data"])
    raise AssertionError("the stream has ended")


def test_progress_and_the_end_are_told_as_polling_shows_them(
    client: FlaskClient,
    teacher: Person,
    uploader: Any,
    job_id: UUID,
    database: Database,
    acme: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_streams, "LOOK_SECONDS", 0.01)
    answer = follow(client, teacher, job_id)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    parts = answer.iter_encoded()
    name, data = read_event(parts)
    assert (name, data) == ("progress", uploader.get(f"transcoding-jobs/{job_id}").json)
    with database.transaction(OrganizationScope(acme)) as session:
        transcoding.start(session, job_id, fence=1)
        transcoding.advance(session, job_id, 40)
    name, data = read_event(parts)
    assert (name, data["state"], data["progress"]) == ("progress", "running", 40)
    with database.transaction(OrganizationScope(acme)) as session:
        transcoding.cancel(session, teacher.actor, job_id)
    name, data = read_event(parts)
    assert (name, data) == ("ended", uploader.get(f"transcoding-jobs/{job_id}").json)
    assert list(parts) == []


def test_who_has_seen_the_end_is_told_to_stop_connecting(
    client: FlaskClient, teacher: Person, job_id: UUID, run_jobs: Callable[[UUID], None]
) -> None:
    run_jobs(job_id)
    seen = follow(client, teacher, job_id).get_data(as_text=True)
    (last,) = [line[4:] for line in seen.splitlines() if line.startswith("id: ")]
    again = follow(client, teacher, job_id, **{"Last-Event-ID": last})
    assert (again.status_code, again.data) == (204, b"")


def test_between_events_a_stream_holds_no_connection_to_the_database(
    client: FlaskClient, teacher: Person, job_id: UUID, app: Flask
) -> None:
    pool: Any = app.extensions["edge"].database.events.pool
    before = pool.checkedout()
    with follow(client, teacher, job_id) as answer:
        read_event(answer.iter_encoded())
        assert pool.checkedout() == before


def test_a_stream_ends_when_its_conversion_is_deleted(
    client: FlaskClient,
    teacher: Person,
    uploader: Any,
    job_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_streams, "LOOK_SECONDS", 0.01)
    parts = follow(client, teacher, job_id).iter_encoded()
    read_event(parts)
    lesson = f"/api/v1/lessons/{uploader.lesson.id}"
    headers = {**teacher.headers, "If-Match": "*"}
    assert client.delete(lesson, base_url=ACME, headers=headers).status_code == 204
    assert [part for part in parts if b"event" in part] == []


def test_only_who_teaches_the_course_may_follow_it(
    client: FlaskClient,
    job_id: UUID,
    database: Database,
    acme: UUID,
    app: Flask,
    run_jobs: Callable[[UUID], None],
) -> None:
    run_jobs(job_id)
    statuses = {}
    for account_type in ("student", "instructor", "admin"):
        person = make_user(database, acme, account_type, app=app)
        with follow(client, person, job_id) as answer:
            statuses[account_type] = answer.status_code
    assert statuses == {"student": 403, "instructor": 404, "admin": 200}


@contextmanager
def asked(port: int, path: str, headers: dict[str, str]) -> Iterator[HTTPResponse]:
    """Ask the served API, and leave."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": "acme.localhost", **headers})
        yield connection.getresponse()
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()


def test_however_many_ask_for_streams_the_api_answers_and_who_leaves_makes_room(
    job_id: UUID, teacher: Person, settings: Settings, tmp_path: Path
) -> None:
    with serving(settings, tmp_path / "api.log", threads=THREADS) as port:

        def status_of(path: str) -> int:
            with asked(port, path, teacher.headers) as answer:
                return answer.status

        with ExitStack() as streams:
            stream = streams.enter_context(asked(port, address(job_id), teacher.headers))
            assert stream.status == 200
            assert stream.readline() == b"retry: 2000\n"
            for _ in range(2 * THREADS):
                with asked(port, address(job_id), teacher.headers) as refused:
                    assert refused.status == 503
                    assert refused.getheader("Retry-After")
                    assert json.loads(refused.read())["code"] == "streams_busy"
            assert status_of(f"/api/v1/transcoding-jobs/{job_id}") == 200
        until(lambda: status_of(address(job_id)) == 200, 30)
