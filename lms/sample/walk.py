"""The product's main job, done through the HTTP API as its users would, with live progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from lms.sample import authoring, content, isolation, study
from lms.sample.client import ApiClient
from lms.sample.journal import Journal

T = TypeVar("T")


@dataclass(slots=True)
class Walk:
    """One pass through the main job.

    Attributes:
        port: where the API listens on this machine.
        base_domain: below which the organizations' hosts are.
        data: folder where the journal of this installation is kept.
        video: the video that the instructor uploads; None renders one.
        video_key: by which this video's own steps are remembered.
        folder: for what is downloaded and checked.
        console: where people see the progress; never the standard output.
        seconds: how long each step took, in this pass.
    """

    port: int
    base_domain: str
    data: Path
    video: Path | None
    video_key: str
    folder: Path
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    _journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """What was already done here; opened once acme's id is known.

        The id names the file, so that a journal never speaks of another database.
        """
        if self._journal is None:
            raise RuntimeError("the organizations come first")
        return self._journal

    def open_journal(self, organization_id: str) -> None:
        """Remember from now on, in the file of this organization."""
        self._journal = Journal(self.data / f"main-job-{organization_id}.json")

    def client(self, label: str, token: str | None = None) -> ApiClient:
        """Return a client of one host: `admin`, or an organization's slug."""
        return ApiClient(f"{label}.{self.base_domain}", self.port, token)

    def signed_in(self, organization: content.SampleOrganization, account_type: str) -> ApiClient:
        """Return a client of the organization's first person of that account type."""
        person = next(p for p in organization.people if p.account_type == account_type)
        return self.client(organization.slug).signed_in(
            "/auth/login", person.email, content.PASSWORD
        )

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Do something once for this video; see `Journal.once`."""
        return self.journal.once(f"{self.video_key}/{name}", make)

    def key(self, name: str) -> str:
        """Return the Idempotency-Key of an intent: the same one after an interruption."""
        return self.once(f"key/{name}", lambda: str(uuid4()))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show and time one step."""
        began = time.perf_counter()
        with self.console.status(title):
            yield
        self.seconds[title] = round(time.perf_counter() - began, 2)
        self.console.print(f"[green]ok[/green] {title} ({self.seconds[title]:.1f} s)")

    @contextmanager
    def bar(self, title: str) -> Iterator[Callable[[float], None]]:
        """Show a step that knows its percentage; yields the setter (0 to 100)."""
        began = time.perf_counter()
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as progress:
            task = progress.add_task(title, total=100)
            yield lambda percent: progress.update(task, completed=percent)
        self.seconds[title] = round(time.perf_counter() - began, 2)
        self.console.print(f"[green]ok[/green] {title} ({self.seconds[title]:.1f} s)")


def run(walk: Walk) -> dict[str, Any]:
    """Do the main job.

    Returns:
        The JSON summary: organizations, renditions, seconds of each step, wallet before and after,
        enrollment, what globex answered.

    Raises:
        UnexpectedAnswerError: the API refused something that must work.
        authoring.TranscodingFailedError: the video cannot be made playable.
        isolation.LeakError: another organization saw something.
    """
    with walk.step("provision the organizations and their people"):
        organizations = [_join(walk, organization) for organization in content.ORGANIZATIONS]
    walk.open_journal(organizations[0]["id"])
    course = authoring.author(walk)
    studied = study.study(walk, course)
    with walk.step("show that globex sees none of it"):
        answers = isolation.probe(walk, {**course, **studied["ids"]})
    return {
        "organizations": organizations,
        "course": {"title": content.COURSE["title"], "run_id": course["run"]},
        "renditions": studied["renditions"],
        "seconds": walk.seconds,
        "wallet": studied["wallet"],
        "enrollment": studied["enrollment"],
        "globex_answers": answers,
    }


def _join(walk: Walk, organization: content.SampleOrganization) -> dict[str, Any]:
    platform = walk.client("admin").signed_in(
        "/platform/auth/login", content.SUPER_ADMIN[0], content.PASSWORD
    )
    first, *others = organization.people
    found = next(
        (
            known
            for known in platform.pages("/platform/organizations")
            if known["slug"] == organization.slug
        ),
        None,
    )
    if found is None:
        found = platform.post(
            "/platform/organizations",
            {
                "slug": organization.slug,
                "name": organization.name,
                "currency": organization.currency,
                "time_zone": organization.time_zone,
                "locale": "en",
                "admin": {"email": first.email, "name": first.name},
            },
        )
        _accept(walk, organization, found["invitation"]["token"])
    admin = walk.signed_in(organization, "admin")
    for person in others:
        _invite(walk, organization, admin, person)
    return {
        "id": found["id"],
        "slug": organization.slug,
        "host": f"{organization.slug}.{walk.base_domain}:{walk.port}",
        "people": [
            {"email": person.email, "account_type": person.account_type}
            for person in organization.people
        ],
    }


def _invite(
    walk: Walk,
    organization: content.SampleOrganization,
    admin: ApiClient,
    person: content.Person,
) -> None:
    if any(True for _ in admin.pages("/users", email=person.email)):
        return
    made = admin.post(
        "/users",
        {"email": person.email, "name": person.name, "account_type": person.account_type},
    )
    _accept(walk, organization, made["invitation"]["token"])


def _accept(walk: Walk, organization: content.SampleOrganization, token: str) -> None:
    walk.client(organization.slug).post(
        "/auth/invitations/accept", {"token": token, "password": content.PASSWORD}
    )
