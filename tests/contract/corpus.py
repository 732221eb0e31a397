"""The corpus: hostile inputs for every operation, made from its document, and how to send them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import product
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import uuid4
from zlib import crc32

from flask import Flask
from sqlalchemy import event
from werkzeug.test import run_wsgi_app

from tests.contract import hostile
from tests.contract.described import Described, example, members
from tests.contract.world import PLATFORM_HOST, SampleWorld, authorization

WRITE = re.compile(r"(?<!FOR )(?<!FOR NO KEY )\b(?:INSERT INTO|UPDATE|DELETE FROM) (?!OF\b|SKIP\b)")
JSON = "application/json"
ROLES = (None, "student", "instructor", "admin", "super_admin")


@dataclass(frozen=True)
class Input:
    """One hostile request.

    Attributes:
        operation: what it is meant for.
        kind: which part of it is hostile.
        name: what is hostile about it.
        method: HTTP method.
        target: path with `{name}` for parameters that are in order, and a query.
        headers: beside those that the operation needs; they replace these.
        body: as sent; None for none.
        role: who asks; None is nobody.
    """

    operation: Described
    kind: str
    name: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    role: str | None = None

    def __str__(self) -> str:
        return f"{self.operation.id} as {self.role}: {self.kind} {self.name[:80]!r}"

    @property
    def lot(self) -> int:
        """A number that is always the same, by which samples are drawn."""
        return crc32(str(self).encode("utf-8", "replace"))


def sample(operation: Described, limit: int, one_in: int) -> list[Input]:
    """Return one input of an operation in so many, always the same ones and at least one."""
    whole = list(inputs(operation, limit))
    return [one for one in whole if one.lot % one_in == 0] or [min(whole, key=lambda one: one.lot)]


def well_formed(operation: Described) -> Input:
    """Return the request that an operation's document shows, which nothing is wrong with."""
    valid = None if operation.body is None else json.dumps(example(operation.body)).encode()
    return Input(
        operation,
        "well-formed",
        "as documented",
        operation.method,
        operation.path,
        body=valid,
        role=operation.role,
    )


def inputs(operation: Described, limit: int) -> Iterator[Input]:
    """Yield the corpus of one operation; `limit` is the most bytes of a body."""
    valid = None if operation.body is None else example(operation.body)
    good = None if valid is None else json.dumps(valid).encode()

    def made(kind: str, name: str, **changes: Any) -> Input:
        given = {
            "method": operation.method,
            "target": operation.path,
            "body": good,
            "role": operation.role,
            **changes,
        }
        return Input(operation, kind, name, **given)

    for name, headers in _headers(operation):
        yield made("header", name, headers=headers)
    for name, target in _targets(operation):
        yield made(name.partition(" ")[0], name, target=target)
    for text in hostile.NOT_TOKENS:
        yield made("authorization", text, headers=(("Authorization", text),))
    for method in hostile.METHODS:
        if method.upper() not in operation.served | {"HEAD"}:
            yield made("method", method, method=method)
    for name, body in hostile.bodies(limit, good or b"{}").items():
        yield made("body", name, body=body)
    for name, body in _members(operation, valid):
        yield made(name.partition(" ")[0], name, body=body)
    for role, body in product(ROLES, (good, b"{", b"[" * 1000)):
        yield made("role", repr(body and body[:9]), role=role, body=body)


def _members(operation: Described, valid: Any) -> Iterator[tuple[str, bytes]]:
    for place in members(operation.body):
        name = ".".join(place)
        yield f"member {name} missing", hostile.without(valid, place)
        for number, raw in enumerate(hostile.RAW_VALUES):
            yield f"member {name} = {raw[:40]!r} #{number}", hostile.placed(valid, place, raw)


def _headers(operation: Described) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    listed = [
        *hostile.OTHERS,
        *(("Host", value) for value in hostile.HOSTS),
        *(("Content-Type", value) for value in hostile.CONTENT_TYPES),
        *(("If-Match", value) for value in hostile.E_TAGS),
        *(("If-None-Match", value) for value in hostile.E_TAGS),
        *(("Idempotency-Key", value) for value in hostile.KEYS),
    ]
    for header in listed:
        yield f"{header[0]}: {header[1][:50]} ({len(header[1])})", (header,)
    for name in operation.headers:
        for value in (
            "\x00",
            "a\x00b",
            "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        ):
            yield f"{name}: {value!r}", ((name, value),)
    yield "a thousand headers", tuple((f"X-{number}", "x") for number in range(1000))


def _targets(operation: Described) -> Iterator[tuple[str, str]]:
    for name in operation.parameters:
        for segment in hostile.SEGMENTS:
            yield f"path {name} {segment[:60]}", operation.path.replace("{" + name + "}", segment)
    for suffix in ("/", "//", "/..", "/%00", "%00", "/x", ".json", ";a=b", "?", "#x"):
        yield f"path behind {suffix}", operation.path + suffix
    for query in hostile.QUERIES:
        yield f"query {query[:60]}", f"{operation.path}?{query}"
    for name in operation.query or {"limit": {}}:
        for value in hostile.QUERY_VALUES:
            yield f"query {name}={value[:60]}", f"{operation.path}?{name}={value}"
        yield f"query {name} twice", f"{operation.path}?{name}=1&{name}=1"


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: of the answer.
        headers: by name, lower case.
        body: all of it.
        written: statements that this request's committed transactions changed rows with.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    written: list[str] = field(default_factory=list[str])


@contextmanager
def committed_writes(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that change rows, once their transaction is committed.

    Keys of idempotent requests are left out: they are taken before anything is decided.
    """
    engine = app.extensions["edge"].database.events
    pending: list[str] = []
    committed: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if WRITE.search(statement) and "idempotency_keys" not in statement:
            pending.append(statement)

    def keep(_connection: object) -> None:
        committed.extend(pending)
        pending.clear()

    def forget(_connection: object) -> None:
        pending.clear()

    listeners = (("before_cursor_execute", note), ("commit", keep), ("rollback", forget))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield committed
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


def send(world: SampleWorld, one: Input, written: list[str]) -> Answer:
    """Send an input straight to the app, as a server would that lets everything through."""
    written.clear()
    body, status, headers = run_wsgi_app(world.app, _environ(world, one), buffered=True)
    return Answer(
        int(status.split()[0]),
        {name.lower(): value for name, value in headers},
        b"".join(body),
        list(written),
    )


def _environ(world: SampleWorld, one: Input) -> dict[str, Any]:
    target = one.target
    for name in one.operation.parameters:
        known = world.path_parameter(name, one.operation.id) or str(uuid4())
        target = target.replace("{" + name + "}", known)
    path, _, query = target.partition("?")
    host = PLATFORM_HOST if one.operation.side == "platform" else world.host
    body = one.body or b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": one.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    given = {"host": host, "idempotency-key": str(uuid4())}
    if "If-Match" in one.operation.headers:
        given["if-match"] = "*"
    if one.body is not None:
        given |= {"content-type": JSON, "content-length": str(len(body))}
    given |= {name.lower(): value for name, value in authorization(world, one.role).items()}
    given |= {name.lower(): value for name, value in one.headers}
    for name, value in given.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
