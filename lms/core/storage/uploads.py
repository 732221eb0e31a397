"""Unfinished uploads on a local disk: one folder each, with a file for every part that has arrived.

<id>/upload.json    key and media type, written when the upload begins
<id>/<number>       a part, there only when it is whole
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from lms.core.storage.base import (
    ListedUpload,
    PartSizeMismatch,
    UploadedPart,
    UploadIncomplete,
)
from lms.core.storage.claims import PartClaim
from lms.core.storage.files import CHUNK_SIZE, TemporaryFolder, reading, writing
from lms.core.storage.parts import missing_parts, plan_parts

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_DESCRIPTION = "upload.json"


class ByteStream(Protocol):
    """The body of a request: ``read`` returns at most ``size`` bytes, and nothing at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        ...


class PendingUploads:
    """The unfinished uploads below one folder.

    Every method that takes a key and an upload id raises ``ObjectNotFound`` when there is no such
    upload for that key.
    """

    def __init__(self, path: Path, temporary: TemporaryFolder) -> None:
        path.mkdir(exist_ok=True)
        self._path = path
        self._temporary = temporary

    def begin(self, key: str, content_type: str) -> str:
        """Open an upload and return its id."""
        upload_id = secrets.token_hex(16)
        folder = self._path / upload_id
        with writing(key):
            folder.mkdir()
            with self._temporary.replacing(folder / _DESCRIPTION) as file:
                file.write(json.dumps({"key": key, "content_type": content_type}).encode())
        return upload_id

    def arrived(self, key: str, upload_id: str) -> list[UploadedPart]:
        """Return the parts that have arrived, by number."""
        with reading(f"upload of {key}"):
            folder, _ = self._open(key, upload_id)
            return _parts(folder)

    def receive(self, claim: PartClaim, stream: ByteStream) -> None:
        """Store the body of a part in place of an earlier one.

        Raises:
            PartSizeMismatch: It is not as long as claimed; nothing is kept of it.
        """
        with reading(f"upload of {claim.key}"):
            folder, _ = self._open(claim.key, claim.upload_id)
            with self._temporary.replacing(folder / str(claim.number)) as target:
                _copy_exactly(stream, target, claim.size)

    def join(
        self,
        key: str,
        upload_id: str,
        size: int,
        replacing: Callable[[str, str], AbstractContextManager[BinaryIO]],
    ) -> None:
        """Write the parts one after another into an object and end the upload.

        Args:
            key: The object's key.
            upload_id: The upload.
            size: Bytes that the object must have.
            replacing: Opens the object of a key and a media type for writing.

        Raises:
            UploadIncomplete: Parts are missing.
        """
        with reading(f"upload of {key}"):
            folder, content_type = self._open(key, upload_id)
            # Two requests that complete one upload take turns; the second finds the folder gone.
            with (folder / _DESCRIPTION).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                missing = missing_parts(size, {part.number: part.size for part in _parts(folder)})
                if missing:
                    raise UploadIncomplete(missing)
                with replacing(key, content_type) as target:
                    for part in plan_parts(size):
                        with (folder / str(part.number)).open("rb") as source:
                            shutil.copyfileobj(source, target, CHUNK_SIZE)
                self._temporary.discard(folder)

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts."""
        with reading(f"upload of {key}"):
            folder, _ = self._open(key, upload_id)
            self._temporary.discard(folder)

    def pending(self, prefix: str) -> Iterator[ListedUpload]:
        """Iterate over the uploads whose key starts with ``prefix``."""
        for folder in self._path.iterdir():
            # It may end meanwhile, or begin just now.
            with suppress(FileNotFoundError):
                key = _describe(folder)["key"]
                begun = datetime.fromtimestamp((folder / _DESCRIPTION).stat().st_mtime, UTC)
                if key.startswith(prefix):
                    yield ListedUpload(key, folder.name, begun)

    def abort_prefix(self, prefix: str) -> None:
        """Drop every upload whose key starts with ``prefix``."""
        for upload in self.pending(prefix):
            self._temporary.discard(self._path / upload.upload_id)

    def _open(self, key: str, upload_id: str) -> tuple[Path, str]:
        """Return folder and media type of an upload, FileNotFoundError when there is none."""
        folder = self._path / upload_id
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise FileNotFoundError(folder)
        description = _describe(folder)
        if description["key"] != key:
            raise FileNotFoundError(folder)
        return folder, description["content_type"]


def _describe(folder: Path) -> dict[str, str]:
    return json.loads((folder / _DESCRIPTION).read_text())


def _parts(folder: Path) -> list[UploadedPart]:
    parts = [
        UploadedPart(int(entry.name), entry.stat().st_size)
        for entry in folder.iterdir()
        if entry.name != _DESCRIPTION
    ]
    return sorted(parts, key=lambda part: part.number)


def _copy_exactly(source: ByteStream, target: BinaryIO, size: int) -> None:
    left = size
    # One byte more than is due, to notice a body that is too long.
    while chunk := source.read(min(CHUNK_SIZE, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise PartSizeMismatch(f"the part is longer than {size} bytes")
        target.write(chunk)
    if left:
        raise PartSizeMismatch(f"the part is {left} bytes shorter than {size}")
