"""What botocore, boto3 and s3transfer raise, said in the store's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error, RetriesExceededError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from lms.core.storage.base import ObjectNotFound, StorageError, StorageUnavailable

# HEAD answers have no body: there the code is the bare status.
_NOT_FOUND = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}

# Codes that S3 documents as worth a repeat but sends with a 4xx or, while completing, a 200 status.
# InvalidPart: a part was replaced while the upload was completed; a repeat sees the new one.
_TRANSIENT = {"InternalError", "InvalidPart", "RequestTimeout", "SlowDown", "Throttling"}


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """Say in the store's words what went wrong with ``what``.

    Raises:
        ObjectNotFound: The object or upload does not exist.
        StorageUnavailable: The store did not answer, not fully, or asked for a pause.
        StorageError: It refused (rights, bucket name, ...).
    """
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise _translate(error, what) from error


def error_code(error: BaseException) -> str:
    """Return S3's code for an error that it answered with, else nothing."""
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def _translate(error: BaseException, what: str) -> StorageError:
    # boto3's upload_file hides the answer of the store behind an error of its own.
    if isinstance(error, Boto3Error) and isinstance(error.__context__, ClientError):
        error = error.__context__
    code = error_code(error)
    if code in _NOT_FOUND:
        return ObjectNotFound(f"not stored: {what}")
    if _is_transient(error):
        return StorageUnavailable(f"the store does not answer for {what}: {error}")
    return StorageError(f"the store refuses {what}: {error}")


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in _TRANSIENT or status in {408, 429} or status >= 500
    return isinstance(
        error,
        (BotoConnectionError, HTTPClientError, IncompleteReadError, RetriesExceededError),
    )
