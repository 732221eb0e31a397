"""Files of lessons: who may add, see and delete them, and which asset is behind each.

Database and store take turns: what takes a session writes rows, what takes a `Storage` alone talks
to the network, and the view calls one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.clock import now
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage, UploadedPart, UploadPart
from lms.courses import queries
from lms.courses.errors import VersionPublishedError
from lms.courses.models import CourseVersion, Lesson, MediaFile
from lms.courses.operations.unused import delete_unused
from lms.media import operations as assets
from lms.media.errors import UploadGoneError
from lms.media.models import MediaAsset, Video
from lms.media.uploads import Inspection

UPLOAD_LIFETIME = timedelta(hours=24)
"""How long an upload's addresses work; reading the file again signs new ones."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An unfinished upload.

    Attributes:
        parts: still to be sent.
        received_parts: numbers of those that have arrived.
        received_bytes: their bytes.
        expires_at: when the parts' addresses stop working, UTC.
    """

    parts: list[UploadPart]
    received_parts: list[int]
    received_bytes: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LessonFile:
    """A file of a lesson, its asset, and the id of the asset's video if it is one."""

    file: MediaFile
    asset: MediaAsset
    video_id: UUID | None


def check_addable(session: Session, actor: Actor, lesson_id: UUID) -> None:
    """Make sure that the actor may add files to a lesson.

    Its version stays locked against publishing until the transaction ends.

    Raises:
        NotFoundError: the actor teaches no course with this lesson.
        VersionPublishedError: its version is frozen.
    """
    lesson = queries.taught_lesson(session, actor, lesson_id)
    _require_draft(session, lesson.version_id)
    # The lesson may have been deleted while this waited for its version.
    queries.taught_lesson(session, actor, lesson_id)


def add_file(
    session: Session,
    actor: Actor,
    lesson_id: UUID,
    *,
    asset_id: UUID,
    key: str,
    upload_id: str,
    file_name: str,
    content_type: str,
    size: int,
    sha256: str | None,
) -> LessonFile:
    """Add a file that is about to be uploaded.

    Args:
        session: the organization's.
        actor: who teaches the course.
        lesson_id: where it belongs.
        asset_id: id of its bytes, already part of `key`.
        key: where the bytes go.
        upload_id: what the store calls the upload.
        file_name: the name for downloads.
        content_type: what the client takes it for.
        size: bytes.
        sha256: hex, or None.

    Raises:
        NotFoundError: the actor teaches no course with this lesson.
        VersionPublishedError: its version is frozen.
    """
    check_addable(session, actor, lesson_id)
    asset = assets.create_asset(
        session,
        actor,
        asset_id=asset_id,
        key=key,
        upload_id=upload_id,
        content_type=content_type,
        size=size,
        sha256=sha256,
    )
    file = MediaFile(id=new_id(), lesson_id=lesson_id, asset_id=asset.id, file_name=file_name)
    session.add(file)
    session.flush()
    audit.record(
        session,
        "media_file.create",
        ("media_file", file.id),
        actor_id=actor.user_id,
        after={"lesson_id": str(lesson_id), "file_name": file_name, "size": size},
    )
    return LessonFile(file, asset, None)


def get_file(session: Session, actor: Actor, file_id: UUID) -> LessonFile:
    """Return a file of a lesson.

    Raises:
        NotFoundError: the actor teaches no course with this file.
    """
    row = session.execute(
        select(MediaFile, MediaAsset, Video.id)
        .join(Lesson, Lesson.id == MediaFile.lesson_id)
        .join(CourseVersion, CourseVersion.id == Lesson.version_id)
        .join(MediaAsset, MediaAsset.id == MediaFile.asset_id)
        .outerjoin(Video, Video.asset_id == MediaAsset.id)
        .where(MediaFile.id == file_id, queries.taught_by(actor, CourseVersion.course_id))
    ).first()
    if row is None:
        raise NotFoundError("There is no such file for you.")
    return LessonFile(*row)


def settle_upload(
    session: Session, actor: Actor, doorbell: Doorbell, file_id: UUID, inspection: Inspection
) -> LessonFile:
    """Record what the uploaded bytes are; a repeat changes nothing.

    Raises:
        NotFoundError: the file was deleted meanwhile.
    """
    found = get_file(session, actor, file_id)
    assets.settle_upload(session, doorbell, found.asset.id, inspection)
    return get_file(session, actor, file_id)


def delete_file(session: Session, actor: Actor, file_id: UUID) -> list[str]:
    """Take a file out of a draft.

    Returns:
        The key of bytes that nobody refers to any more, to be removed from the store after the
        commit; nothing while other versions still use them.

    Raises:
        NotFoundError: the actor teaches no course with this file.
        VersionPublishedError: its version is frozen.
    """
    found = get_file(session, actor, file_id)
    lesson = session.get_one(Lesson, found.file.lesson_id)
    _require_draft(session, lesson.version_id)
    # It may have been deleted, alone or with its lesson, while this waited for the version.
    file = session.get(MediaFile, file_id, with_for_update=True, populate_existing=True)
    if file is None:
        raise NotFoundError("There is no such file for you.")
    session.delete(file)
    session.flush()
    audit.record(
        session,
        "media_file.delete",
        ("media_file", file_id),
        actor_id=actor.user_id,
        before={"lesson_id": str(file.lesson_id), "file_name": file.file_name},
    )
    return delete_unused(session, [file.asset_id])


def upload_of(
    storage: Storage, asset: MediaAsset, base_url: str, received: Sequence[UploadedPart]
) -> Upload:
    """Sign addresses for what is still missing of an upload. Computing only.

    Args:
        storage: the store.
        asset: awaiting its bytes.
        base_url: `<scheme>://<host>/api/v1` of our own API.
        received: parts that have arrived.

    Raises:
        UploadGoneError: the upload has ended.
    """
    if asset.upload_id is None:
        raise UploadGoneError("This upload has ended.")
    whole = {(part.number, part.size) for part in received}
    parts = storage.upload_parts(
        asset.storage_key,
        asset.upload_id,
        size=asset.size,
        expires_in=UPLOAD_LIFETIME,
        base_url=base_url,
    )
    there = [part for part in parts if (part.number, part.size) in whole]
    return Upload(
        parts=[part for part in parts if (part.number, part.size) not in whole],
        received_parts=[part.number for part in there],
        received_bytes=sum(part.size for part in there),
        expires_at=now() + UPLOAD_LIFETIME,
    )


def _require_draft(session: Session, version_id: UUID) -> None:
    state = session.scalar(
        select(CourseVersion.state).where(CourseVersion.id == version_id).with_for_update(read=True)
    )
    if state != "draft":
        raise VersionPublishedError(
            "Published versions do not change; make a draft of the course and add files there.",
            state=state,
            version_id=str(version_id),
        )
