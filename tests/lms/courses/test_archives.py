"""A version as one file: exported, edited elsewhere, and imported as a draft."""

from __future__ import annotations

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from lms.core.ids import new_id
from lms.core.models import AuditEvent
from lms.courses.archives.queries import exported_version
from lms.courses.archives.reading import read_archive
from lms.courses.archives.writing import write_archive
from lms.courses.errors import DraftExistsError
from lms.courses.models import CourseVersion, Lesson, MediaFile
from lms.courses.operations import content, importing
from lms.media.models import MediaAsset
from tenants.session import Database, OrganizationScope
from tests.factories.archives import (
    MANIFEST,
    add_file,
    anonymous,
    content_of,
    lesson,
    make_long_draft,
    make_long_version,
    manifest_of,
    media,
    module,
    packed,
)
from tests.factories.courses import make_draft, make_published
from tests.factories.people import make_user
from tests.factories.statements import counted
from tests.lms.courses.conftest import Api, wait_until_blocked

LESSON = {
    "kind": "text",
    "title": "Crème \N{HOT BEVERAGE}",
    "content": "# Grind\n\n*finer*, then `coarser`",
    "estimated_seconds": 420,
    "required": False,
    "preview": True,
    "weight": 7,
    "completion": {"rule": "dwell", "seconds": 60},
    "availability": {"after": "run_start", "days": 7},
}


@pytest.fixture
def teacher(client: FlaskClient, database: Database, globex: UUID) -> Api:
    """Teaches at the other academy."""
    return Api(client, make_user(database, globex, "instructor"), host="globex.localhost")


@pytest.fixture
def course(instructor: Api) -> str:
    """A course without a version."""
    return new_course(instructor)


def new_course(api: Api) -> str:
    return api.post("/courses", {"title": "Filter from Bean to Cup"}).json["id"]


def export(api: Api, version_id: object) -> bytes:
    answer = api.get(f"/course-versions/{version_id}/export")
    assert answer.status_code == 200, answer.text
    return answer.data


def bring(api: Api, course_id: object, archive: bytes) -> Any:
    return api.upload(f"/courses/{course_id}/versions/import", archive)


def brought(api: Api, course_id: object, archive: bytes) -> dict[str, Any]:
    answer = bring(api, course_id, archive)
    assert answer.status_code == 201, answer.text
    return answer.json


def lineages(archive: bytes) -> list[tuple[str, list[str]]]:
    return [
        (one["lineage_id"], [inner["lineage_id"] for inner in one["lessons"]])
        for one in content_of(archive)["modules"]
    ]


def assets_of(database: Database, organization_id: UUID, version_id: object) -> list[UUID]:
    with database.transaction(OrganizationScope(organization_id)) as session:
        return list(
            session.scalars(
                select(MediaFile.asset_id)
                .join(Lesson, Lesson.id == MediaFile.lesson_id)
                .where(Lesson.version_id == UUID(str(version_id)))
                .order_by(MediaFile.id)
            )
        )


def test_an_archive_says_what_it_is_and_where_it_comes_from(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person)

    manifest = manifest_of(export(instructor, made.version_id))

    assert (manifest["format"], manifest["format_version"]) == ("course-version", 1)
    assert len(manifest["content_hash"]) == 64
    assert manifest["course"] == {
        "id": str(made.course_id),
        "title": "Espresso from Bean to Cup",
        "language": "en",
    }
    assert manifest["version"] == {"id": str(made.version_id), "number": 1, "label": ""}


def test_an_archive_has_all_that_can_be_set_of_modules_and_lessons_in_their_order(
    instructor: Api, course: str
) -> None:
    draft = instructor.post(f"/courses/{course}/versions", {}).json["id"]
    made = {"title": "The grind", "summary": "Why\nfineness decides.", "sequential": True}
    first = instructor.post(f"/course-versions/{draft}/modules", made).json
    instructor.post(f"/course-versions/{draft}/modules", {"title": "To come"})
    plain = {"kind": "link", "title": "Read on"}
    one = instructor.post(f"/modules/{first['id']}/lessons", LESSON).json
    other = instructor.post(f"/modules/{first['id']}/lessons", plain).json

    whole, empty = content_of(export(instructor, draft))["modules"]

    assert {name: whole[name] for name in made} == made
    assert whole["lineage_id"] == first["lineage_id"]
    assert whole["lessons"][0] == {**LESSON, "lineage_id": one["lineage_id"], "media": []}
    assert whole["lessons"][1]["lineage_id"] == other["lineage_id"]
    assert whole["lessons"][1]["completion"] == {"rule": "viewed"}
    assert (empty["title"], empty["lessons"]) == ("To come", [])


def test_an_archive_names_the_media_of_each_lesson(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document", "text"]])
    first = add_file(database, acme, made.lesson_ids[0], instructor.person, "recipe.pdf")
    second = add_file(
        database,
        acme,
        made.lesson_ids[0],
        instructor.person,
        "unfinished.pdf",
        state="awaiting_upload",
        kind="unknown",
        sha256=None,
    )

    (one,) = content_of(export(instructor, made.version_id))["modules"]

    assert [inner["media"] for inner in one["lessons"]] == [
        [
            media("recipe.pdf", asset_id=str(first)),
            media("unfinished.pdf", asset_id=str(second), kind="unknown", sha256=None),
        ],
        [],
    ]


def test_the_same_version_gives_the_same_bytes(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["video", "text"]])

    assert export(instructor, made.version_id) == export(instructor, made.version_id)


def test_the_content_hash_is_that_of_the_content_alone(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["text"]])
    draft = instructor.post(f"/courses/{made.course_id}/versions", {"label": "Next"}).json["id"]
    before = manifest_of(export(instructor, draft))["content_hash"]
    (first,) = instructor.get(f"/course-versions/{draft}/modules").json["items"]
    (inner,) = instructor.get(f"/modules/{first['id']}/lessons").json["items"]
    instructor.patch(f"/lessons/{inner['id']}", {"weight": 2})

    assert before == manifest_of(export(instructor, made.version_id))["content_hash"]
    assert before != manifest_of(export(instructor, draft))["content_hash"]


def test_the_content_hash_can_be_recomputed_from_the_archive(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(
        database, acme, instructor.person, outline=[["video"], ["text"]], lesson={"title": "Crème"}
    )
    archive = export(instructor, made.version_id)

    lines = []
    for one in anonymous(content_of(archive))["modules"]:
        lines += [{name: one[name] for name in one if name != "lessons"}, *one["lessons"]]
    canonical = "".join(
        json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
        for line in lines
    )
    assert manifest_of(archive)["content_hash"] == sha256(canonical.encode()).hexdigest()


def test_an_archive_is_downloaded_under_the_courses_title(instructor: Api) -> None:
    course_id = instructor.post("/courses", {"title": 'Über "Espresso"/Filter'}).json["id"]
    draft = instructor.post(f"/courses/{course_id}/versions", {}).json["id"]

    answer = instructor.get(f"/course-versions/{draft}/export")

    assert answer.content_type == "application/zip"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="Uber _Espresso__Filter - version 1.zip";'
        " filename*=UTF-8''%C3%9Cber%20%22Espresso%22_Filter%20-%20version%201.zip"
    )
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_versions_are_exported_by_those_who_teach_the_course(
    instructor: Api, colleague: Api, student: Api, admin: Api, database: Database, acme: UUID
) -> None:
    path = f"/course-versions/{make_draft(database, acme, instructor.person).version_id}/export"

    assert student.get(path).status_code == 403
    assert colleague.get(path).status_code == 404
    assert admin.get(path).status_code == 200
    assert admin.get(f"/course-versions/{new_id()}/export").status_code == 404


def test_exporting_takes_as_many_statements_for_a_thousand_lessons_as_for_four(
    instructor: Api, database: Database, acme: UUID, app: Flask
) -> None:
    counts = []
    for modules, lessons in ((2, 2), (50, 20)):
        _, version_id = make_long_version(
            database, acme, instructor.person, modules=modules, lessons=lessons
        )
        with counted(app) as sent:
            archive = export(instructor, version_id)
        counts.append(len(sent))
        assert [len(one["lessons"]) for one in content_of(archive)["modules"]] == [
            lessons
        ] * modules

    assert counts[0] == counts[1] <= 4


def test_an_archive_becomes_the_next_draft(
    instructor: Api, database: Database, acme: UUID, course: str
) -> None:
    archive = packed({"modules": [module(LESSON, lesson(), summary="Why"), module(title="Next")]})

    answer = bring(instructor, course, archive)

    assert answer.status_code == 201
    draft = answer.json["draft"]
    assert answer.headers["ETag"] == '"1"'
    assert instructor.get(f"/course-versions/{draft['id']}").json == draft
    assert (draft["number"], draft["state"], draft["label"]) == (1, "draft", "Spring revision")
    assert draft["base_version_id"] is None
    assert answer.json["missing_media"] == []
    first, second = instructor.get(f"/course-versions/{draft['id']}/modules").json["items"]
    assert (first["title"], first["summary"], first["position"]) == ("The grind", "Why", 1)
    assert (second["title"], second["position"]) == ("Next", 2)
    one, other = instructor.get(f"/modules/{first['id']}/lessons").json["items"]
    assert {name: one[name] for name in LESSON} == LESSON
    assert (other["completion"], other["weight"], other["position"]) == ({"rule": "viewed"}, 1, 2)
    assert one["lineage_id"] == one["id"]


def test_importing_is_on_record(
    instructor: Api, database: Database, acme: UUID, course: str
) -> None:
    content = {"modules": [module(lesson(media=[media("absent.pdf")]))]}

    draft = brought(instructor, course, packed(content))["draft"]

    with database.transaction(OrganizationScope(acme)) as session:
        audited = session.scalars(
            select(AuditEvent).where(AuditEvent.subject_id == UUID(draft["id"]))
        ).one()
    assert (audited.action, audited.actor_id) == ("course_version.import", instructor.person.id)
    assert audited.after == {
        "number": 1,
        "archived_version_id": MANIFEST["version"]["id"],
        "base_version_id": None,
        "missing_media": 1,
    }


def test_a_version_that_comes_back_to_its_course_does_not_differ_from_what_it_was(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["video", "text"], ["text"]])
    archive = export(instructor, made.version_id)

    draft = brought(instructor, made.course_id, archive)["draft"]

    assert draft["base_version_id"] == str(made.version_id)
    assert lineages(export(instructor, draft["id"])) == lineages(archive)
    diff = instructor.get(f"/course-versions/{draft['id']}/diff").json
    assert (diff["base"]["id"], diff["magnitude"]) == (str(made.version_id), "none")


def test_what_was_edited_elsewhere_is_told_from_what_stayed(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["text", "text"], ["text"]])
    archive = export(instructor, made.version_id)
    edited = content_of(archive)
    first, second = edited["modules"]
    first["lessons"][0]["title"] = "Renamed"
    first["lessons"].insert(0, lesson(title="Added"))
    second["lessons"].clear()

    draft = brought(instructor, made.course_id, packed(edited, manifest_of(archive)))["draft"]

    lessons = instructor.get(f"/course-versions/{draft['id']}/diff").json["lessons"]
    assert [one["title"] for one in lessons["added"]] == ["Added"]
    assert [one["lineage_id"] for one in lessons["removed"]] == [str(made.lineage_ids[2])]
    assert [(one["title"], one["members"]) for one in lessons["changed"]] == [
        ("Renamed", ["title"])
    ]


def test_in_another_course_everything_begins_a_lineage_of_its_own(
    instructor: Api, database: Database, acme: UUID, course: str
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["text"], ["text"]])
    archive = export(instructor, made.version_id)

    draft = brought(instructor, course, archive)["draft"]

    there = export(instructor, draft["id"])
    flat = {one for key, inner in lineages(there) for one in (key, *inner)}
    assert len(flat) == 4
    assert not flat & {one for key, inner in lineages(archive) for one in (key, *inner)}
    assert anonymous(content_of(there)) == anonymous(content_of(archive))
    assert draft["base_version_id"] is None


def test_a_modules_lineage_is_no_lessons(instructor: Api, database: Database, acme: UUID) -> None:
    made = make_published(database, acme, instructor.person, outline=[["text"]])
    one = content_of(export(instructor, made.version_id))["modules"][0]["lineage_id"]
    swapped = module(lesson(lineage_id=one), lineage_id=str(made.lineage_ids[0]))

    draft = brought(instructor, made.course_id, packed({"modules": [swapped]}))["draft"]

    ((key, (inner,)),) = lineages(export(instructor, draft["id"]))
    assert not {key, inner} & {one, str(made.lineage_ids[0])}


def test_files_whose_bytes_are_here_are_shared_and_nothing_is_added_to_the_store(
    instructor: Api, database: Database, acme: UUID, course: str
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    kept = add_file(database, acme, made.lesson_ids[0], instructor.person, f"{new_id()}.pdf")
    archive = export(instructor, made.version_id)
    before = count_assets(database, acme)

    answer = brought(instructor, course, archive)

    assert answer["missing_media"] == []
    assert assets_of(database, acme, answer["draft"]["id"]) == [kept]
    assert count_assets(database, acme) == before


def test_of_several_equal_files_the_very_one_is_shared_else_the_oldest(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    name = f"{new_id()}.pdf"
    oldest, _, very = (
        add_file(database, acme, made.lesson_ids[0], instructor.person, name) for _ in range(3)
    )
    same, known = media(name, asset_id=str(new_id())), media(name, asset_id=str(very))
    content = {"modules": [module(lesson(media=[same, known, media(name)]))]}

    draft = brought(instructor, new_course(instructor), packed(content))["draft"]

    assert assets_of(database, acme, draft["id"]) == [oldest, very, oldest]


def test_files_whose_bytes_are_not_here_are_told_with_what_adding_them_takes(
    instructor: Api, course: str
) -> None:
    name = f"{new_id()}.pdf"
    content = {"modules": [module(lesson(), lesson(title="Recipes", media=[media(name)]))]}

    answer = brought(instructor, course, packed(content))

    (missing,) = answer["missing_media"]
    lesson_id = missing.pop("lesson_id")
    assert instructor.get(f"/lessons/{lesson_id}").json["title"] == "Recipes"
    assert missing == {"lesson_title": "Recipes", **media(name)}
    body = {member: missing[member] for member in ("file_name", "content_type", "size", "sha256")}
    assert instructor.post(f"/lessons/{lesson_id}/media-files", body).status_code == 201


@pytest.mark.parametrize(
    ("state", "size"),
    [("awaiting_upload", None), ("checking", None), ("failed", None), ("ready", 1)],
)
def test_what_is_not_ready_or_of_another_size_is_not_shared(
    instructor: Api, database: Database, acme: UUID, state: str, size: int | None
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    name = f"{new_id()}.pdf"
    add_file(
        database,
        acme,
        made.lesson_ids[0],
        instructor.person,
        name,
        state=state,
        size=size or len(name),
    )
    content = {"modules": [module(lesson(media=[media(name)]))]}

    answer = brought(instructor, new_course(instructor), packed(content))

    assert [one["file_name"] for one in answer["missing_media"]] == [name]
    assert assets_of(database, acme, answer["draft"]["id"]) == []


def test_a_file_whose_checksum_was_never_told_is_known_by_its_id(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    known = add_file(
        database, acme, made.lesson_ids[0], instructor.person, "recipe.pdf", sha256=None
    )
    said = {"asset_id": str(known), "sha256": None}
    right, wrong, other = (
        media("recipe.pdf", **said),
        media("recipe.pdf", **said, size=99),
        media("recipe.pdf", sha256=None),
    )
    content = {"modules": [module(lesson(media=[right, wrong, other]))]}

    answer = brought(instructor, new_course(instructor), packed(content))

    assert assets_of(database, acme, answer["draft"]["id"]) == [known]
    assert [one["size"] for one in answer["missing_media"]] == [99, right["size"]]


@pytest.mark.parametrize(("who", "is_shared"), [("colleague", False), ("admin", True)])
def test_a_file_of_a_course_that_one_does_not_teach_is_not_shared_by_its_id_alone(
    request: pytest.FixtureRequest,
    instructor: Api,
    database: Database,
    acme: UUID,
    who: str,
    is_shared: bool,
) -> None:
    api: Api = request.getfixturevalue(who)
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    known = add_file(
        database, acme, made.lesson_ids[0], instructor.person, "solutions.pdf", sha256=None
    )
    said = media("solutions.pdf", asset_id=str(known), sha256=None)
    content = packed({"modules": [module(lesson(media=[said]))]})

    answer = brought(api, new_course(api), content)

    shared = assets_of(database, acme, answer["draft"]["id"])
    assert (shared == [known], answer["missing_media"] == []) == (is_shared, is_shared)


def test_who_teaches_a_course_shares_what_others_added_to_it(
    instructor: Api, colleague: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    known = add_file(
        database, acme, made.lesson_ids[0], colleague.person, "recipe.pdf", sha256=None
    )

    draft = brought(instructor, new_course(instructor), export(instructor, made.version_id))[
        "draft"
    ]

    assert assets_of(database, acme, draft["id"]) == [known]


def test_who_added_a_file_shares_it_wherever_they_teach(
    instructor: Api, colleague: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    known = add_file(
        database, acme, made.lesson_ids[0], colleague.person, "recipe.pdf", sha256=None
    )

    archive = export(instructor, made.version_id)
    draft = brought(colleague, new_course(colleague), archive)["draft"]

    assert assets_of(database, acme, draft["id"]) == [known]


def test_another_academys_files_are_not_here(
    instructor: Api, teacher: Api, database: Database, acme: UUID, globex: UUID
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    for name, checksum in ((f"{new_id()}.pdf", {}), ("unknown.pdf", {"sha256": None})):
        add_file(database, acme, made.lesson_ids[0], instructor.person, name, **checksum)

    answer = brought(teacher, new_course(teacher), export(instructor, made.version_id))

    assert len(answer["missing_media"]) == 2
    assert assets_of(database, globex, answer["draft"]["id"]) == []


def test_a_course_that_has_a_draft_takes_no_other(
    instructor: Api, database: Database, acme: UUID
) -> None:
    made = make_draft(database, acme, instructor.person)

    refused = bring(instructor, made.course_id, export(instructor, made.version_id))

    assert (refused.status_code, refused.json["code"]) == (409, "draft_exists")
    assert refused.json["draft_version_id"] == str(made.version_id)


def test_archives_are_imported_by_those_who_teach_the_course(
    colleague: Api, student: Api, admin: Api, course: str
) -> None:
    archive = packed({"modules": []})

    assert bring(student, course, archive).status_code == 403
    assert bring(colleague, course, archive).status_code == 404
    assert bring(admin, course, archive).status_code == 201
    assert bring(admin, new_id(), archive).status_code == 404


def test_importing_takes_as_many_statements_for_a_thousand_lessons_as_for_four(
    instructor: Api, database: Database, acme: UUID, app: Flask
) -> None:
    counts = []
    for modules, lessons in ((2, 2), (50, 20)):
        _, version_id = make_long_draft(
            database, acme, instructor.person, modules=modules, lessons=lessons
        )
        archive, course_id = export(instructor, version_id), new_course(instructor)
        with counted(app) as sent:
            answer = brought(instructor, course_id, archive)
        counts.append(len(sent))
        assert len(assets_of(database, acme, answer["draft"]["id"])) == modules
        assert answer["missing_media"] == []

    assert counts[0] == counts[1] <= 15


def test_a_file_that_is_deleted_meanwhile_is_waited_for_and_missing(
    instructor: Api, database: Database, acme: UUID, course: str, thread: ThreadPoolExecutor
) -> None:
    made = make_draft(database, acme, instructor.person, outline=[["document"]])
    name = f"{new_id()}.pdf"
    add_file(database, acme, made.lesson_ids[0], instructor.person, name)
    archive = read_archive(export(instructor, made.version_id))
    actor = instructor.person.actor

    def bring_it() -> list[str]:
        with database.transaction(OrganizationScope(acme)) as session:
            found = importing.import_version(session, actor, UUID(course), archive)
            return [one.file_name for one in found.missing_media]

    with database.transaction(OrganizationScope(acme)) as session:
        content.delete_lesson(session, actor, made.lesson_ids[0], expected=None)
        importing_it = thread.submit(bring_it)
        wait_until_blocked(database, acme, importing_it)

    assert importing_it.result(timeout=10) == [name]


def test_archives_that_come_at_the_same_time_become_one_draft(
    instructor: Api, database: Database, acme: UUID, course: str, thread: ThreadPoolExecutor
) -> None:
    archive = read_archive(packed({"modules": [module(lesson())]}))

    def bring_it(_: int) -> str:
        try:
            with database.transaction(OrganizationScope(acme)) as session:
                importing.import_version(session, instructor.person.actor, UUID(course), archive)
        except DraftExistsError:
            return "draft_exists"
        return "imported"

    assert sorted(thread.map(bring_it, range(8))) == ["draft_exists"] * 7 + ["imported"]
    with database.transaction(OrganizationScope(acme)) as session:
        drafts = select(func.count()).where(CourseVersion.course_id == UUID(course))
        assert session.scalar(drafts) == 1


def test_an_exported_version_shares_its_video_when_it_comes_back(
    instructor: Api, database: Database, acme: UUID, course: str
) -> None:
    made = make_published(database, acme, instructor.person, outline=[["video"]])

    draft = brought(instructor, course, export(instructor, made.version_id))["draft"]

    assert instructor.post(f"/course-versions/{draft['id']}/publish").status_code == 200
    assert videos(instructor, draft["id"]) == videos(instructor, made.version_id)


def videos(api: Api, version_id: object) -> list[str]:
    (one,) = api.get(f"/course-versions/{version_id}/outline").json["modules"]
    return [file["video_id"] for inner in one["lessons"] for file in inner["media"]]


def count_assets(database: Database, organization_id: UUID) -> int:
    with database.transaction(OrganizationScope(organization_id)) as session:
        return session.scalars(select(func.count()).select_from(MediaAsset)).one()


def test_memory_does_not_grow_with_what_is_exported(
    instructor: Api, database: Database, acme: UUID, course: str, tmp_path: Path
) -> None:
    text = {"content": "flavour " * 10_000}
    long = packed({"modules": [module(*(lesson(**text) for _ in range(200)))]})
    draft = brought(instructor, course, long)["draft"]
    with (
        database.transaction(OrganizationScope(acme)) as session,
        exported_version(session, instructor.person.actor, UUID(draft["id"])) as exported,
        (tmp_path / "version.zip").open("wb") as sink,
    ):
        tracemalloc.start()
        try:
            write_archive(sink, exported)
            assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
        finally:
            tracemalloc.stop()
    assert len(content_of((tmp_path / "version.zip").read_bytes())["modules"][0]["lessons"]) == 200
