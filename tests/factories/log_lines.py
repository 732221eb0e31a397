"""What is logged, as it would be written."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
import structlog

from lms.http import logs


@contextmanager
def written(log_format: Literal["json", "console"], buffer: io.BytesIO) -> Iterator[None]:
    """Log to a buffer. Not a fixture: between those and a test, pytest puts its own output back."""
    structlog.contextvars.clear_contextvars()  # of requests in other tests
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", io.TextIOWrapper(buffer, write_through=True))
        logs.configure(log_format)
        try:
            yield
        finally:
            sys.stderr.detach()  # pyright: ignore[reportAttributeAccessIssue] - ours from above
    logs.configure("console")
