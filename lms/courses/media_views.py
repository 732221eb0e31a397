"""Files of lessons over HTTP: added in parts, completed, downloaded, deleted."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.core.storage.base import ObjectNotFound, Storage, StorageError
from lms.courses import media_operations as operations
from lms.courses.media_operations import LessonFile, Upload
from lms.courses.media_schemas import MediaFileDownloadOut, MediaFileIn, MediaFileOut
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media import operations as assets
from lms.media import uploads
from lms.media.errors import storage_troubles
from lms.media.operations import SignedUrl

blp = TenantBlueprint(
    "Lesson media",
    __name__,
    description="Files of lessons. Bytes go straight to the store, part by part, and can be "
    "resumed: read the file again to see what has arrived.",
)
FILE = "/media-files/<uuid:media_file_id>"
DOWNLOAD_LIFETIME = timedelta(minutes=15)


@blp.operation(
    "POST",
    "/lessons/<uuid:lesson_id>/media-files",
    id="createMediaFile",
    body=MediaFileIn,
    returns=MediaFileOut,
    status=201,
    roles=STAFF,
    transaction="steps",
    refusals=(409,),
)
def create_media_file(call: Call, lesson_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Add a file to a lesson.

    For who teaches the course. The answer says how to send the bytes: each part to its own
    address, then complete. 409 when the version is published; 413 when the file is too large.
    """
    assets.check_size(body["size"], call.use(Settings).max_upload_bytes)
    with call.transaction() as session:
        operations.check_addable(session, call.actor, lesson_id)
    storage, asset_id = call.use(Storage), new_id()
    key = assets.storage_key(call.organization_id, asset_id)
    with storage_troubles():
        # The declared type is not believed, so the store does not get to serve it either.
        upload_id = storage.begin_upload(
            key, size=body["size"], content_type="application/octet-stream"
        )
    try:
        with call.transaction() as session:
            found = operations.add_file(
                session,
                call.actor,
                lesson_id,
                asset_id=asset_id,
                key=key,
                upload_id=upload_id,
                **body,
            )
    except Exception:
        with suppress(StorageError):
            storage.abort_upload(key, upload_id)
        raise
    return _shown(found, operations.upload_of(storage, found.asset, _base_url(call), ()))


@blp.operation(
    "GET",
    FILE,
    id="getMediaFile",
    returns=MediaFileOut,
    roles=STAFF,
    transaction="steps",
    refusals=(409,),
)
def get_media_file(call: Call, media_file_id: UUID) -> dict[str, Any]:
    """Get a file of a lesson.

    For who teaches the course. While its bytes are awaited, `upload` says what has arrived and
    signs new addresses for the rest.
    """
    with call.transaction() as session:
        found = operations.get_file(session, call.actor, media_file_id)
    return _shown(found, _unfinished(call, found))


@blp.operation(
    "DELETE",
    FILE,
    id="deleteMediaFile",
    status=204,
    roles=STAFF,
    transaction="steps",
    refusals=(409,),
)
def delete_media_file(call: Call, media_file_id: UUID) -> None:
    """Delete a file from a lesson.

    For who teaches the course. 409 when the version is published. The bytes go too, unless
    another version uses them.
    """
    with call.transaction() as session:
        keys = operations.delete_file(session, call.actor, media_file_id)
    uploads.discard(call.use(Storage), keys)


@blp.operation(
    "POST",
    FILE + "/complete",
    id="completeMediaFile",
    returns=MediaFileOut,
    status=202,
    roles=STAFF,
    transaction="steps",
    refusals=(409,),
)
def complete_media_file(call: Call, media_file_id: UUID) -> dict[str, Any]:
    """Complete an upload.

    For who teaches the course, once all parts are sent. What the file is, is decided by its
    content; what cannot be used becomes `failed` with a message. A video is queued to be
    converted. A repeat answers the same. 409 when parts are missing.
    """
    with call.transaction() as session:
        found = operations.get_file(session, call.actor, media_file_id)
    asset = found.asset
    if asset.state != "awaiting_upload" or asset.upload_id is None:
        return _shown(found, None)
    with storage_troubles():
        inspection = uploads.complete(
            call.use(Storage),
            key=asset.storage_key,
            upload_id=asset.upload_id,
            size=asset.size,
            sha256=asset.sha256,
        )
    with call.transaction() as session:
        found = operations.settle_upload(
            session, call.actor, call.use(Doorbell), media_file_id, inspection
        )
    return _shown(found, None)


@blp.operation(
    "GET",
    FILE + "/download",
    id="downloadMediaFile",
    returns=MediaFileDownloadOut,
    roles=STAFF,
    refusals=(409,),
)
def download_media_file(call: Call, media_file_id: UUID) -> SignedUrl:
    """Get an address that downloads a file.

    For who teaches the course. It works for 15 minutes. 409 until the upload is complete.
    """
    found = operations.get_file(call.session, call.actor, media_file_id)
    return assets.download_url(
        call.use(Storage), found.asset, found.file.file_name, _base_url(call), DOWNLOAD_LIFETIME
    )


def _unfinished(call: Call, found: LessonFile) -> Upload | None:
    """Return what is known of an unfinished upload, None when it has ended."""
    asset = found.asset
    if asset.state != "awaiting_upload" or asset.upload_id is None:
        return None
    storage = call.use(Storage)
    received = []
    with storage_troubles(), suppress(ObjectNotFound):
        # Gone while another request completes it: what that one made is seen next time.
        received = storage.uploaded_parts(asset.storage_key, asset.upload_id)
    return operations.upload_of(storage, asset, _base_url(call), received)


def _base_url(call: Call) -> str:
    return f"{call.base_url}/api/v1"


def _shown(found: LessonFile, upload: Upload | None) -> dict[str, Any]:
    file, asset = found.file, found.asset
    return {
        "id": file.id,
        "lesson_id": file.lesson_id,
        "file_name": file.file_name,
        "kind": asset.kind,
        "content_type": asset.content_type,
        "size": asset.size,
        "sha256": asset.sha256,
        "state": asset.state,
        "error_code": asset.error_code,
        "error_message": asset.error_message,
        "video_id": found.video_id,
        "upload": upload,
        "created_at": file.created_at,
    }
