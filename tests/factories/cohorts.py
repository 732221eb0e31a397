"""A run of a course with everybody in it, and a way to teach its next version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import select, text

from lms.core.clock import now
from lms.core.ids import new_id
from lms.courses.models import CourseRun, Lesson
from lms.courses.operations import content, versions
from lms.enrollments.models import Enrollment
from lms.learning.models import LessonProgress
from lms.learning.upgrades import Upgrade, upgrade_run
from tenants.session import Database, OrganizationScope
from tests.factories.courses import LESSON, Content
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"

DEADLINE = 20.0


@dataclass
class Cohort:
    """A run of a course of four lessons, and a way to teach its next version."""

    app: Flask
    database: Database
    organization_id: UUID
    teacher: Person
    first: Content
    run_id: UUID
    learners: dict[UUID, Person] = field(default_factory=dict[UUID, Person])

    @property
    def scope(self) -> OrganizationScope:
        return OrganizationScope(self.organization_id)

    def next_version(
        self,
        *,
        of: UUID | None = None,
        without: Sequence[int] = (),
        added: int = 0,
        **changes: Any,
    ) -> UUID:
        """Publish a copy of a version, of the latest unless told, with other lessons.

        Args:
            of: what is copied.
            without: numbers of lessons of the first version that are removed.
            added: how many are added.
            changes: of the first of the lessons that stay.
        """
        actor = self.teacher.actor
        with self.database.transaction(self.scope) as session:
            version_id = versions.create_draft(
                session, actor, self.first.course_id, label="", base_version_id=of
            ).id
        removed = {self.first.lineage_ids[number] for number in without}
        with self.database.transaction(self.scope) as session:
            lessons = session.scalars(
                select(Lesson).where(Lesson.version_id == version_id).order_by(Lesson.position)
            ).all()
            kept = [lesson for lesson in lessons if lesson.lineage_id not in removed]
            for lesson in lessons:
                if lesson not in kept:
                    content.delete_lesson(session, actor, lesson.id, expected=None)
            if changes:
                content.update_lesson(session, actor, kept[0].id, changes, expected=None)
            for _ in range(added):
                content.create_lesson(session, actor, lessons[0].module_id, LESSON)
        with self.database.transaction(self.scope) as session:
            versions.publish_version(session, actor, version_id, expected=None)
        return version_id

    def enroll(
        self,
        *,
        done: Sequence[int] = (),
        opened: Sequence[int] = (),
        state: str = "active",
        percent: int | None = None,
        version_id: UUID | None = None,
    ) -> UUID:
        """Put a learner into the run who has completed, or only opened, lessons by number."""
        enrollment_id, person = new_id(), self.person()
        self.learners[enrollment_id] = person
        if percent is None:
            percent = 100 * len(done) // len(self.first.lesson_ids)
        with self.database.transaction(self.scope) as session:
            session.add(
                Enrollment(
                    id=enrollment_id,
                    user_id=person.id,
                    run_id=self.run_id,
                    version_id=version_id or self.first.version_id,
                    state=state,
                    awaiting="payment" if state == "pending" else None,
                    waitlisted_at=now() if state == "waitlisted" else None,
                    percent=percent,
                    activated_at=now(),
                    completed_at=now() if state == "completed" else None,
                )
            )
            session.flush()
            for number in (*done, *opened):
                session.add(
                    LessonProgress(
                        enrollment_id=enrollment_id,
                        lesson_lineage_id=self.first.lineage_ids[number],
                        completed_at=now() if number in done else None,
                        completed_how="viewed" if number in done else None,
                    )
                )
        return enrollment_id

    def person(self, account_type: Any = "student") -> Person:
        return make_user(self.database, self.organization_id, account_type, app=self.app)

    def upgrade(
        self, target_id: UUID, *, policy: str = "all", dry_run: bool = False, **options: Any
    ) -> Any:
        """Ask over HTTP; by the teacher, unless the options name a `person`; or an `etag`."""
        headers = dict(options.get("person", self.teacher).headers)
        if "etag" in options:
            headers["If-Match"] = options["etag"]
        return self.app.test_client().post(
            f"/api/v1/runs/{options.get('run_id', self.run_id)}/upgrade",
            base_url=ACME,
            headers=headers,
            json={"target_version_id": str(target_id), "policy": policy, "dry_run": dry_run},
        )

    def report(self, enrollment_id: UUID, lesson_id: UUID | str) -> Any:
        """Let the learner report that they opened a lesson."""
        return self.app.test_client().put(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}/progress",
            base_url=ACME,
            headers=self.learners[enrollment_id].headers,
            json={"viewed": True},
        )

    def read_lesson(self, enrollment_id: UUID, lesson_id: UUID | str) -> Any:
        """Let the learner open a lesson."""
        return self.app.test_client().get(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}",
            base_url=ACME,
            headers=self.learners[enrollment_id].headers,
        )

    def apply(self, target_id: UUID, *, dry_run: bool = False, policy: Any = "all") -> Upgrade:
        """Call the operation itself."""
        with self.database.transaction(self.scope) as session:
            return upgrade_run(
                session,
                self.teacher.actor,
                self.run_id,
                target_version_id=target_id,
                policy=policy,
                dry_run=dry_run,
                expected=None,
            )

    def read(self, enrollment_id: UUID) -> Enrollment:
        with self.database.transaction(self.scope) as session:
            return session.get_one(Enrollment, enrollment_id)

    def version_of_run(self) -> UUID:
        with self.database.transaction(self.scope) as session:
            return session.get_one(CourseRun, self.run_id).version_id

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.database.transaction(self.scope) as session:
            return [dict(row) for row in session.execute(text(sql), values).mappings()]


def audited(cohort: Cohort) -> list[dict[str, Any]]:
    return cohort.rows(
        "SELECT actor_id, before, after FROM audit_events"
        " WHERE action = 'course_run.upgrade' AND subject_id = :id",
        id=cohort.run_id,
    )
