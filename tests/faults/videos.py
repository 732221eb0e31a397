"""Teachers who upload videos over HTTP, however often they must ask, and what became of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from tenants.session import OrganizationScope
from tests.factories.media import make_lesson
from tests.factories.people import make_user
from tests.faults.stand import Stand

PATIENCE_SECONDS = 90.0
PAUSE_SECONDS = 0.25


class UnexpectedAnswerError(AssertionError):
    """The API answered what it must not, whatever is broken below it."""


@dataclass
class Teacher:
    """Somebody with a lesson to fill, and a client that asks again while the service is away.

    Attributes:
        organization_id: whose.
        slug: the organization's.
        lesson_id: where the videos go.
        headers: the access token.
        client: of the organization's API.
        refusals: how often it was told to come back, by what it met.
    """

    organization_id: UUID
    slug: str
    lesson_id: UUID
    headers: dict[str, str]
    client: httpx.Client
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def scope(self) -> OrganizationScope:
        return OrganizationScope(self.organization_id)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API until it answers; returns the JSON.

        Raises:
            UnexpectedAnswerError: it answered anything but success or a proper 503.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self.client.request(method, path, json=body, headers=self.headers)
            except httpx.TransportError as error:
                self.refusals[type(error).__name__] += 1
            else:
                if answer.is_success:
                    return answer.json()
                check_refusal(answer)
                self.refusals["503"] += 1
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{method} {path} was not answered for {PATIENCE_SECONDS} s")

    def upload(self, data: bytes) -> UUID:
        """Upload a video into the lesson; returns its id once the API has accepted it."""
        body = {"file_name": "clip.mp4", "content_type": "video/mp4", "size": len(data)}
        created = self.ask("POST", f"/lessons/{self.lesson_id}/media-files", body)
        for part in created["upload"]["parts"]:
            self._send(part, data[part["offset"] : part["offset"] + part["size"]])
        completed = self.ask("POST", f"/media-files/{created['id']}/complete")
        if completed["video_id"] is None:
            raise UnexpectedAnswerError(f"no video was made of it: {completed}")
        return UUID(completed["video_id"])

    def _send(self, part: dict[str, Any], data: bytes) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = httpx.request(
                    part["method"],
                    part["url"],
                    content=data,
                    headers=part["headers"],
                    timeout=5,
                    trust_env=False,
                )
            except httpx.TransportError as error:
                self.refusals[f"store: {type(error).__name__}"] += 1
            else:
                if answer.is_success:
                    return
                self.refusals[f"store: {answer.status_code}"] += 1
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"the store took no part for {PATIENCE_SECONDS} s")


def check_refusal(answer: httpx.Response) -> None:
    """Check that a refusal is a 503 that says when to come back.

    Raises:
        UnexpectedAnswerError: it is anything else.
    """
    proper = (
        answer.status_code == 503
        and answer.headers.get("Content-Type") == "application/problem+json"
        and answer.headers.get("Retry-After", "").isdigit()
    )
    if not proper:
        raise UnexpectedAnswerError(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
            f" {dict(answer.headers)} {answer.text[:500]}"
        )


def make_teacher(stand: Stand, organization_id: UUID, slug: str) -> Teacher:
    """Make a teacher of an organization with a course and an empty lesson."""
    person = make_user(stand.database, organization_id, "instructor", app=stand.app)
    lesson = make_lesson(stand.database, organization_id, person.id)
    return Teacher(organization_id, slug, lesson.id, person.headers, stand.client(slug))
