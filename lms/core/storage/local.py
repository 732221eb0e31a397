"""Objects as files below one folder: the embedded default, for one machine.

<root>/objects/<key>    the bytes
<root>/types/<key>      the media type, as text
<root>/uploads/         unfinished uploads
<root>/temporary/       what is being written or removed

The media type lies in a tree of its own: extended attributes are missing on some file systems and
lost by many copying tools, and a side-car beside the object could collide with a key. It is written
before the object, so that an object never stands without its type; if the file is lost all the
same, the type is ``application/octet-stream``. Size, time and validator come from the object's own
file and can therefore never contradict it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Literal, overload

from lms.core.storage.base import (
    InvalidKey,
    ListedObject,
    ListedUpload,
    ObjectNotFound,
    PartSizeMismatch,
    StorageUnavailable,
    StoredObject,
    UploadedPart,
    UploadPart,
)
from lms.core.storage.claims import Claim, ClaimSigner, PartClaim, ReadClaim
from lms.core.storage.files import CHUNK_SIZE, TemporaryFolder, reading, writing
from lms.core.storage.parts import plan_parts
from lms.core.storage.uploads import ByteStream, PendingUploads
from lms.core.storage.validation import (
    expect_size,
    validate_key,
    validate_prefix,
    validate_range,
    whole_seconds,
)


class LocalStorage:
    """``Storage`` on a local disk, with addresses that our own API serves under ``/files/<token>``.

    Besides the interface it has what that route needs: ``verify``, ``receive_part`` and ``path``.

    Args:
        root: Folder for everything; created if missing, readable by this user only.
        secret: Signs the addresses; the same in every process. Another one voids all addresses.
    """

    def __init__(self, root: Path, secret: bytes) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Resolved, so that any link found below it is one that leads astray.
        root = root.resolve()
        self._objects = root / "objects"
        self._types = root / "types"
        for folder in (self._objects, self._types):
            folder.mkdir(exist_ok=True)
        self._temporary = TemporaryFolder(root / "temporary")
        self._uploads = PendingUploads(root / "uploads", self._temporary)
        self._signer = ClaimSigner(secret)

    def begin_upload(self, key: str, *, size: int, content_type: str) -> str:
        """See ``Storage.begin_upload``."""
        plan_parts(size)
        _inside(self._objects, key)
        return self._uploads.begin(key, content_type)

    def upload_parts(
        self, key: str, upload_id: str, *, size: int, expires_in: timedelta, base_url: str
    ) -> list[UploadPart]:
        """See ``Storage.upload_parts``."""
        validate_key(key)
        expires_at = _expiry(expires_in)
        return [
            UploadPart(
                number=part.number,
                method="PUT",
                url=self._address(
                    base_url, PartClaim(key, expires_at, upload_id, part.number, part.size)
                ),
                offset=part.offset,
                size=part.size,
                headers={},
            )
            for part in plan_parts(size)
        ]

    def uploaded_parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """See ``Storage.uploaded_parts``."""
        return self._uploads.arrived(validate_key(key), upload_id)

    def complete_upload(self, key: str, upload_id: str, *, size: int) -> StoredObject:
        """See ``Storage.complete_upload``."""
        validate_key(key)
        # An upload that is gone was completed before if the object is there.
        with suppress(ObjectNotFound):
            self._uploads.join(key, upload_id, size, self._replacing)
        return expect_size(self.stat(key), size)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """See ``Storage.abort_upload``."""
        validate_key(key)
        with suppress(ObjectNotFound):
            self._uploads.abort(key, upload_id)

    def stat(self, key: str) -> StoredObject:
        """See ``Storage.stat``."""
        with reading(key):
            status = self.path(key).stat()
        try:
            content_type = _inside(self._types, key).read_text()
        except OSError:
            content_type = "application/octet-stream"
        return StoredObject(
            key=key,
            size=status.st_size,
            content_type=content_type,
            # Every write makes a new file, so inode and time tell two writes apart.
            etag=f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}",
            modified=datetime.fromtimestamp(status.st_mtime, UTC),
        )

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Storage.read``."""
        return b"".join(self.open_chunks(key, start, end))

    def open_chunks(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ``Storage.open_chunks``."""
        validate_range(start, end)
        with reading(key), self.path(key).open("rb") as file:
            position = file.seek(start)
            while end is None or position < end:
                chunk = file.read(CHUNK_SIZE if end is None else min(CHUNK_SIZE, end - position))
                if not chunk:
                    return
                position += len(chunk)
                yield chunk

    def download(self, key: str, path: Path) -> None:
        """See ``Storage.download``."""
        shutil.copyfile(self.path(key), path)

    def upload_file(self, path: Path, key: str, *, content_type: str) -> StoredObject:
        """See ``Storage.upload_file``."""
        with path.open("rb") as source, self._replacing(key, content_type) as target:
            shutil.copyfileobj(source, target, CHUNK_SIZE)
        return self.stat(key)

    def write(self, key: str, data: bytes, *, content_type: str) -> None:
        """See ``Storage.write``."""
        with self._replacing(key, content_type) as target:
            target.write(data)

    def delete(self, key: str) -> None:
        """See ``Storage.delete``. Emptied folders stay until ``delete_prefix``."""
        for base in (self._objects, self._types):
            with suppress(ObjectNotFound), reading(key):
                _inside(base, key).unlink()

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """See ``Storage.list_objects``."""
        top = _inside(self._objects, validate_prefix(prefix)[:-1])
        with reading(prefix):
            for folder, _, names in os.walk(top):
                for path in (Path(folder, name) for name in names):
                    # It may be deleted meanwhile.
                    with suppress(FileNotFoundError):
                        status = path.stat()
                        modified = datetime.fromtimestamp(status.st_mtime, UTC)
                        key = path.relative_to(self._objects).as_posix()
                        yield ListedObject(key, status.st_size, modified)

    def list_uploads(self, prefix: str) -> Iterator[ListedUpload]:
        """See ``Storage.list_uploads``."""
        validate_prefix(prefix)
        with reading(prefix):
            yield from self._uploads.pending(prefix)

    def delete_prefix(self, prefix: str) -> None:
        """See ``Storage.delete_prefix``."""
        folder = validate_prefix(prefix)[:-1]
        with writing(prefix):
            self._uploads.abort_prefix(prefix)
            for base in (self._objects, self._types):
                self._temporary.discard(_inside(base, folder))

    def signed_url(
        self,
        key: str,
        *,
        expires_in: timedelta,
        base_url: str,
        content_type: str | None = None,
        download_name: str | None = None,
    ) -> str:
        """See ``Storage.signed_url``."""
        claim = ReadClaim(validate_key(key), _expiry(expires_in), content_type, download_name)
        return self._address(base_url, claim)

    def check(self) -> None:
        """See ``Storage.check``."""
        try:
            self._temporary.check()
        except OSError as error:
            raise StorageUnavailable(f"cannot write to the store: {error.strerror}") from error

    @overload
    def verify(self, token: str, *, method: Literal["GET", "HEAD"], now: datetime) -> ReadClaim: ...

    @overload
    def verify(self, token: str, *, method: Literal["PUT"], now: datetime) -> PartClaim: ...

    @overload
    def verify(self, token: str, *, method: str, now: datetime) -> Claim: ...

    def verify(self, token: str, *, method: str, now: datetime) -> Claim:
        """Return what an address permits.

        Args:
            token: The part of the address after ``/files/``.
            method: The request's method; an address for GET also answers HEAD.
            now: The current time, UTC.

        Raises:
            InvalidSignature: The token was altered, has expired, or is for another method.
        """
        return self._signer.verify(token, method=method, now=now)

    def receive_part(
        self, claim: PartClaim, stream: ByteStream, content_length: int | None
    ) -> UploadedPart:
        """Store the body of one part; a part that is sent again replaces the earlier one.

        Args:
            claim: What ``verify`` returned.
            stream: The request's body; must end where the body ends.
            content_length: The request's Content-Length in bytes, None when it has none.

        Raises:
            PartSizeMismatch: The body has another size than the claim; nothing is kept.
            ObjectNotFound: The upload was completed or aborted.
            StorageUnavailable: The disk is full or broken.
        """
        if content_length not in {None, claim.size}:
            raise PartSizeMismatch(f"the part has {claim.size} bytes, not {content_length}")
        self._uploads.receive(claim, stream)
        return UploadedPart(claim.number, claim.size)

    def path(self, key: str) -> Path:
        """Return the file of an object, for reading only.

        Raises:
            ObjectNotFound: There is none.
        """
        path = _inside(self._objects, key)
        if not path.is_file():
            raise ObjectNotFound(f"not stored: {key}")
        return path

    def _address(self, base_url: str, claim: Claim) -> str:
        return f"{base_url.rstrip('/')}/files/{self._signer.sign(claim)}"

    @contextmanager
    def _replacing(self, key: str, content_type: str) -> Iterator[BinaryIO]:
        path, type_path = _inside(self._objects, key), _inside(self._types, key)
        with writing(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            type_path.parent.mkdir(parents=True, exist_ok=True)
            with self._temporary.replacing(type_path) as file:
                file.write(content_type.encode())
            with self._temporary.replacing(path) as file:
                yield file


def _inside(base: Path, key: str) -> Path:
    """Return the path of a key below a resolved folder; a link on the way is refused."""
    path = base / validate_key(key)
    if path.resolve() != path:
        raise InvalidKey(f"a link lies in the way of {key}")
    return path


def _expiry(expires_in: timedelta) -> int:
    return int(datetime.now(UTC).timestamp()) + whole_seconds(expires_in)
