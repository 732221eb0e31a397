"""Structured logs: one JSON object a line, with the request's and the organization's id."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Literal

import orjson
import structlog


class _Output:
    """Standard error for log lines: what cannot be written is lost, as with the standard library's.

    A full disk or a collector that is gone must not fail a request that has been committed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: bytes) -> None:
        """Write a line."""
        with suppress(OSError, ValueError):
            self._file.write(line)

    def flush(self) -> None:
        """Hand it on."""
        with suppress(OSError, ValueError):
            self._file.flush()


def configure(log_format: Literal["json", "console"]) -> None:
    """Send structlog's and the standard library's records to standard error.

    Ours do not go through the standard library, which would take most of a line's time.

    Args:
        log_format: `json` for machines, `console` for people.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    as_text: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    as_bytes: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if log_format == "json"
        else lambda logger, method, event: _encoded(as_text(logger, method, event))
    )
    structlog.configure(
        processors=[*shared, as_bytes],
        # Looked up at each line: it may have been replaced, as test runners do.
        logger_factory=lambda *_names: structlog.BytesLogger(_Output(sys.stderr.buffer)),  # pyright: ignore[reportArgumentType] - all that it calls is write and flush
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=as_text, foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


def _to_json(event: Any, default: Callable[[Any], Any]) -> bytes:
    """Return an event as JSON; what orjson does not take (huge integers) the slow way."""
    try:
        return orjson.dumps(event, default=default)
    except TypeError:
        return json.dumps(event, default=default).encode()


def _encoded(line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")
