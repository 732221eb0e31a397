"""The student's part: pay from the wallet, watch, and complete every lesson."""

from __future__ import annotations

import math
import re
from pathlib import Path
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
        progress = _complete(student, bought["enrollment"], course["version"])
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
    top_up = walk.once("top-up", lambda: _top_up(walk, student))
    before = walk.once("balance before", lambda: student.get("/wallet")["balance"])
    bought = student.post(
        f"/runs/{course['run']}/enrollments",
        {"payment": {"method": "wallet"}},
        key=walk.key("enroll"),
    )
    return {
        "top_up": top_up,
        "enrollment": bought["enrollment"]["id"],
        "payment": bought["payment"]["id"],
        "wallet": {"before": before, "after": student.get("/wallet")["balance"]},
    }


def _top_up(walk: Walk, student: ApiClient) -> str:
    amount = {"amount": content.TOP_UP_MINOR_UNITS, "currency": content.ACME.currency}
    answer = student.post(
        "/wallet/top-ups", {"amount": amount, "token": "tok_success"}, key=walk.key("top-up")
    )
    return answer["id"]


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


def _decode(path: Path, rendition: dict[str, Any]) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        shapes = {(frame.width, frame.height) for frame in container.decode(stream)}
    if shapes != {(rendition["width"], rendition["height"])}:
        raise UndecodableError(f"{rendition['label']} decodes to {shapes or 'nothing'}")


def _complete(student: ApiClient, enrollment_id: str, version_id: str) -> dict[str, Any]:
    outline = student.get(f"/course-versions/{version_id}/outline")
    for module in outline["modules"]:
        for lesson in module["lessons"]:
            student.put(
                f"/enrollments/{enrollment_id}/lessons/{lesson['id']}/progress", _report(lesson)
            )
    return student.get(f"/enrollments/{enrollment_id}/progress")


def _report(lesson: dict[str, Any]) -> dict[str, Any]:
    """Return what a player or reader would report once the learner is through."""
    rule = lesson["completion"]["rule"]
    if rule == "watched":
        seconds = lesson["media"][0]["duration_seconds"]
        return {"watched": [[0, math.ceil(seconds)]], "position_seconds": seconds}
    return {"completed": True} if rule == "marked_by_learner" else {"viewed": True}
