"""Whatever a version holds: archives bring it back whole, and drafts of it share its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from lms.core.ids import new_id
from lms.courses.models import Lesson, MediaFile, Module, PublishedVersion
from lms.courses.operations import content, courses, versions
from lms.media.models import MediaAsset, Video
from tenants.session import Database, OrganizationScope
from tests.factories.archives import add_asset, anonymous, content_of, manifest_of
from tests.factories.people import Person, make_user
from tests.lms.courses.conftest import Api

FILM = "film.mp4"
FILES = (FILM, "recipe.pdf", "menu.pdf")
FEW = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

words = st.text(st.characters(exclude_categories=["C"]), max_size=12).map(str.strip)
titles = words.filter(bool)
markdown = st.lists(words, max_size=3).map("\n\n".join).map(str.strip)
timed = st.fixed_dictionaries(
    {"after": st.sampled_from(["run_start", "activation"]), "days": st.integers(0, 1000)}
)
rules = st.sampled_from(
    [
        None,
        {"rule": "viewed"},
        {"rule": "dwell", "seconds": 60},
        {"rule": "marked_by_learner"},
        {"rule": "marked_by_staff"},
    ]
)
watched = st.fixed_dictionaries({"rule": st.just("watched"), "percent": st.integers(1, 100)})
lesson_values = st.sampled_from(
    ["text", "video", "document", "audio", "link", "live_session"]
).flatmap(
    lambda kind: st.fixed_dictionaries(
        {
            "kind": st.just(kind),
            "title": titles,
            "content": markdown,
            "estimated_seconds": st.integers(0, 604_800),
            "required": st.booleans(),
            "preview": st.booleans(),
            "weight": st.integers(1, 1000),
            "completion": rules | watched if kind == "video" else rules,
            "availability": st.none() | timed,
        }
    )
)


@dataclass(frozen=True)
class LessonPlan:
    """A lesson to be made: its members, and the names of its files."""

    values: dict[str, Any]
    files: Sequence[str]


@dataclass(frozen=True)
class ModulePlan:
    """A module to be made, with its lessons."""

    values: dict[str, Any]
    lessons: Sequence[LessonPlan]


def lesson_plan(values: dict[str, Any], files: list[str]) -> LessonPlan:
    # A video lesson is published with a video.
    return LessonPlan(values, [FILM, *files] if values["kind"] == "video" else files)


lesson_plans = st.builds(lesson_plan, lesson_values, st.lists(st.sampled_from(FILES), max_size=2))
module_values = st.fixed_dictionaries(
    {"title": titles, "summary": markdown, "sequential": st.booleans()}
)


def trees(*, fewest: int) -> st.SearchStrategy[list[ModulePlan]]:
    lessons = st.lists(lesson_plans, min_size=fewest, max_size=3)
    return st.lists(st.builds(ModulePlan, module_values, lessons), min_size=fewest, max_size=3)


@dataclass(frozen=True)
class School:
    """An organization that has the bytes of `FILES`, and somebody who teaches there."""

    database: Database
    organization_id: UUID
    teacher: Person
    assets: dict[str, UUID]
    api: Api

    @property
    def scope(self) -> OrganizationScope:
        return OrganizationScope(self.organization_id)

    def course(self) -> UUID:
        with self.database.transaction(self.scope) as session:
            return courses.create_course(
                session,
                self.teacher.actor,
                title="Espresso from Bean to Cup",
                summary="",
                language="en",
                instructor_id=None,
            ).id

    def draft(self, course_id: UUID, tree: Sequence[ModulePlan]) -> UUID:
        actor = self.teacher.actor
        with self.database.transaction(self.scope) as session:
            version = versions.create_draft(
                session, actor, course_id, label="", base_version_id=None
            )
            for planned in tree:
                module = content.create_module(session, actor, version.id, **planned.values)
                for plan in planned.lessons:
                    lesson = content.create_lesson(session, actor, module.id, plan.values)
                    for name in plan.files:
                        session.add(
                            MediaFile(
                                id=new_id(),
                                lesson_id=lesson.id,
                                asset_id=self.assets[name],
                                file_name=name,
                            )
                        )
                        session.flush()
            return version.id

    def export(self, version_id: UUID) -> bytes:
        return self.api.get(f"/course-versions/{version_id}/export").data

    def bring(self, archive: bytes) -> UUID:
        """Import an archive into a new course; returns the draft."""
        answer = self.api.upload(f"/courses/{self.course()}/versions/import", archive)
        assert answer.status_code == 201, answer.text
        assert answer.json["missing_media"] == []
        return UUID(answer.json["draft"]["id"])

    def assets_of(self, version_id: UUID) -> list[UUID]:
        query = (
            select(MediaFile.asset_id)
            .join(Lesson, Lesson.id == MediaFile.lesson_id)
            .join(Module, Module.id == Lesson.module_id)
            .where(Module.version_id == version_id)
            .order_by(Module.position, Lesson.position, MediaFile.id)
        )
        with self.database.transaction(self.scope) as session:
            return list(session.scalars(query))

    def count_assets(self) -> int:
        with self.database.transaction(self.scope) as session:
            return session.scalars(select(func.count()).select_from(MediaAsset)).one()


def make_school(
    client: FlaskClient, database: Database, organization_id: UUID, slug: str
) -> School:
    teacher = make_user(database, organization_id, "instructor")
    film = {"kind": "video", "content_type": "video/mp4"}
    with database.transaction(OrganizationScope(organization_id)) as session:
        assets = {
            name: add_asset(
                session, organization_id, teacher, name, **(film if name == FILM else {})
            )
            for name in FILES
        }
        session.add(Video(id=new_id(), asset_id=assets[FILM], state="ready", duration_seconds=60.0))
    api = Api(client, teacher, host=f"{slug}.localhost")
    return School(database, organization_id, teacher, assets, api)


@pytest.fixture
def school(client: FlaskClient, database: Database, acme: UUID) -> School:
    return make_school(client, database, acme, "acme")


@pytest.fixture
def other_school(client: FlaskClient, database: Database, globex: UUID) -> School:
    return make_school(client, database, globex, "globex")


def lineages(archive: bytes) -> list[tuple[str, list[str]]]:
    return [
        (module["lineage_id"], [lesson["lineage_id"] for lesson in module["lessons"]])
        for module in content_of(archive)["modules"]
    ]


@FEW
@given(tree=trees(fewest=0))
def test_what_is_exported_and_imported_anywhere_is_exported_again_equal(
    school: School, other_school: School, tree: list[ModulePlan]
) -> None:
    original = school.draft(school.course(), tree)
    before = (school.count_assets(), other_school.count_assets())
    archive = school.export(original)

    here, there = school.bring(archive), other_school.bring(archive)

    again = (school.export(here), other_school.export(there))
    for one in again:
        assert anonymous(content_of(one)) == anonymous(content_of(archive))
        assert manifest_of(one)["content_hash"] == manifest_of(archive)["content_hash"]
    # Shared by reference, in the one academy and in the other.
    names = [name for module in tree for lesson in module.lessons for name in lesson.files]
    assert school.assets_of(here) == [school.assets[name] for name in names]
    assert other_school.assets_of(there) == [other_school.assets[name] for name in names]
    assert (school.count_assets(), other_school.count_assets()) == before


@FEW
@given(
    tree=trees(fewest=1),
    further=st.lists(lesson_plans, min_size=1, max_size=2),
    first=st.booleans(),
)
def test_a_draft_of_any_version_keeps_its_lineages_and_files_and_leaves_it_as_it_was(
    school: School, tree: list[ModulePlan], further: list[LessonPlan], first: bool
) -> None:
    actor, course_id = school.teacher.actor, school.course()

    def draft_of(base: UUID | None) -> UUID:
        with school.database.transaction(school.scope) as session:
            return versions.create_draft(
                session, actor, course_id, label="", base_version_id=base
            ).id

    def publish(version_id: UUID) -> None:
        with school.database.transaction(school.scope) as session:
            versions.publish_version(session, actor, version_id, expected=None)

    def published() -> list[tuple[Any, ...]]:
        query = select(
            PublishedVersion.version_id,
            PublishedVersion.content_hash,
            PublishedVersion.outline,
            PublishedVersion.rules,
        ).where(PublishedVersion.course_id == course_id)
        with school.database.transaction(school.scope) as session:
            return [tuple(row) for row in session.execute(query.order_by("version_id"))]

    one = school.draft(course_id, tree)
    publish(one)
    other = draft_of(None)
    with school.database.transaction(school.scope) as session:
        module_id = session.scalars(
            select(Module.id).where(Module.version_id == other).order_by(Module.position).limit(1)
        ).one()
        lesson_id = session.scalars(
            select(Lesson.id).where(Lesson.version_id == other).order_by(Lesson.id).limit(1)
        ).one()
        for plan in further:
            values = {**plan.values, "kind": "text", "completion": None}
            content.create_lesson(session, actor, module_id, values)
        content.delete_lesson(session, actor, lesson_id, expected=None)
    publish(other)
    assets, frozen = school.count_assets(), published()
    base = one if first else other

    draft = draft_of(base)

    assert lineages(school.export(draft)) == lineages(school.export(base))
    assert school.assets_of(draft) == school.assets_of(base)
    assert school.count_assets() == assets
    assert published() == frozen
