"""Every "no" of the learning rooms explains itself: a stable code, and what would change it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from lms.checkout.errors import SeatGoneError
from lms.checkout.imports.errors import InvalidCsvError
from lms.core.errors import DomainError, RecordedRefusalError
from lms.coupons.errors import CouponRefusedError
from lms.learning.availability import Lock
from lms.learning.errors import (
    AccessEndedError,
    EnrollmentHasNoAccessError,
    EnrollmentNotActiveError,
    LessonLockedError,
    LessonOfAnotherVersionError,
    TransferNotPossibleError,
)

ROOMS = ("lms.courses", "lms.coupons", "lms.enrollments", "lms.checkout", "lms.learning")
DOCUMENT = Path(__file__).resolve().parents[3] / "docs/openapi-tenant.json"
NEVER_RAISED = {CouponRefusedError}
"""Only what others derive from."""

SHARE_A_CODE = {SeatGoneError}
"""For clients the same as another one, with what became of the money."""

MOMENT = datetime(2027, 1, 8, 16, 20, tzinfo=UTC)
SOME_ID = UUID("0199aaaa-0000-7000-8000-000000000001")
ARGUMENTS: dict[type[DomainError], tuple[Any, ...]] = {
    AccessEndedError: (MOMENT,),
    EnrollmentHasNoAccessError: ("suspended", MOMENT, "Ask."),
    EnrollmentNotActiveError: ("suspended", MOMENT, "Ask."),
    LessonLockedError: (Lock("not_yet_available", MOMENT, ()),),
    LessonOfAnotherVersionError: (SOME_ID, None),
    TransferNotPossibleError: ("same_run", "No."),
    InvalidCsvError: ("No.", 1),
}
"""Of those that are not made of a message alone."""


def refusals(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for one in base.__subclasses__():
        if one.__module__.startswith(ROOMS) and one not in NEVER_RAISED:
            yield one
        yield from refusals(one)


@pytest.fixture
def found(app: Flask) -> list[type[DomainError]]:
    assert app.url_map  # all rooms are loaded
    return sorted(set(refusals()), key=lambda one: one.__name__)


def made(refusal: type[DomainError]) -> DomainError:
    recorded = {"record": lambda _session: None}
    further: dict[str, Any] = recorded if issubclass(refusal, RecordedRefusalError) else {}
    return refusal(*ARGUMENTS.get(refusal, ("No.",)), **further)


def test_the_refusals_are_found(found: list[type[DomainError]]) -> None:
    assert set(ARGUMENTS) < set(found)
    assert len(found) > 30


def test_each_says_what_would_change_it(found: list[type[DomainError]]) -> None:
    remedies = {one.__name__: made(one).params.get("remedy") for one in found}
    silent = [name for name, remedy in remedies.items() if not (remedy or "").endswith(".")]
    assert silent == []


def test_each_has_a_code_of_its_own(found: list[type[DomainError]]) -> None:
    codes = [one.code for one in found if one not in SHARE_A_CODE]
    assert len(set(codes)) == len(codes)
    assert "conflict" not in codes


def test_each_code_is_named_where_an_operation_is_described(
    found: list[type[DomainError]],
) -> None:
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values()
    described = "\n".join(
        operation["description"]
        for path in paths
        for operation in path.values()
        if isinstance(operation, dict) and "description" in operation
    )
    assert [one.code for one in found if f"`{one.code}`" not in described] == []


def test_what_has_a_moment_tells_it_in_utc() -> None:
    told = "2027-01-08T16:20:00Z"
    assert AccessEndedError(MOMENT).params["access_ended_at"] == told
    assert EnrollmentNotActiveError("suspended", MOMENT, "Ask.").params["since"] == told
    assert EnrollmentHasNoAccessError("withdrawn", MOMENT, "Ask.").params["since"] == told
