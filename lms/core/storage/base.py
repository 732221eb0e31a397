"""What the product asks of a store of bytes, and what can go wrong there.

Keys are made by us, never by users: ``o/<organization id>/<media file id>/...``, of letters,
digits and ``._-/``. A key is never the folder of another key (``a`` beside ``a/b``): an S3 bucket
would take both, a file system cannot.

Two methods only compute (``upload_parts``, ``signed_url``) and may run inside a database
transaction; everything else talks to a network or a disk and may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UploadPart:
    """Where and how a client sends one part of its file.

    Attributes:
        number: Position of the part, from 1.
        method: The HTTP method, always ``PUT``.
        url: Signed, expiring address; a secret.
        offset: First byte of the part within the file.
        size: Bytes of the part; the request must have exactly this ``Content-Length``.
        headers: Headers that the request must carry besides ``Content-Length``.
    """

    number: int
    method: str
    url: str
    offset: int
    size: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part that has arrived: its number (from 1) and its size in bytes."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store knows of an object.

    Attributes:
        key: The object's key.
        size: Bytes.
        content_type: The media type that it was stored with.
        etag: Opaque validator without quotes; changes whenever the object is written again.
        modified: When it was last written, UTC.
    """

    key: str
    size: int
    content_type: str
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing.

    Attributes:
        key: The object's key.
        size: Bytes.
        modified: When it was last written, UTC.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """An unfinished upload in a listing.

    Attributes:
        key: What it is to become.
        upload_id: What ``begin_upload`` returned.
        begun: When, UTC.
    """

    key: str
    upload_id: str
    begun: datetime


class StorageError(Exception):
    """The store refused: a repeat would be refused too, unless a subclass says otherwise."""


class InvalidKey(StorageError, ValueError):
    """A key or prefix that breaks the rules for keys: a fault of the caller."""


class ObjectNotFound(StorageError):
    """There is no such object, or no such unfinished upload."""


class UploadIncomplete(StorageError):
    """Parts are missing or have the wrong size; ``missing`` holds their numbers, ascending."""

    def __init__(self, missing: Sequence[int]) -> None:
        super().__init__(f"{len(missing)} part(s) of the upload are missing, first {missing[0]}")
        self.missing = tuple(missing)


class PartSizeMismatch(StorageError):
    """The body of a part is longer or shorter than its address was signed for."""


class StorageUnavailable(StorageError):
    """The store cannot be reached, is overloaded or full: worth another try later."""


class InvalidSignature(StorageError):
    """A signed address was altered, has expired, or is for another method."""


class Storage(Protocol):
    """A store of immutable objects.

    Every method may raise ``InvalidKey``; every method that is not marked as computing only may
    raise ``StorageUnavailable`` and ``StorageError``.
    """

    def begin_upload(self, key: str, *, size: int, content_type: str) -> str:
        """Open an upload in parts of ``size`` bytes (0 is allowed) and return its id.

        An upload that is neither completed nor aborted occupies space: whoever begins one ends it.
        """
        ...

    def upload_parts(
        self, key: str, upload_id: str, *, size: int, expires_in: timedelta, base_url: str
    ) -> list[UploadPart]:
        """Sign an address for every part of the upload. Computing only.

        May be called again for the same upload (addresses ran out, the client resumes): the
        division into parts depends on ``size`` alone.

        Args:
            key: The key given to ``begin_upload``.
            upload_id: What ``begin_upload`` returned.
            size: The size given to ``begin_upload``, bytes.
            expires_in: How long the addresses work, at most 7 days.
            base_url: Scheme, host and path prefix of our own API, for a store that we serve.
        """
        ...

    def uploaded_parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """Return what has arrived, by number.

        Raises:
            ObjectNotFound: The upload is unknown, completed or aborted.
        """
        ...

    def complete_upload(self, key: str, upload_id: str, *, size: int) -> StoredObject:
        """Join the parts into the object. A repeat after success returns the object again.

        Raises:
            UploadIncomplete: Parts are missing; the upload stays open.
            ObjectNotFound: The upload is unknown and there is no object.
        """
        ...

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Drop an unfinished upload and its parts; without effect when it is already ended."""
        ...

    def stat(self, key: str) -> StoredObject:
        """Describe an object.

        Raises:
            ObjectNotFound: There is none.
        """
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes ``[start, end)`` of an object, cut at its end like a slice.

        Raises:
            ObjectNotFound: There is none.
        """
        ...

    def open_chunks(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Iterate over the bytes ``[start, end)`` in pieces of at most 1 MiB.

        Nothing is opened before the first piece is asked for; errors come from there.
        """
        ...

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file, replacing it.

        Raises:
            ObjectNotFound: There is none.
            OSError: The local file cannot be written.
        """
        ...

    def upload_file(self, path: Path, key: str, *, content_type: str) -> StoredObject:
        """Store a local file under a key, replacing what was there in one step.

        Raises:
            OSError: The local file cannot be read.
        """
        ...

    def write(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store bytes under a key, replacing what was there in one step."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; without effect when there is none."""
        ...

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """Iterate over the objects whose key starts with ``prefix``, which ends with ``/``.

        What is in one folder comes one after another. An object that comes or goes meanwhile may be
        listed or not. Nothing is asked before the first is; errors come from there.
        """
        ...

    def list_uploads(self, prefix: str) -> Iterator[ListedUpload]:
        """Iterate over the unfinished uploads whose key starts with ``prefix``, in any order.

        As for ``list_objects``; some stores (MinIO) list no uploads but by their whole key.
        """
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Delete every object and unfinished upload whose key starts with ``prefix``.

        The prefix ends with ``/``, so that ``o/1/`` can never mean ``o/10/`` too.
        """
        ...

    def signed_url(
        self,
        key: str,
        *,
        expires_in: timedelta,
        base_url: str,
        content_type: str | None = None,
        download_name: str | None = None,
    ) -> str:
        """Sign an address that reads one object. Computing only: it need not exist.

        Args:
            key: The object's key.
            expires_in: How long the address works, at most 7 days.
            base_url: Scheme, host and path prefix of our own API, for a store that we serve.
            content_type: Media type to answer with instead of the stored one.
            download_name: Answer as a download under this name.
        """
        ...

    def check(self) -> None:
        """Find out within seconds whether the store can be used.

        Raises:
            StorageUnavailable: It cannot.
        """
        ...
