"""What is wrong with a request is said in words that help to mend it."""

from __future__ import annotations

from collections.abc import Iterator

import marshmallow as ma
from flask import Flask
from marshmallow import validate

from lms.http.schemas import Schema


def schemas(base: type[Schema] = Schema) -> Iterator[type[Schema]]:
    for one in base.__subclasses__():
        yield one
        yield from schemas(one)


def patterns(schema: type[Schema]) -> Iterator[tuple[str, validate.Regexp]]:
    for name, field in schema().fields.items():
        inner = field.inner if isinstance(field, ma.fields.List) else field
        for validator in inner.validators:
            if isinstance(validator, validate.Regexp):
                yield f"{schema.__name__}.{name}", validator


def test_every_pattern_says_in_words_what_it_wants(app: Flask) -> None:
    assert app.url_map  # all rooms are loaded
    found = [one for schema in schemas() for one in patterns(schema)]
    assert len(found) > 5
    assert [name for name, one in found if one.error == validate.Regexp.default_message] == []
