"""Archives of course versions: opened for a look, and packed by somebody else than the product."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from sqlalchemy.orm import Session

from lms.core.ids import new_id
from lms.courses.archives.reading import read_archive
from lms.courses.models import MediaFile
from lms.courses.operations import courses, importing, versions
from lms.media.models import MediaAsset
from tenants.session import Database, OrganizationScope
from tests.factories.people import Person

MANIFEST: dict[str, Any] = {
    "format": "course-version",
    "format_version": 1,
    "content_hash": "0" * 64,
    "course": {"id": str(new_id()), "title": "Espresso from Bean to Cup", "language": "en"},
    "version": {"id": str(new_id()), "number": 3, "label": "Spring revision"},
}
IDENTITY = ("lineage_id", "asset_id")


def opened(archive: bytes) -> dict[str, Any]:
    """Return the two documents of an archive, by the names of their files."""
    with ZipFile(BytesIO(archive)) as found:
        return {name: json.loads(found.read(name)) for name in found.namelist()}


def manifest_of(archive: bytes) -> dict[str, Any]:
    return opened(archive)["manifest.json"]


def content_of(archive: bytes) -> dict[str, Any]:
    return opened(archive)["version.json"]


def anonymous(node: Any) -> Any:
    """Return a document without what identifies its parts."""
    if isinstance(node, dict):
        return {name: anonymous(value) for name, value in node.items() if name not in IDENTITY}
    return [anonymous(one) for one in node] if isinstance(node, list) else node


def packed(content: Any, manifest: Any = MANIFEST) -> bytes:
    """Return an archive of two documents."""
    return zipped({"manifest.json": manifest, "version.json": content})


def zipped(entries: Mapping[str, Any], *, compression: int = ZIP_DEFLATED) -> bytes:
    """Return a ZIP of files; what is not bytes is written as JSON."""
    sink = BytesIO()
    with ZipFile(sink, "w", compression) as archive:
        for name, document in entries.items():
            raw = document if isinstance(document, bytes) else json.dumps(document).encode()
            archive.writestr(name, raw)
    return sink.getvalue()


def lesson(**members: Any) -> dict[str, Any]:
    """Return a lesson of an archive, with the fewest members."""
    return {"kind": "text", "title": "Dialling in", **members}


def module(*lessons: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a module of an archive, with the fewest members."""
    return {"title": "The grind", "lessons": list(lessons), **members}


def media(name: str, **members: Any) -> dict[str, Any]:
    """Return a file of an archive: a document whose bytes are its name."""
    return {
        "file_name": name,
        "kind": "document",
        "content_type": "application/pdf",
        "size": len(name),
        "sha256": sha256(name.encode()).hexdigest(),
        **members,
    }


def add_asset(
    session: Session,
    organization_id: UUID,
    owner: Person,
    name: str,
    *,
    state: str = "ready",
    **members: Any,
) -> UUID:
    """Make an asset of what `media` says, without bytes; returns its id."""
    asset_id, said = new_id(), media(name, **members)
    said.pop("file_name")
    session.add(
        MediaAsset(
            id=asset_id,
            storage_key=f"o/{organization_id}/{asset_id}/original",
            state=state,
            created_by=owner.id,
            **said,
        )
    )
    session.flush()
    return asset_id


def add_file(
    database: Database,
    organization_id: UUID,
    lesson_id: UUID,
    owner: Person,
    name: str,
    **members: Any,
) -> UUID:
    """Attach a file of what `media` says to a lesson, or in another `state`; returns its asset."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        asset_id = add_asset(session, organization_id, owner, name, **members)
        session.add(MediaFile(id=new_id(), lesson_id=lesson_id, asset_id=asset_id, file_name=name))
    return asset_id


def make_long_draft(
    database: Database, organization_id: UUID, owner: Person, *, modules: int, lessons: int
) -> tuple[UUID, UUID]:
    """Make a course whose draft has modules of so many lessons each; returns both ids.

    The first lesson of each module has a file.
    """
    names = [f"{new_id()}.pdf" for _ in range(modules)]
    content = {
        "modules": [
            module(
                lesson(media=[media(name)]),
                *(lesson(title=f"Lesson {number}") for number in range(2, lessons + 1)),
            )
            for name in names
        ]
    }
    with database.transaction(OrganizationScope(organization_id)) as session:
        course = courses.create_course(
            session,
            owner.actor,
            title="Espresso from Bean to Cup",
            summary="",
            language="en",
            instructor_id=None,
        )
        for name in names:
            add_asset(session, organization_id, owner, name)
        made = importing.import_version(
            session, owner.actor, course.id, read_archive(packed(content))
        )
        return course.id, made.draft.id


def make_long_version(
    database: Database, organization_id: UUID, owner: Person, *, modules: int, lessons: int
) -> tuple[UUID, UUID]:
    """As `make_long_draft`, published."""
    course_id, version_id = make_long_draft(
        database, organization_id, owner, modules=modules, lessons=lessons
    )
    with database.transaction(OrganizationScope(organization_id)) as session:
        versions.publish_version(session, owner.actor, version_id, expected=None)
    return course_id, version_id
