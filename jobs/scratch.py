"""Scratch directories that a killed worker cannot leave behind for long.

Each is locked by its owner for as long as it lives; the kernel drops the lock when the owner dies,
however it died. Whoever makes the next directory removes those that nobody holds any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "lms-job-"
NEWBORN_SECONDS = 60.0
"""A directory this young may not be locked yet."""


@contextmanager
def scratch(base: Path | None) -> Iterator[Path]:
    """Yield an empty directory of our own and remove it afterwards.

    Args:
        base: where to make it; made if missing. The system's temporary directory when None.
    """
    parent = Path(tempfile.gettempdir()) if base is None else base
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Remove what dead workers left."""
    for folder in parent.glob(f"{PREFIX}*"):
        # Another worker may sweep at the same time.
        with suppress(FileNotFoundError, PermissionError):
            if time.time() - folder.stat().st_mtime > NEWBORN_SECONDS:
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
