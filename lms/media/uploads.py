"""Looking at bytes that have arrived: network and computing, no database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from lms.core.storage.base import Storage, StorageError
from lms.media.content_types import HEAD_BYTES, Detected, detect

log = structlog.get_logger()

CHECK_AT_ONCE_BYTES = 8 * 1024 * 1024
"""Larger files are read for their checksum by a job, not while the client waits."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file was not taken: a stable code, and a message for the teacher."""

    code: str
    message: str


UNKNOWN_TYPE = Refusal(
    "unsupported_file_type",
    "Files of this kind cannot be used in lessons. Please upload a video (MP4, MOV, WebM, MKV), "
    "audio (MP3, M4A, WAV, OGG), picture (PNG, JPEG, WebP, GIF), PDF, PowerPoint, Word or caption "
    "file (VTT, SRT).",
)
SIZE_DIFFERS = Refusal(
    "size_mismatch",
    "The file that arrived has another size than announced. Please upload it again.",
)
CHECKSUM_DIFFERS = Refusal(
    "checksum_mismatch",
    "The file was damaged on its way to us. Please upload it again.",
)
NOT_CHECKED = Refusal(
    "not_checked", "The file could not be checked on our side. Please upload it again."
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the bytes turned out to be.

    Attributes:
        verdict: `accepted`, `unchecked` (the checksum is still to be compared) or `refused`.
        detected: kind and media type; None when refused for its content.
        refusal: why it was refused.
    """

    verdict: Literal["accepted", "unchecked", "refused"]
    detected: Detected | None = None
    refusal: Refusal | None = None


def complete(
    storage: Storage, *, key: str, upload_id: str, size: int, sha256: str | None
) -> Inspection:
    """Join the parts of an upload and look at the result. May be repeated.

    Args:
        storage: the store.
        key: the object's key.
        upload_id: what the store called the upload.
        size: bytes that the client announced.
        sha256: checksum that the client announced, hex.

    Raises:
        UploadIncomplete: parts are missing.
        ObjectNotFound: there is neither upload nor object.
        StorageError: the store does not answer, or refuses us (rights, bucket, ...).
    """
    try:
        storage.complete_upload(key, upload_id, size=size)
    except StorageError:
        if not _has_other_size(storage, key, size):
            raise
        return Inspection("refused", refusal=SIZE_DIFFERS)
    head = storage.read(key, 0, HEAD_BYTES)
    detected = detect(head, storage.read(key, max(0, size - HEAD_BYTES), size))
    if detected is None:
        return Inspection("refused", refusal=UNKNOWN_TYPE)
    if sha256 is None:
        return Inspection("accepted", detected)
    if size > CHECK_AT_ONCE_BYTES:
        return Inspection("unchecked", detected)
    if hashlib.sha256(storage.read(key)).hexdigest() != sha256:
        return Inspection("refused", detected, CHECKSUM_DIFFERS)
    return Inspection("accepted", detected)


def discard(storage: Storage, keys: Iterable[str]) -> None:
    """Remove the bytes of deleted assets and all that was made from them, after the commit.

    Never raises for what the store does: the assets are gone for everybody already, and only space
    is lost.

    Args:
        storage: the store.
        keys: of the originals.
    """
    for key in keys:
        try:
            storage.delete_prefix(key.removesuffix("original"))
        except StorageError as error:
            log.warning("objects_left", key=key, error=str(error))


def _has_other_size(storage: Storage, key: str, size: int) -> bool:
    """Tell whether the object is there and is not what was announced: the client's fault."""
    with suppress(StorageError):
        return storage.stat(key).size != size
    return False
