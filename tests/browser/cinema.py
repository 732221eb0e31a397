"""A running academy with a video to watch, made over HTTP and by a page of another origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.browser.chromium import Player
from tests.e2e.academy import Member, OnlineAcademy, run_members

CLIP_SECONDS = 21
CLIP_SIZE = "640x480"
HEIGHTS = (360, 480)
"""Of the renditions that become of it."""


@dataclass(frozen=True)
class Cinema:
    """A published course of one video, and who teaches it.

    Attributes:
        academy: where.
        teacher: who made it.
        run_id: where learners enroll.
        video_id: what they watch.
    """

    academy: OnlineAcademy
    teacher: Member
    run_id: str
    video_id: str

    @property
    def origin(self) -> str:
        """Where the API is."""
        return f"http://{self.academy.authority}"

    @property
    def media_origin(self) -> str:
        """Where the bytes come from."""
        return self.academy.stand.settings.s3_endpoint_url or self.origin


@dataclass(frozen=True)
class Learner:
    """Somebody who may watch the video, by an enrollment of theirs."""

    cinema: Cinema
    member: Member
    enrollment_id: str

    def ask_playback(self, *, expect: int = 200) -> dict[str, Any]:
        """Ask for links."""
        return self.member.get(f"/videos/{self.cinema.video_id}/playback", expect=expect)


def open_cinema(academy: OnlineAcademy, page: Player, clip_size: int) -> Cinema:
    """Write a course, let the page upload its clip, and publish it once that can be played.

    Args:
        academy: where.
        page: has the clip.
        clip_size: its bytes.
    """
    teacher = academy.person("instructor")
    course = teacher.post("/courses", {"title": "Knife Skills", "summary": ""}, expect=201)
    version = teacher.post(f"/courses/{course['id']}/versions", {}, expect=201)
    path = f"/course-versions/{version['id']}"
    module = teacher.post(f"{path}/modules", {"title": "Knives", "summary": ""}, expect=201)
    lesson = teacher.post(
        f"/modules/{module['id']}/lessons", {"kind": "video", "title": "The grip"}, expect=201
    )
    video_id = _upload(teacher, lesson["id"], page, clip_size)
    academy.eventually(lambda: teacher.get(f"/videos/{video_id}")["state"] == "ready")
    teacher.post(f"{path}/publish")
    members = run_members(version["id"], "Evenings", price=0, capacity=20)
    run = teacher.post(f"/courses/{course['id']}/runs", members, expect=201)
    return Cinema(academy, teacher, run["id"], video_id)


def enroll(cinema: Cinema) -> Learner:
    """Enroll somebody new."""
    member = cinema.academy.person()
    return Learner(cinema, member, member.enroll(cinema.run_id, "free")["id"])


def _upload(teacher: Member, lesson_id: str, page: Player, size: int) -> str:
    body = {"file_name": "clip.mp4", "content_type": "video/mp4", "size": size}
    begun = teacher.post(f"/lessons/{lesson_id}/media-files", body, expect=201)
    statuses = page.see("sendParts(arguments[0])", begun["upload"]["parts"])
    assert set(statuses) <= {200, 204}, statuses
    return teacher.post(f"/media-files/{begun['id']}/complete", expect=202)["video_id"]
