"""The student's part: pay from the wallet, watch, and complete every lesson."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import av

from lms.sample import content
from lms.sample.client import ApiClient, UnexpectedAnswerError

if TYPE_CHECKING:
    from lms.sample.walk import Walk

BYTE_RANGE = re.compile(r'#EXT-X-BYTERANGE:(\d+)@(\d+)|BYTERANGE="(\d+)@(\d+)"')
MEDIA_LINE = re.compile(r"^(?!#)\S+$", re.MULTILINE)


class UndecodableError(Exception):
    """A rendition came over the wire but does not play."""


def study(walk: Walk, course: dict[str, str]) -> dict[str, Any]:
    """Enroll, watch and complete the course.

    Returns:
        `wallet` before and after, `renditions`, `enrollment` and the `ids` that were made.
    """
    student = walk.signed_in(content.ACME, "student")
    with walk.step("top up the wallet and enroll, paid from it"):
        bought = walk.once("bought", lambda: _buy(walk, student, course))
    with walk.step("fetch the playlists and decode every rendition"):
        renditions = _watch(walk, student, course["video"])
    with walk.step("report progress until the course is completed"):
        progress = _complete(student, bought["enrollment"], course["video_lesson"])
    return {
        "wallet": bought["wallet"],
        "renditions": renditions,
        "enrollment": {"state": progress["state"], "percent": progress["percent"]},
        "ids": {
            "enrollment": bought["enrollment"],
            "payment": bought["payment"],
            "top_up": bought["top_up"],
        },
    }


def _buy(walk: Walk, student: ApiClient, course: dict[str, str]) -> dict[str, Any]:
    currency = content.ACME.currency
    top_up = student.post(
        "/wallet/top-ups",
        {
            "amount": {"amount": content.TOP_UP_MINOR_UNITS, "currency": currency},
            "token": "tok_success",
        },
        key=walk.key("top-up"),
    )
    before = student.get("/wallet")["balance"]
    enrollment = student.post(
        f"/runs/{course['run']}/enrollments",
        {"payment": {"method": "wallet"}},
        key=walk.key("enroll"),
    )
    return {
        "top_up": top_up["id"],
        "enrollment": enrollment["id"],
        "payment": enrollment["payment_id"],
        "wallet": {"before": before, "after": student.get("/wallet")["balance"]},
    }


def _watch(walk: Walk, student: ApiClient, video_id: str) -> list[dict[str, Any]]:
    playback = student.get(f"/videos/{video_id}/playback")
    master = student.fetch(playback["master_url"]).decode()
    uris = MEDIA_LINE.findall(master)
    if len(uris) != len(playback["renditions"]):
        raise UnexpectedAnswerError("the master playlist does not name every rendition")
    watched = []
    for rendition in playback["renditions"]:
        size = _download(walk, student, rendition)
        watched.append(
            {key: rendition[key] for key in ("label", "width", "height", "bandwidth")}
            | {"bytes": size}
        )
    return watched


def _download(walk: Walk, student: ApiClient, rendition: dict[str, Any]) -> int:
    playlist = student.fetch(rendition["playlist_url"]).decode()
    media_url = MEDIA_LINE.findall(playlist)[0]
    path = walk.folder / f"{rendition['label']}.mp4"
    with path.open("wb") as file:
        for found in BYTE_RANGE.finditer(playlist):
            length, offset = (int(number) for number in found.groups() if number is not None)
            file.seek(offset)
            file.write(student.fetch(media_url, byte_range=(offset, offset + length - 1)))
    _decode(path, rendition)
    return path.stat().st_size


def _decode(path: Any, rendition: dict[str, Any]) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        shapes = {(frame.width, frame.height) for frame in container.decode(stream)}
    if shapes != {(rendition["width"], rendition["height"])}:
        raise UndecodableError(f"{rendition['label']} decodes to {shapes or 'nothing'}")


def _complete(student: ApiClient, enrollment_id: str, video_lesson_id: str) -> dict[str, Any]:
    progress = student.get(f"/enrollments/{enrollment_id}/progress")
    for lesson in progress["lessons"]:
        if lesson["completed_at"] is not None:
            continue
        report: dict[str, Any] = {"viewed": True}
        if lesson["lesson_id"] == video_lesson_id:
            end = int(lesson["duration_seconds"]) + 1
            report = {"watched": [[0, end]], "position_seconds": lesson["duration_seconds"]}
        elif lesson["rule"] == "marked_by_learner":
            report = {"completed": True}
        student.put(f"/enrollments/{enrollment_id}/lessons/{lesson['lesson_id']}/progress", report)
    return student.get(f"/enrollments/{enrollment_id}/progress")
