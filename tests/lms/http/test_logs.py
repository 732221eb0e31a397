"""Log lines: one JSON object each, and never a reason for a request to fail."""

from __future__ import annotations

import io
import json
import sys
from typing import Literal
from uuid import UUID

import pytest
import structlog

from tests.factories.log_lines import written

log = structlog.get_logger()


class FullDisk(io.BytesIO):
    """Takes nothing any more."""

    def write(self, *_data: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_is_a_json_object_with_what_was_said_and_where() -> None:
    buffer = io.BytesIO()
    with written("json", buffer), structlog.contextvars.bound_contextvars(request_id="r-1"):
        log.info("paid", payment_id=UUID(int=1), amount=4900, name="Léa")
    (line,) = buffer.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": "paid",
        "level": "info",
        "request_id": "r-1",
        "payment_id": "00000000-0000-0000-0000-000000000001",
        "amount": 4900,
        "name": "Léa",
    }


def test_what_the_fast_way_does_not_take_is_written_the_slow_way() -> None:
    buffer = io.BytesIO()
    with written("json", buffer):
        log.info("counted", atoms=2**70)
    assert json.loads(buffer.getvalue())["atoms"] == 2**70


def test_an_error_brings_its_trace() -> None:
    buffer = io.BytesIO()
    with written("json", buffer):
        log.error("broke", exc_info=ZeroDivisionError("by nothing"))
    assert "ZeroDivisionError: by nothing" in json.loads(buffer.getvalue())["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_that_cannot_be_written_is_lost_and_fails_nothing(
    log_format: Literal["json", "console"],
) -> None:
    with written(log_format, FullDisk()):
        log.info("nobody reads this")
        with pytest.raises(OSError, match="No space left"):
            sys.stderr.buffer.write(b"it is full")
