"""Refusals of imports."""

from __future__ import annotations

from lms.core.errors import InvalidInputError


class InvalidCsvError(InvalidInputError):
    """The file cannot be read as one of learners; `line` says from where on."""

    code = "invalid_csv"
    remedy = "Mend the file from `line` on, and send it again."

    def __init__(self, message: str, line: int) -> None:
        errors = [{"pointer": "/csv", "message": message}]
        super().__init__(message, errors=errors, line=line)
