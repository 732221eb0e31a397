"""Schema bases and fields shared by all blueprints: strict in, plain out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

import marshmallow as ma
from iso4217 import Currency
from marshmallow import validate

from lms.core.money import MAX_AMOUNT, Money
from lms.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from lms.core.texts import CONTROL, MAX_TITLE

MAX_TEXT = 100_000
MAX_EXACT = 2**53
"""Up to here a JSON number with a decimal point says exactly one whole number."""

NOT_A_MOMENT = "Give a date and time with its offset, such as 2026-01-31T12:00:00Z."
QUERY_INTEGER = re.compile("-?[0-9]{1,18}")
CONTROL_BUT_BREAKS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Schema(ma.Schema):
    """Base of all schemas: unknown members are refused, order is as declared."""

    class Meta:
        """Marshmallow's options."""

        unknown = ma.RAISE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return one member of what is dumped.

        Marshmallow's own way tries indices and items of anything, which takes a third of the time
        of a list; it is left to find what has a dotted name.
        """
        if "." in attr:
            return super().get_attribute(obj, attr, default)
        if isinstance(obj, dict):
            return obj.get(attr, default)
        return getattr(obj, attr, default)


class Text(ma.fields.String):
    """A string with bounds, without surrounding white space and without control characters.

    Args:
        max_length: most characters.
        min_length: fewest characters after trimming.
        multiline: line breaks and tabs are welcome (Markdown); otherwise it is one line.
    """

    def __init__(
        self,
        *,
        max_length: int = MAX_TITLE,
        min_length: int = 1,
        multiline: bool = False,
        **kwargs: Any,
    ) -> None:
        self._refused = CONTROL_BUT_BREAKS if multiline else CONTROL
        further = kwargs.pop("validate", [])
        rules = [validate.Length(min=min_length, max=max_length)]
        rules += further if isinstance(further, list) else [further]
        super().__init__(validate=rules, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        text = text.strip() if isinstance(text, str) else text
        if isinstance(text, str) and self._refused.search(text):
            raise ma.ValidationError("Has control characters.")
        return text


class Integer(ma.fields.Integer):
    """A whole JSON number within bounds, also written as 5.0; strings and fractions are refused.

    Query strings have no numbers: use `QueryInteger` there.
    """

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        kwargs.setdefault("strict", True)
        super().__init__(validate=validate.Range(minimum, maximum), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT:
            value = int(value)
        if self.strict and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class QueryInteger(Integer):
    """An integer in a query string."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(minimum=minimum, maximum=maximum, strict=False, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not QUERY_INTEGER.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Boolean(ma.fields.Boolean):
    """A JSON true or false; numbers and words are refused."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        # Marshmallow looks values up in sets, where 1 and 0 are True and False.
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class UtcDateTime(ma.fields.AwareDateTime):
    """RFC 3339 with an offset on the way in; UTC with `Z` on the way out."""

    default_error_messages: ClassVar[dict[str, str]] = {
        "invalid": NOT_A_MOMENT,
        "invalid_awareness": NOT_A_MOMENT,
        "range": "Give a year from 1970 to 9998.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", default_timezone=None, **kwargs)

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        del attr, obj, kwargs
        if value is None:
            return None
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        moment = super()._deserialize(value, attr, data, **kwargs)
        if not 1970 <= moment.year <= 9998:
            raise self.make_error("range")
        return moment.astimezone(UTC)


def _known_currency(code: str) -> None:
    try:
        known = Currency(code).exponent is not None
    except ValueError:
        known = False
    if not known:
        raise ma.ValidationError("Not an ISO 4217 currency.")


CURRENCY = validate.Regexp(r"^[A-Z]{3}$", error="Give three capital letters, such as EUR.")
"""How a currency's code is written."""


class MoneySchema(Schema):
    """An amount in minor units (cents, yen) and its ISO 4217 currency."""

    amount = Integer(
        minimum=0,
        maximum=MAX_AMOUNT,
        required=True,
        metadata={"description": "Minor units: 1250 is 12.50 EUR.", "example": 1250},
    )
    currency = ma.fields.String(
        required=True,
        validate=[CURRENCY, _known_currency],
        metadata={"example": "EUR"},
    )

    @ma.post_load
    def _make(self, data: dict[str, Any], **_kwargs: Any) -> Money:
        return Money(**data)


class PageQuery(Schema):
    """Where in a list to read."""

    limit = QueryInteger(
        minimum=1,
        maximum=MAX_LIMIT,
        load_default=DEFAULT_LIMIT,
        metadata={"description": "Most items to return."},
    )
    cursor = ma.fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "`next_cursor` of the page before."},
    )


class NoQuery(Schema):
    """No query parameters: a misspelt one is refused instead of ignored."""


@cache
def page_of(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of `item`, named after it (`CourseOut` -> `CoursePage`)."""
    name = item.__name__.removesuffix("Out") + "Page"
    members = {
        "__doc__": "One page of a list.",
        "items": ma.fields.List(ma.fields.Nested(item), required=True),
        "next_cursor": ma.fields.String(
            required=True,
            allow_none=True,
            metadata={"description": "Pass as `cursor` for the next page; null on the last."},
        ),
    }
    return type(name, (Schema,), members)


class ProblemError(Schema):
    """One thing that is wrong with the request's content."""

    pointer = ma.fields.String(
        required=True, metadata={"description": "JSON pointer (RFC 6901) or parameter name."}
    )
    message = ma.fields.String(required=True)


class Problem(Schema):
    """RFC 9457 problem details. `code` and `type` are stable; texts are for people.

    A problem may have further members: what is missing, what is allowed, what would change it.
    """

    class Meta:
        """Marshmallow's options."""

        unknown = ma.INCLUDE

    type = ma.fields.String(required=True, metadata={"format": "uri-reference"})
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    instance = ma.fields.String(required=True, metadata={"format": "uri-reference"})
    code = ma.fields.String(required=True)
    request_id = ma.fields.String()
    remedy = ma.fields.String(
        metadata={
            "description": "What would change it, as a sentence for people, where something would.",
            "example": "Ask the course's staff to reinstate it.",
        }
    )
    errors = ma.fields.List(ma.fields.Nested(ProblemError))
