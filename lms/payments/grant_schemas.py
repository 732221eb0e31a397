"""Sponsored credit as clients see it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Schema, Text, UtcDateTime
from lms.payments.schemas import MAX_REASON, MoneyOf, PositiveMoney
from lms.users.emails import normalize_email
from lms.users.errors import InvalidEmailError
from lms.users.schemas import MAX_EMAIL

MAX_LEARNERS = 1000
NOT_A_LEARNER = "Not a user id or e-mail address."


class Learner(ma.fields.String):
    """A user's id or e-mail address, normalised on the way in."""

    def __init__(self, **kwargs: Any) -> None:
        about = {"description": "Id or e-mail address.", "minLength": 1, "maxLength": MAX_EMAIL}
        super().__init__(metadata={**about, **kwargs.pop("metadata", {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        name = super()._deserialize(value, attr, data, **kwargs)
        try:
            return normalize_email(name[: MAX_EMAIL + 1]) if "@" in name else UUID(name)
        except (InvalidEmailError, ValueError) as error:
            raise ma.ValidationError(NOT_A_LEARNER) from error


class CreditGrantIn(Schema):
    """Credit for many learners at once, the same amount for each."""

    amount = ma.fields.Nested(
        PositiveMoney, required=True, metadata={"description": "What each of them gets."}
    )
    reason = Text(
        max_length=MAX_REASON,
        required=True,
        metadata={"description": "Learners see it.", "example": "Scholarship 2027"},
    )
    learners = ma.fields.List(
        Learner(metadata={"example": "dana@acme.example"}),
        required=True,
        validate=validate.Length(min=1, max=MAX_LEARNERS),
    )


class ImportQuery(Schema):
    """What the file does not say."""

    reason = Text(
        max_length=MAX_REASON,
        required=True,
        metadata={"description": "Learners see it.", "example": "Scholarship 2027"},
    )


class CreditGrantOut(Schema):
    """Credit that was given to many learners at once."""

    id = ma.fields.UUID(required=True)
    total = MoneyOf(
        required=True, attribute="amount", metadata={"description": "Of all learners together."}
    )
    reason = ma.fields.String(required=True)
    created_by = ma.fields.UUID(required=True)
    created_at = UtcDateTime(required=True)


class RecipientOut(Schema):
    """What one learner got by a grant."""

    user_id = ma.fields.UUID(required=True)
    email = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    amount = MoneyOf(required=True)
