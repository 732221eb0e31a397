"""Files that appear whole or not at all, on a local disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lms.core.storage.base import InvalidKey, ObjectNotFound, StorageUnavailable

CHUNK_SIZE = 1024 * 1024

# Longer than any request or job that writes a file.
_ABANDONED_AFTER_SECONDS = 24 * 3600


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Say in the store's words what went wrong while reading ``what``."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ObjectNotFound(f"not stored: {what}") from error
    except OSError as error:
        raise StorageUnavailable(f"cannot read {what}: {error.strerror}") from error


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Say in the store's words what went wrong while writing ``what``."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidKey(f"a key cannot be the folder of another key: {what}") from error
    except OSError as error:
        raise StorageUnavailable(f"cannot write {what}: {error.strerror}") from error


class TemporaryFolder:
    """A folder for what is not there yet or not any more, on the same file system as its targets.

    Files that a killed process left behind are removed when the folder is opened a day later.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self._path = path
        self._sweep()

    @contextmanager
    def replacing(self, target: Path) -> Iterator[BinaryIO]:
        """Yield an empty file that becomes ``target`` in one step when the block ends well."""
        descriptor, name = tempfile.mkstemp(dir=self._path)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def discard(self, folder: Path) -> None:
        """Remove a folder, if there is one, and all below it; for others it goes in one step."""
        grave = Path(tempfile.mkdtemp(dir=self._path))
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            folder.replace(grave)
        shutil.rmtree(grave, ignore_errors=True)

    def check(self) -> None:
        """Write and remove a file.

        Raises:
            OSError: The disk is full, read-only or gone.
        """
        with tempfile.TemporaryFile(dir=self._path) as file:
            file.write(b"\0")
            file.flush()
            os.fsync(file.fileno())

    def _sweep(self) -> None:
        oldest = time.time() - _ABANDONED_AFTER_SECONDS
        for entry in self._path.iterdir():
            # Another process may sweep at the same time.
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < oldest:
                    if entry.is_dir():
                        shutil.rmtree(entry, ignore_errors=True)
                    else:
                        entry.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut: the folder's entry is written apart from the file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
