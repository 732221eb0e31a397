"""The instructor's part: a course with a real video and a PDF, published and scheduled."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lms.sample import content, media
from lms.sample.client import ApiClient

if TYPE_CHECKING:
    from lms.sample.walk import Walk

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 600


class TranscodingFailedError(Exception):
    """The video could not be made playable; the message is the job's own."""


def author(walk: Walk) -> dict[str, str]:
    """Create, fill, publish and schedule the course.

    Returns:
        The ids of all that was made, by name; `video` is the video's, `run` the course run's.
    """
    instructor = walk.signed_in(content.ACME, "instructor")
    with walk.step("write a course of two modules"):
        ids = walk.once("course", lambda: _create_course(instructor))
        for number, module in enumerate(content.MODULES):
            ids |= walk.once(f"module-{number}", lambda: _add_module(instructor, ids, module))  # noqa: B023 - runs now
    with walk.step("upload the video and the PDF"):
        ids |= walk.once("video", lambda: _upload_video(walk, instructor, ids))
        ids |= walk.once("pdf", lambda: _upload_pdf(walk, instructor, ids))
    _watch_transcoding(walk, instructor, ids["video"])
    with walk.step("publish the version and schedule a run"):
        walk.once("published", lambda: _publish(instructor, ids))
        ids |= walk.once("run", lambda: _schedule(instructor, ids))
    return ids


def _create_course(instructor: ApiClient) -> dict[str, str]:
    course = instructor.post("/courses", dict(content.COURSE))
    version = instructor.post(f"/courses/{course['id']}/versions", {})
    return {"course": course["id"], "version": version["id"]}


def _add_module(
    instructor: ApiClient,
    ids: dict[str, str],
    module: tuple[str, str, tuple[dict[str, Any], ...]],
) -> dict[str, str]:
    title, summary, lessons = module
    made = instructor.post(
        f"/course-versions/{ids['version']}/modules", {"title": title, "summary": summary}
    )
    found = {f"module {title}": made["id"]}
    for lesson in lessons:
        added = instructor.post(f"/modules/{made['id']}/lessons", lesson)
        found[f"{lesson['kind']} lesson {lesson['title']}"] = added["id"]
        if lesson["kind"] in ("video", "document"):
            found[f"{lesson['kind']}_lesson"] = added["id"]
    return found


def _upload_video(walk: Walk, instructor: ApiClient, ids: dict[str, str]) -> dict[str, str]:
    path = walk.video
    if path is None:
        path = walk.folder / "the-first-ten-minutes.mp4"
        media.render_video(path)
    media_file = _upload(walk, instructor, ids["video_lesson"], path, "video/mp4")
    if media_file["video_id"] is None:
        # Not kept in the journal, so that another video may be tried.
        raise TranscodingFailedError(media_file["error_message"] or f"{path.name} is no video.")
    return {"video_file": media_file["id"], "video": media_file["video_id"]}


def _upload_pdf(walk: Walk, instructor: ApiClient, ids: dict[str, str]) -> dict[str, str]:
    path = walk.folder / "handover-protocol.pdf"
    media.render_pdf(path)
    media_file = _upload(walk, instructor, ids["document_lesson"], path, "application/pdf")
    return {"pdf_file": media_file["id"]}


def _upload(
    walk: Walk, instructor: ApiClient, lesson_id: str, path: Path, content_type: str
) -> dict[str, Any]:
    unfinished = walk.journal.get(f"{lesson_id}/upload")
    if unfinished is not None:
        instructor.status_of("DELETE", f"/media-files/{unfinished}")
    begun = instructor.post(
        f"/lessons/{lesson_id}/media-files",
        {"file_name": path.name, "content_type": content_type, "size": path.stat().st_size},
    )
    walk.journal.note(f"{lesson_id}/upload", begun["id"])
    with path.open("rb") as file:
        for part in begun["upload"]["parts"]:
            file.seek(part["offset"])
            instructor.upload(part["url"], file.read(part["size"]), part["headers"])
    return instructor.post(f"/media-files/{begun['id']}/complete")


def _watch_transcoding(walk: Walk, instructor: ApiClient, video_id: str) -> None:
    last, deadline = None, 0.0
    with walk.bar("transcode the video") as show:
        while True:
            video = instructor.get(f"/videos/{video_id}")
            job = instructor.get(f"/videos/{video_id}/transcoding-jobs")["items"][0]
            if video["state"] == "ready":
                return
            if job["state"] == "failed":
                raise TranscodingFailedError(job["error_message"] or job["error_code"])
            if (seen := (job["state"], job["attempt"], job["progress"])) != last:
                last, deadline = seen, time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                raise TranscodingFailedError(
                    f"No progress for {PATIENCE_SECONDS} s; see the logs of dispatcher and worker."
                )
            show(job["progress"])
            time.sleep(POLL_SECONDS)


def _publish(instructor: ApiClient, ids: dict[str, str]) -> str:
    version = instructor.post(f"/course-versions/{ids['version']}/publish")
    return version["state"]


def _schedule(instructor: ApiClient, ids: dict[str, str]) -> dict[str, str]:
    now = datetime.now(UTC).replace(microsecond=0)
    run = instructor.post(
        f"/courses/{ids['course']}/runs",
        {
            "version_id": ids["version"],
            "title": content.RUN_TITLE,
            "enrollment_opens_at": (now - timedelta(days=1)).isoformat(),
            "enrollment_closes_at": (now + timedelta(days=60)).isoformat(),
            "starts_at": (now + timedelta(days=40)).isoformat(),
            "ends_at": (now + timedelta(days=120)).isoformat(),
            "time_zone": content.ACME.time_zone,
            "capacity": content.CAPACITY,
            "price": {"amount": content.PRICE_MINOR_UNITS, "currency": content.ACME.currency},
        },
    )
    return {"run": run["id"]}
