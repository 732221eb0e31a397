"""Redis is the doorbell only: requests that ask for work succeed without it."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import text

from tests.factories.jobs import until
from tests.factories.media import make_clip
from tests.faults.faults import Faults
from tests.faults.stand import Stand, fresh_slug
from tests.faults.videos import make_teacher

STATE = text("SELECT state FROM videos WHERE id = :id")
SLOWEST_SECONDS = 3 * 1.0
"""Threefold what the bell waits for: half a second to connect and half for an answer."""


def test_a_video_that_is_uploaded_without_redis_is_converted_when_it_is_back(
    stand: Stand, faults: Faults, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=0.6, size="64x36").read_bytes()
    slug = fresh_slug("quiet")
    teacher = make_teacher(stand, stand.make_organization(slug), slug)
    stand.redis.kill()
    began = time.monotonic()
    video_id = teacher.upload(clip)
    assert time.monotonic() - began < SLOWEST_SECONDS
    assert teacher.refusals == {}

    faults.heal()

    until(lambda: stand.rows(teacher.scope, STATE, id=video_id)[0].state == "ready", 60)
