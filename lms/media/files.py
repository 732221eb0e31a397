"""Signed bytes of the local store over HTTP: reading with ranges, writing parts."""

from __future__ import annotations

from uuid import UUID

from flask import Request, Response, send_file
from werkzeug.exceptions import RequestEntityTooLarge

from lms.core.clock import now
from lms.core.errors import NotFoundError, StaleVersionError
from lms.core.storage.base import (
    InvalidSignature,
    ObjectNotFound,
    PartSizeMismatch,
    Storage,
    StorageUnavailable,
)
from lms.core.storage.claims import Claim, PartClaim, ReadClaim
from lms.core.storage.disposition import content_disposition
from lms.core.storage.local import LocalStorage
from lms.media.errors import StorageAwayError, UploadGoneError, WrongPartSizeError

_SHOWN_INLINE = ("video/", "audio/", "image/jpeg", "image/png", "image/gif", "image/webp")


def read_claim(
    storage: Storage, organization_id: UUID, token: str
) -> tuple[LocalStorage, ReadClaim]:
    """Return the local store and what a token lets its bearer read.

    Raises:
        NotFoundError: the token does not hold, is another organization's, or files are elsewhere.
    """
    local, claim = _claim(storage, organization_id, token, "GET")
    if not isinstance(claim, ReadClaim):
        raise _not_found()
    return local, claim


def part_claim(
    storage: Storage, organization_id: UUID, token: str
) -> tuple[LocalStorage, PartClaim]:
    """Return the local store and the part that a token lets its bearer write.

    Raises:
        NotFoundError: as for `read_claim`.
    """
    local, claim = _claim(storage, organization_id, token, "PUT")
    if not isinstance(claim, PartClaim):
        raise _not_found()
    return local, claim


def send(storage: LocalStorage, claim: ReadClaim) -> Response:
    """Answer with an object: ranges (RFC 9110, 14) and conditional requests included.

    Raises:
        NotFoundError: there is no such object.
        StaleVersionError: it is not what If-Match names.
    """
    try:
        found, path = storage.stat(claim.key), storage.path(claim.key)
    except ObjectNotFound as error:
        raise _not_found() from error
    content_type = claim.content_type or found.content_type
    response = send_file(
        path,
        mimetype=content_type,
        conditional=True,
        etag=found.etag,
        last_modified=found.modified,
    )
    if response.status_code == 412:
        response.close()
        raise StaleVersionError("The bytes are not (any more) what If-Match names.")
    left = max(0, claim.expires_at - int(now().timestamp()))
    response.headers["Cache-Control"] = f"private, max-age={left}, immutable"
    # What is opened in a browser tab runs in an empty sandbox, not as our origin.
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if claim.download_name is not None:
        response.headers["Content-Disposition"] = content_disposition(claim.download_name)
    elif not content_type.startswith(_SHOWN_INLINE):
        response.headers["Content-Disposition"] = "attachment"
    return response


def receive(storage: LocalStorage, claim: PartClaim, request: Request) -> None:
    """Store the body of one part as it arrives.

    Raises:
        WrongPartSizeError: it is longer or shorter than signed for.
        UploadGoneError: the upload was completed or dropped.
        StorageAwayError: the disk is full or broken.
    """
    # The limit for JSON bodies would stop a part; the claim says how long this one is. One more
    # byte, because under servers that end the stream themselves (wsgi.input_terminated) Werkzeug's
    # LimitedStream refuses the read that finds the end exactly at the limit.
    request.max_content_length = claim.size + 1
    try:
        storage.receive_part(claim, request.stream, request.content_length)
    except (PartSizeMismatch, RequestEntityTooLarge) as error:
        raise WrongPartSizeError(f"Send exactly {claim.size} bytes.", size=claim.size) from error
    except ObjectNotFound as error:
        raise UploadGoneError("This upload was completed or dropped.") from error
    except StorageUnavailable as error:
        raise StorageAwayError("The file cannot be stored now. Try again shortly.") from error


def _claim(
    storage: Storage, organization_id: UUID, token: str, method: str
) -> tuple[LocalStorage, Claim]:
    if not isinstance(storage, LocalStorage):
        raise _not_found()
    try:
        claim = storage.verify(token, method=method, now=now())
    except InvalidSignature as error:
        raise _not_found() from error
    if not claim.key.startswith(f"o/{organization_id}/"):
        raise _not_found()
    return storage, claim


def _not_found() -> NotFoundError:
    return NotFoundError("There is nothing here for you.")
