"""Structured logs: one JSON object a line, with the request's and the organization's id."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import orjson
import structlog


def configure(log_format: Literal["json", "console"]) -> None:
    """Send structlog's and the standard library's records to standard error.

    Ours do not go through the standard library: a line for each request would cost three times as
    much (structlog's manual, "Performance").

    Args:
        log_format: `json` for machines, `console` for people.
    """
    is_json = log_format == "json"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    console = structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.JSONRenderer(serializer=orjson.dumps) if is_json else console,
        ],
        logger_factory=_write_bytes if is_json else _print,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer() if is_json else console,
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


# Standard error is looked up at each line: it may have been replaced, as test runners do.
def _write_bytes(*_names: Any) -> structlog.BytesLogger:
    return structlog.BytesLogger(sys.stderr.buffer)


def _print(*_names: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)
