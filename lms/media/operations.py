"""Assets: uploaded bytes, from the first part to their use."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.clock import now
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.queue import CHECK_UPLOAD, Doorbell, enqueue
from lms.core.storage.base import Storage
from lms.media import transcoding
from lms.media.errors import FileTooLargeError, MediaNotReadyError
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition
from lms.media.uploads import Inspection, Refusal


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """An address of one purpose, and when it stops working (UTC)."""

    url: str
    expires_at: datetime


def storage_key(organization_id: UUID, asset_id: UUID) -> str:
    """Return where an asset's bytes are kept: ids only, never the user's file name."""
    return f"o/{organization_id}/{asset_id}/original"


def check_size(size: int, limit: int) -> None:
    """Refuse a file that is larger than the installation takes, both in bytes.

    Raises:
        FileTooLargeError: it is.
    """
    if size > limit:
        raise FileTooLargeError(
            f"The file has {size} bytes; at most {limit} are taken.", limit_bytes=limit
        )


def create_asset(
    session: Session,
    actor: Actor,
    *,
    asset_id: UUID,
    key: str,
    upload_id: str,
    content_type: str,
    size: int,
    sha256: str | None,
) -> MediaAsset:
    """Record bytes that are about to be uploaded.

    Args:
        session: the organization's.
        actor: who uploads.
        asset_id: its id, already part of `key`.
        key: where the bytes go.
        upload_id: what the store calls the upload.
        content_type: what the client says it is; corrected once the bytes are there.
        size: bytes.
        sha256: hex, to be verified.
    """
    asset = MediaAsset(
        id=asset_id,
        kind="unknown",
        content_type=content_type,
        size=size,
        sha256=sha256,
        storage_key=key,
        upload_id=upload_id,
        state="awaiting_upload",
        created_by=actor.user_id,
    )
    session.add(asset)
    session.flush()
    return asset


def settle_upload(
    session: Session, doorbell: Doorbell, asset_id: UUID, inspection: Inspection
) -> MediaAsset:
    """Record what the uploaded bytes are; the second of two callers changes nothing.

    Args:
        session: the organization's.
        doorbell: rung for the work that follows.
        asset_id: the asset.
        inspection: what `uploads.complete` found.
    """
    asset = _locked(session, asset_id)
    if asset.state != "awaiting_upload":
        return asset
    asset.upload_id = None
    if inspection.detected is not None:
        asset.kind = inspection.detected.kind
        asset.content_type = inspection.detected.content_type
    if inspection.refusal is not None:
        _refuse(asset, inspection.refusal)
    elif inspection.verdict == "unchecked":
        asset.state = "checking"
        enqueue(session, doorbell, CHECK_UPLOAD, asset.id)
    else:
        _accept(session, doorbell, asset)
    session.flush()
    return asset


def accept(session: Session, doorbell: Doorbell, asset_id: UUID) -> None:
    """Take an asset whose checksum was compared; a video is queued to be converted.

    Does nothing when it was deleted meanwhile.
    """
    asset = session.get(MediaAsset, asset_id, with_for_update=True)
    if asset is not None and asset.state == "checking":
        _accept(session, doorbell, asset)
        session.flush()


def refuse(session: Session, asset_id: UUID, refusal: Refusal) -> None:
    """Refuse an asset whose bytes are not what they should be."""
    asset = session.get(MediaAsset, asset_id, with_for_update=True)
    if asset is not None and asset.state == "checking":
        _refuse(asset, refusal)
        session.flush()


def delete_assets(session: Session, asset_ids: Collection[UUID]) -> list[str]:
    """Delete assets that nothing refers to any more, with their videos and renditions.

    Args:
        session: the organization's.
        asset_ids: which; locked by the caller.

    Returns:
        Keys of their bytes; the caller removes them from the store after the commit.
    """
    if not asset_ids:
        return []
    video_ids = session.scalars(select(Video.id).where(Video.asset_id.in_(asset_ids))).all()
    # A publication locks its job and then writes renditions: they must not come in between.
    session.execute(
        select(TranscodingJob.id)
        .where(TranscodingJob.video_id.in_(video_ids))
        .order_by(TranscodingJob.id)
        .with_for_update()
    )
    session.execute(delete(VideoRendition).where(VideoRendition.video_id.in_(video_ids)))
    session.execute(delete(TranscodingJob).where(TranscodingJob.video_id.in_(video_ids)))
    session.execute(delete(Video).where(Video.id.in_(video_ids)))
    return list(
        session.scalars(
            delete(MediaAsset).where(MediaAsset.id.in_(asset_ids)).returning(MediaAsset.storage_key)
        )
    )


def download_url(
    storage: Storage, asset: MediaAsset, file_name: str, base_url: str, expires_in: timedelta
) -> SignedUrl:
    """Sign an address under which a browser saves an asset. Computing only.

    Args:
        storage: the store.
        asset: what to download; must be ready.
        file_name: the name that it is saved under.
        base_url: `<scheme>://<host>/api/v1` of our own API.
        expires_in: how long the address works, at most 7 days.

    Raises:
        MediaNotReadyError: its bytes are not there or were refused.
    """
    if asset.state != "ready":
        raise MediaNotReadyError(
            f"This file cannot be downloaded while it is {asset.state}.", state=asset.state
        )
    url = storage.signed_url(
        asset.storage_key,
        expires_in=expires_in,
        base_url=base_url,
        content_type=asset.content_type,
        download_name=file_name,
    )
    return SignedUrl(url, now() + expires_in)


def _locked(session: Session, asset_id: UUID) -> MediaAsset:
    asset = session.get(MediaAsset, asset_id, with_for_update=True, populate_existing=True)
    if asset is None:
        raise NotFoundError("There is no such file.")
    return asset


def _accept(session: Session, doorbell: Doorbell, asset: MediaAsset) -> None:
    asset.state = "ready"
    if asset.kind != "video":
        return
    video = Video(id=new_id(), asset_id=asset.id, state="processing")
    session.add(video)
    session.flush()
    transcoding.begin(session, doorbell, video)


def _refuse(asset: MediaAsset, refusal: Refusal) -> None:
    asset.state, asset.error_code, asset.error_message = "failed", refusal.code, refusal.message
