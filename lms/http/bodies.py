"""One guard in front of all parsing: bytes of a request become JSON here or nowhere.

webargs does not use `app.json`, so its parser is replaced by `GuardedParser`. What PostgreSQL or
Python would choke on (NUL, lone surrogates, huge numbers, deep nesting, duplicate members, NaN)
is refused with 400 before any schema sees it.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

import marshmallow as ma
from flask import Request
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.exceptions import RequestEntityTooLarge

from lms.core.errors import DomainError

MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
UNSAFE_TEXT = re.compile("[\0\ud800-\udfff]")

# Possessive, and content with a text that never ends: linear in whatever is sent.
JSON_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
NOT_STRUCTURE = bytes(set(range(256)).difference(b"[]{},"))


class MalformedBodyError(DomainError):
    """The body is not the JSON that we take."""

    kind = "bad_request"
    code = "malformed_body"


class MalformedQueryError(DomainError):
    """The query is not UTF-8, or a parameter of it is given twice or has unsafe characters."""

    kind = "bad_request"
    code = "malformed_query"


class UnsupportedMediaError(DomainError):
    """The body came in another format than JSON."""

    kind = "unsupported"
    code = "unsupported_media_type"


def read_body(request: Request) -> bytes:
    """Return a request's whole body, kept for whoever asks again.

    Under servers that end the stream themselves, Werkzeug cuts a chunked body at the limit without
    a word; what reaches the limit without having said its length is therefore refused.

    Such servers also end the stream when the client hangs up half-way, which must not pass for all.

    Raises:
        MalformedBodyError: it ended before its announced length.
        werkzeug.exceptions.RequestEntityTooLarge: longer than MAX_CONTENT_LENGTH.
    """
    raw = request.get_data(cache=True)
    limit, announced = request.max_content_length, request.content_length
    if announced is not None and len(raw) < announced:
        raise MalformedBodyError("The body ended before its Content-Length.")
    if request.content_length is None and limit is not None and len(raw) >= limit:
        raise RequestEntityTooLarge
    return raw


def read_json(request: Request) -> Any:
    """Parse a request's JSON body strictly.

    Returns:
        The document, or `marshmallow.missing` when there is no body.

    Raises:
        UnsupportedMediaError: another content type.
        MalformedBodyError: not JSON, or JSON with members that no store can hold.
        werkzeug.exceptions.RequestEntityTooLarge: longer than MAX_CONTENT_LENGTH.
    """
    raw = read_body(request)
    if not raw:
        return ma.missing
    if not request.is_json:
        raise UnsupportedMediaError("Send the body as application/json.")
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """Parse JSON from outside strictly, wherever it was found.

    Raises:
        MalformedBodyError: not JSON, or JSON with members that no store can hold.
    """
    _check_depth(raw)
    try:
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique_members,
            parse_constant=_no_constant,
            parse_int=_bounded_integer,
            parse_float=_finite_float,
        )
    except UnicodeDecodeError as error:
        raise MalformedBodyError("The body is not UTF-8.") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise MalformedBodyError(f"The body is not JSON: {error}.") from error
    _check_texts(document)
    return document


def has_more_texts(raw: bytes, most: int) -> bool:
    """Tell whether JSON text has more texts than `most`, without keeping any of them."""
    return next(islice(JSON_TEXT.finditer(raw), most, None), None) is not None


def structure_of(raw: bytes) -> bytes:
    """Return the brackets, braces and commas of JSON text, in order, but for those in its texts.

    Tells how deep and how crowded a document is before anything is made of it. Takes some 90 bytes
    of memory for each text, so `has_more_texts` is asked first of what may be long.
    """
    return JSON_TEXT.sub(b"", raw).translate(None, NOT_STRUCTURE)


class GuardedParser(FlaskParser):
    """webargs' Flask parser over the guard; unknown query parameters are refused."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012 - webargs' own class attribute
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def load_json(self, req: Request, schema: Any) -> Any:
        """Return the guarded JSON body; one that is absent is empty where that would do.

        Raises:
            MalformedBodyError: it is needed and absent, or it is not the JSON that we take.
        """
        document = read_json(req)
        if document is not ma.missing:
            return document
        if needs_body(req.method, schema):
            raise MalformedBodyError("Send a body of JSON.")
        return {}

    def load_querystring(self, req: Request, schema: Any) -> MultiDictProxy:
        """Return the query parameters, each at most once and without unsafe characters.

        Raises:
            MalformedQueryError: they are not, or not UTF-8, which Werkzeug would replace silently.
        """
        try:
            unquote_to_bytes(req.query_string).decode()
        except UnicodeDecodeError as error:
            raise MalformedQueryError("The query is not UTF-8.") from error
        for name, values in req.args.lists():
            if len(values) > 1 and name not in _list_fields(schema):
                raise MalformedQueryError(f"The query parameter {name!r} is given more than once.")
            if any(UNSAFE_TEXT.search(value) for value in values):
                raise MalformedQueryError(f"The query parameter {name!r} has unsafe characters.")
        return super().load_querystring(req, schema)


def needs_body(method: str, schema: ma.Schema) -> bool:
    """Tell whether a request must have a body: a POST without required members need not.

    Unless the schema says `body_required`, because an empty body would mean too much.
    """
    if method != "POST" or getattr(schema, "body_required", False):
        return True
    return any(field.required for field in schema.fields.values())


def _list_fields(schema: ma.Schema) -> set[str]:
    return {name for name, field in schema.fields.items() if isinstance(field, ma.fields.List)}


def _check_depth(raw: bytes) -> None:
    depth = 0
    for byte in structure_of(raw).replace(b",", b""):
        depth += 1 if byte in b"[{" else -1
        if depth < 0:
            raise MalformedBodyError("The body is not JSON: more is closed than was opened.")
        if depth > MAX_DEPTH:
            raise MalformedBodyError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedBodyError("An object in the body has the same member twice.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise MalformedBodyError(f"{name} is not JSON.")


def _bounded_integer(digits: str) -> int:
    if len(digits) > 20 or not -MAX_INTEGER <= int(digits) <= MAX_INTEGER:
        raise MalformedBodyError("A number in the body is out of range.")
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits) if len(digits) <= 64 else float("inf")
    if number in (float("inf"), float("-inf")):
        raise MalformedBodyError("A number in the body is out of range.")
    return number


def _check_texts(document: Any) -> None:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if UNSAFE_TEXT.search(value):
                raise MalformedBodyError("A text in the body has NUL or lone surrogates.")
        elif isinstance(value, dict):
            stack.extend(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
