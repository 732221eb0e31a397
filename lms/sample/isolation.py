"""Globex's part: it sees nothing of what acme did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lms.sample import content

if TYPE_CHECKING:
    from lms.sample.walk import Walk

PATHS = {
    "course": "/courses/{}",
    "version": "/course-versions/{}/outline",
    "run": "/runs/{}",
    "video": "/videos/{}/playback",
    "video_file": "/media-files/{}",
    "pdf_file": "/media-files/{}",
    "video_lesson": "/lessons/{}",
    "document_lesson": "/lessons/{}",
    "enrollment": "/enrollments/{}",
    "payment": "/payments/{}",
    "top_up": "/wallet/top-ups/{}",
}


class LeakError(Exception):
    """Another organization's host answered something about acme."""


def probe(walk: Walk, ids: dict[str, str]) -> dict[str, Any]:
    """Ask globex's host for every id that acme made, as acme's student and as globex's admin.

    Returns:
        How often each status was answered, for both.

    Raises:
        LeakError: anything but 401 to acme's token, or but 404 to globex's admin.
    """
    acme_token = walk.client(content.ACME.slug).post(
        "/auth/login", {"email": content.ACME.people[2].email, "password": content.PASSWORD}
    )["access_token"]
    stranger = walk.client(content.GLOBEX.slug, acme_token)
    admin = walk.signed_in(content.GLOBEX, "admin")
    answers: dict[str, dict[str, int]] = {"acme_token": {}, "globex_admin": {}}
    for name, path in PATHS.items():
        for who, client, expected in (("acme_token", stranger, 401), ("globex_admin", admin, 404)):
            status = client.status_of("GET", path.format(ids[name]))
            if status != expected:
                raise LeakError(f"globex answered {status} for acme's {name} to the {who}")
            answers[who][str(status)] = answers[who].get(str(status), 0) + 1
    return answers
