"""Real processes that are killed, stopped and starved: each video is published exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Row, text

from jobs.connection import connect
from lms.app import create_app
from lms.core.actor import Actor
from lms.media import transcoding
from lms.media.models import Video
from tenants.errors import DatabaseUnavailableError
from tenants.session import OrganizationScope
from tests.factories.jobs import Stack, children_of, kill_all, until
from tests.factories.media import add_video, make_clip, make_lesson
from tests.factories.people import make_user

SECONDS = 60
"""Deadline for what takes about ten."""


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough to be interrupted in the middle of its encode."""
    path = tmp_path_factory.mktemp("chaos") / "clip.mp4"
    return make_clip(path, seconds=12, size="640x360", rate=30)


@pytest.fixture(scope="session")
def stack_app(own_servers: Stack) -> Iterator[Flask]:
    app = create_app(own_servers.settings)
    yield app
    app.extensions["edge"].database.dispose()


@dataclass
class Queued:
    """A queued conversion, and questions about it."""

    stack: Stack
    scope: OrganizationScope
    video_id: UUID
    job_id: UUID
    teacher: Actor

    def job(self) -> Row[Any]:
        with self.stack.database.transaction(self.scope) as session:
            return session.execute(
                text("SELECT * FROM transcoding_jobs WHERE id = :id"), {"id": self.job_id}
            ).one()

    def work(self) -> Row[Any]:
        with self.stack.database.transaction(self.scope) as session:
            return session.execute(
                text("SELECT * FROM platform.work WHERE subject_id = :id"), {"id": self.job_id}
            ).one()

    def renditions(self) -> list[Row[Any]]:
        with self.stack.database.transaction(self.scope) as session:
            return list(
                session.execute(
                    text("SELECT * FROM video_renditions WHERE video_id = :id"),
                    {"id": self.video_id},
                )
            )

    def cpu_seconds(self) -> float | None:
        """Seconds that were accounted to the organization."""
        with self.stack.database.transaction(self.scope) as session:
            return session.execute(text("SELECT sum(seconds) FROM platform.cpu_usage")).scalar()

    def has_succeeded(self) -> bool:
        try:
            return self.job().state == "succeeded"
        except DatabaseUnavailableError:
            return False


@pytest.fixture
def queued(
    stack: Stack,
    stack_app: Flask,
    new_organization: Callable[[], UUID],
    long_clip: Path,
) -> Queued:
    organization_id = new_organization()
    teacher = make_user(stack.database, organization_id, "instructor", app=stack_app)
    lesson = make_lesson(stack.database, organization_id, teacher.id)
    video_id, job_id = add_video(
        stack.database,
        organization_id,
        storage=stack.storage,
        doorbell=stack.doorbell,
        lesson=lesson,
        creator_id=teacher.id,
        source=long_clip,
    )
    return Queued(stack, OrganizationScope(organization_id), video_id, job_id, teacher.actor)


def encoder_of(worker: subprocess.Popen[bytes]) -> int | None:
    """Return the process id of the ffmpeg that encodes below a worker."""
    for pid in children_of(worker.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command.split(b"\0")[0].rpartition(b"/")[2].startswith(b"ffmpeg") and b"hls" in command:
            return pid
    return None


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def assert_published_once(queued: Queued, *, fence: int) -> None:
    job, work = queued.job(), queued.work()
    assert (job.state, job.progress, job.fence) == ("succeeded", 100, fence)
    assert work.state == "done"
    renditions = queued.renditions()
    assert [rendition.label for rendition in renditions] == ["360p"]
    (rendition,) = renditions
    assert f"/renditions/{queued.job_id}/attempt-{fence}/" in rendition.media_key
    assert queued.stack.storage.stat(rendition.media_key).size == rendition.bytes


@pytest.mark.parametrize("with_horse", [True, False], ids=["worker and horse", "worker alone"])
def test_a_video_whose_worker_is_killed_in_mid_encode_is_finished_by_another(
    stack: Stack, queued: Queued, with_horse: bool
) -> None:
    stack.start("jobs.dispatch")
    worker = stack.start("jobs.worker", "media")
    encoder = until(lambda: encoder_of(worker), SECONDS)
    (horse, *_) = children_of(worker.pid)
    kill_all([worker.pid, horse] if with_horse else [worker.pid])
    until(lambda: is_gone(encoder), SECONDS)

    stack.start("jobs.worker", "media")

    until(queued.has_succeeded, SECONDS)
    assert_published_once(queued, fence=2)
    assert queued.job().attempt == 2


def test_a_worker_that_is_asked_to_stop_hands_its_job_back(stack: Stack, queued: Queued) -> None:
    stack.start("jobs.dispatch")
    worker = stack.start("jobs.worker", "media")
    encoder = until(lambda: encoder_of(worker), SECONDS)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SECONDS) == 0
    assert is_gone(encoder)
    work = queued.work()
    assert (work.state, work.attempts) == ("waiting", 0)

    stack.start("jobs.worker", "media")

    until(queued.has_succeeded, SECONDS)
    assert_published_once(queued, fence=2)


def test_a_worker_that_slept_through_its_lease_publishes_nothing(
    stack: Stack, queued: Queued
) -> None:
    stack.start("jobs.dispatch")
    sleeper = stack.start("jobs.worker", "media")
    until(lambda: encoder_of(sleeper), SECONDS)
    (horse, *_) = children_of(sleeper.pid)
    os.kill(horse, signal.SIGSTOP)
    stack.start("jobs.worker", "media")
    until(queued.has_succeeded, SECONDS)

    os.kill(horse, signal.SIGCONT)

    until(lambda: is_gone(horse), SECONDS)
    assert_published_once(queued, fence=2)


def test_an_encode_outlives_redis_and_postgresql(stack: Stack, queued: Queued) -> None:
    stack.start("jobs.dispatch")
    worker = stack.start("jobs.worker", "media")
    encoder = until(lambda: encoder_of(worker), SECONDS)
    stack.redis.kill()
    stack.postgres.stop("immediate")
    assert not is_gone(encoder)
    stack.postgres.start()
    stack.redis.start()

    until(queued.has_succeeded, SECONDS)

    assert_published_once(queued, fence=queued.job().fence)
    until(lambda: queued.work().state == "done", SECONDS)


def test_a_worker_lives_through_a_redis_that_is_away_while_it_idles(
    stack: Stack, queued: Queued
) -> None:
    worker = stack.start("jobs.worker", "media")
    with connect(stack.settings.redis_url, socket_timeout=5) as connection:
        until(lambda: connection.exists("rq:workers:media"), SECONDS)
    stack.redis.kill()
    stack.redis.start()
    stack.start("jobs.dispatch")
    until(queued.has_succeeded, SECONDS)
    assert worker.poll() is None
    assert_published_once(queued, fence=1)


def test_a_cancelled_encode_ends_and_its_worker_does_the_next_job(
    stack: Stack, queued: Queued
) -> None:
    stack.start("jobs.dispatch")
    worker = stack.start("jobs.worker", "media")
    encoder = until(lambda: encoder_of(worker), SECONDS)
    with stack.database.transaction(queued.scope) as session:
        transcoding.cancel(session, queued.teacher, queued.job_id)

    until(lambda: is_gone(encoder), SECONDS)

    until(lambda: queued.work().state == "done", SECONDS)
    job = queued.job()
    assert (job.state, job.error_code, queued.renditions()) == ("failed", "cancelled", [])
    until(queued.cpu_seconds, SECONDS)
    with stack.database.transaction(queued.scope) as session:
        video = session.get_one(Video, queued.video_id)
        queued.job_id = transcoding.begin_again(session, stack.doorbell, video).id
    until(queued.has_succeeded, SECONDS)
    assert_published_once(queued, fence=1)
    assert worker.poll() is None
