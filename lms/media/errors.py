"""Refusals about media, and how a store's troubles are told to clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lms.core.errors import ConflictError, DomainError
from lms.core.storage.base import ObjectNotFound, StorageError, UploadIncomplete


class FileTooLargeError(DomainError):
    """The file is larger than this installation takes."""

    kind = "too_large"
    code = "file_too_large"


class UploadIncompleteError(ConflictError):
    """Parts are missing; `missing` holds their numbers."""

    code = "upload_incomplete"


class UploadGoneError(ConflictError):
    """The unfinished upload was dropped; the file has to be added anew."""

    code = "upload_gone"


class MediaNotReadyError(ConflictError):
    """The bytes are not there yet, or were refused."""

    code = "media_not_ready"


class TranscodingOpenError(ConflictError):
    """The video is being converted right now."""

    code = "transcoding_open"


class TranscodingEndedError(ConflictError):
    """The conversion has ended; there is nothing to cancel."""

    code = "transcoding_ended"


class WrongPartSizeError(DomainError):
    """The body of a part does not have the size that its address was signed for."""

    kind = "bad_request"
    code = "wrong_part_size"


class StorageAwayError(DomainError):
    """The store of bytes does not answer."""

    kind = "unavailable"
    code = "storage_unavailable"


@contextmanager
def storage_troubles() -> Iterator[None]:
    """Turn what a store raises into refusals that clients understand.

    Raises:
        UploadIncompleteError: parts are missing.
        UploadGoneError: there is no such upload.
        StorageAwayError: the store does not answer, or refuses us.
    """
    try:
        yield
    except UploadIncomplete as error:
        raise UploadIncompleteError(
            f"{len(error.missing)} part(s) have not arrived; send them and complete again.",
            missing=list(error.missing),
        ) from error
    except ObjectNotFound as error:
        raise UploadGoneError("This upload does not exist any more; add the file anew.") from error
    except StorageError as error:
        raise StorageAwayError("The store of files does not answer. Try again shortly.") from error
