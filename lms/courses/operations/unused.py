"""Assets that nothing refers to any more, once a file, lesson, module or course is deleted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from lms.courses.models import CourseVersion, Lesson, MediaFile
from lms.media import operations as assets
from lms.media.models import MediaAsset


def assets_where(session: Session, condition: ColumnElement[bool]) -> Sequence[UUID]:
    """Return the assets of the lessons that meet a condition.

    Args:
        session: the organization's; the lessons' versions are held, so that no file is added.
        condition: on `Lesson` or `CourseVersion`.
    """
    return session.scalars(
        select(MediaFile.asset_id)
        .distinct()
        .join(Lesson, Lesson.id == MediaFile.lesson_id)
        .join(CourseVersion, CourseVersion.id == Lesson.version_id)
        .where(condition)
    ).all()


def delete_unused(session: Session, asset_ids: Collection[UUID]) -> list[str]:
    """Delete those of the assets that no lesson of any version uses.

    Args:
        session: the organization's; what was deleted is flushed.
        asset_ids: candidates.

    Returns:
        Keys of their bytes, to be removed from the store after the commit
        (`lms.media.uploads.discard`).
    """
    # Locked first: of two that delete an asset's last two uses, the second sees what the first did.
    session.execute(
        select(MediaAsset.id)
        .where(MediaAsset.id.in_(asset_ids))
        .order_by(MediaAsset.id)
        .with_for_update()
    )
    unused = session.scalars(
        select(MediaAsset.id).where(
            MediaAsset.id.in_(asset_ids), ~exists().where(MediaFile.asset_id == MediaAsset.id)
        )
    ).all()
    return assets.delete_assets(session, unused)
