"""Captions of lessons' videos, for those who teach a course with the video.

A published version stays as it is: captions belong to the video, not to the version, so they may
still be added and mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.pagination import Page, paginate
from lms.core.versions import check_version
from lms.courses.videos import in_a_taught_lesson, taught_video
from lms.media.captions.errors import (
    CaptionExistsError,
    CaptionLabelTakenError,
    TooManyCaptionsError,
)
from lms.media.captions.files import read_captions
from lms.media.captions.models import VideoCaption
from lms.media.models import Video

MAX_CAPTIONS = 50
"""Of one video; keeps what players are told bounded."""

IDENTITY = ("language", "kind", "label")
"""By which people tell the captions of a video apart."""


def list_captions(
    session: Session, actor: Actor, video_id: UUID, *, limit: int, cursor: str | None
) -> Page[VideoCaption]:
    """Return a page of a video's captions, without their texts.

    Raises:
        NotFoundError: the actor teaches no course with this video.
    """
    video = taught_video(session, actor, video_id)
    query = (
        select(VideoCaption)
        .where(VideoCaption.video_id == video.id)
        .options(defer(VideoCaption.content, raiseload=True))
    )
    return paginate(session, query, VideoCaption.id, limit=limit, cursor=cursor)


def get_caption(session: Session, actor: Actor, caption_id: UUID) -> VideoCaption:
    """Return a caption with its text.

    Raises:
        NotFoundError: the actor teaches no course with its video.
    """
    caption = session.scalar(
        select(VideoCaption)
        .join(Video, Video.id == VideoCaption.video_id)
        .where(VideoCaption.id == caption_id, in_a_taught_lesson(actor))
    )
    if caption is None:
        raise _no_caption()
    return caption


def create_caption(
    session: Session,
    actor: Actor,
    video_id: UUID,
    *,
    language: str,
    kind: str,
    label: str,
    content: str,
) -> VideoCaption:
    """Add a caption to a video.

    Args:
        session: the organization's.
        actor: who teaches a course with the video, or an admin.
        video_id: the video; whether it plays already does not matter.
        language: canonical BCP 47 tag.
        kind: one of `CAPTION_KINDS`.
        label: what people choose by.
        content: a whole WebVTT or SRT file.

    Raises:
        NotFoundError: the actor teaches no course with this video.
        InvalidCaptionsError: the file is no captions that players could show.
        CaptionsTooLargeError: the file is too large.
        CaptionExistsError: there is one of this language and kind.
        CaptionLabelTakenError: another one has this label.
        TooManyCaptionsError: the video has `MAX_CAPTIONS` already.
    """
    # Before the lock, but not for those who may not know of the video.
    taught_video(session, actor, video_id)
    file = read_captions(content)
    _hold_video(session, actor, video_id)
    _check_unique(session, video_id, None, language=language, kind=kind, label=label)
    count = select(func.count()).where(VideoCaption.video_id == video_id)
    if session.scalars(count).one() >= MAX_CAPTIONS:
        raise TooManyCaptionsError(
            f"This video has {MAX_CAPTIONS} captions already.", limit=MAX_CAPTIONS
        )
    caption = VideoCaption(
        id=new_id(),
        video_id=video_id,
        language=language,
        kind=kind,
        label=label,
        content=file.webvtt,
        cues=file.cues,
        created_by=actor.user_id,
    )
    session.add(caption)
    session.flush()
    _record(session, actor, "create", caption.id, after=_told(caption))
    return caption


def update_caption(
    session: Session,
    actor: Actor,
    caption_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
) -> VideoCaption:
    """Change a caption, or replace its text.

    Args:
        session: the organization's.
        actor: who teaches a course with the video, or an admin.
        caption_id: which.
        changes: `language`, `kind`, `label`, `content`, as for `create_caption`; those to change.
        expected: version the client read; None means any.

    Raises:
        NotFoundError: the actor teaches no course with its video.
        StaleVersionError: it changed since.
        InvalidCaptionsError: the file is no captions that players could show.
        CaptionsTooLargeError: the file is too large.
        CaptionExistsError: there is another one of this language and kind.
        CaptionLabelTakenError: another one has this label.
    """
    caption = get_caption(session, actor, caption_id)
    values = dict(changes)
    if "content" in changes:
        file = read_captions(changes["content"])
        values |= {"content": file.webvtt, "cues": file.cues}
    caption = _hold_caption(session, actor, caption)
    check_version(caption, expected)
    identity = {name: values.get(name, getattr(caption, name)) for name in IDENTITY}
    _check_unique(session, caption.video_id, caption.id, **identity)
    before = _told(caption)
    for name, value in values.items():
        setattr(caption, name, value)
    session.flush()
    _record(session, actor, "update", caption.id, before=before, after=_told(caption))
    return caption


def delete_caption(
    session: Session, actor: Actor, caption_id: UUID, *, expected: int | None
) -> None:
    """Take a caption away from its video; refusals as of `update_caption`."""
    caption = _hold_caption(session, actor, get_caption(session, actor, caption_id))
    check_version(caption, expected)
    before = _told(caption)
    session.delete(caption)
    session.flush()
    _record(session, actor, "delete", caption_id, before=before)


def _hold_video(session: Session, actor: Actor, video_id: UUID) -> None:
    """Let those who write captions of a video take turns, and keep it from being deleted.

    Not FOR UPDATE, which would make each foreign key to the video wait.
    """
    held = session.scalar(
        select(Video.id)
        .where(Video.id == video_id, in_a_taught_lesson(actor))
        .with_for_update(key_share=True, of=Video)
    )
    if held is None:
        raise NotFoundError("There is no such video.")


def _hold_caption(session: Session, actor: Actor, caption: VideoCaption) -> VideoCaption:
    """Return a caption as it is now that nobody else may change it."""
    _hold_video(session, actor, caption.video_id)
    held = session.scalar(
        select(VideoCaption)
        .where(VideoCaption.id == caption.id)
        .execution_options(populate_existing=True)
    )
    if held is None:
        raise _no_caption()
    return held


def _check_unique(
    session: Session,
    video_id: UUID,
    caption_id: UUID | None,
    *,
    language: str,
    kind: str,
    label: str,
) -> None:
    """Refuse what another caption of the video has; the video is held, so it stays true."""
    others = session.execute(
        select(VideoCaption.id, VideoCaption.language, VideoCaption.kind, VideoCaption.label).where(
            VideoCaption.video_id == video_id, VideoCaption.id.is_distinct_from(caption_id)
        )
    ).all()
    for other in others:
        if (other.language, other.kind) == (language, kind):
            raise CaptionExistsError(
                f"This video has {kind} in the language {language} already.",
                caption_id=str(other.id),
            )
    for other in others:
        if other.label == label:
            raise CaptionLabelTakenError(
                f'Another caption of this video is called "{label}" already.',
                caption_id=str(other.id),
            )


def _told(caption: VideoCaption) -> dict[str, Any]:
    """Return what the audit log keeps of a caption: all but its text."""
    return {
        "video_id": str(caption.video_id),
        "language": caption.language,
        "kind": caption.kind,
        "label": caption.label,
        "cues": caption.cues,
    }


def _record(session: Session, actor: Actor, verb: str, caption_id: UUID, **states: Any) -> None:
    subject = ("video_caption", caption_id)
    audit.record(session, f"video_caption.{verb}", subject, actor_id=actor.user_id, **states)


def _no_caption() -> NotFoundError:
    return NotFoundError("There is no such caption.")
