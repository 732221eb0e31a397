"""What only a wire can carry: framing, raw bytes and half requests, against the API as served."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZIP_STORED

import pytest
from flask import Flask
from sqlalchemy import text

from lms.config import Settings
from lms.courses.archives.format import MAX_ARCHIVE_BYTES
from tenants import names
from tenants.session import Database, OrganizationScope
from tests.contract.world import SampleWorld, make_world
from tests.factories.archives import MANIFEST, zipped
from tests.servers.api import serving

PATIENCE = 15.0  # seconds until the server must have answered or hung up
NOT_ANSWERED = 0
BODY = b'{"title": "On the wire"}'
PARTS = [b"%x\r\n%s\r\n" % (len(BODY), BODY), b"0\r\n\r\n"]


@dataclass(frozen=True)
class Served:
    """The API on a port, and a world behind it."""

    port: int
    world: SampleWorld

    def exchange(self, *pieces: bytes, half: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Send bytes and return status, headers and body of the answer.

        The status is `NOT_ANSWERED` when the server hangs up without a word. With `half`, it is
        told that no more will come; most servers hang up then.
        """
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                if half:
                    connection.shutdown(socket.SHUT_WR)
                while received := connection.recv(65536):
                    answer += received
            except TimeoutError:
                raise
            except OSError:
                pass  # it hung up while we were still sending
        return _parsed(answer)

    def head(self, method: str, path: str, *headers: str, token: str | None = "admin") -> bytes:
        """Return a request's head, in order but for the headers given."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.world.host}", "Connection: close"]
        if token is not None:
            lines.append(f"Authorization: Bearer {self.world.tokens[token]}")
        return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")


def _parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    while True:
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        # To the greeting of HTTP/2 it answers in HTTP/2.
        status = int(lines[0].split()[1]) if answer.startswith(b"HTTP/1") else NOT_ANSWERED
        if status != 100:
            break
        answer = body
    headers = (line.partition(": ") for line in lines[1:])
    return status, {name.lower(): value for name, _, value in headers}, body


@pytest.fixture(scope="module")
def served(
    contract_app: Flask,
    contract_settings: Settings,
    database: Database,
    make_organization: Callable[..., UUID],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    world = make_world(contract_app, contract_settings, database, make_organization)
    log: Path = tmp_path_factory.mktemp("wire") / "api.log"
    # Few connections: the suite's PostgreSQL has other guests.
    with serving(replace(contract_settings, database_pool_size=4), log, threads=4) as port:
        yield Served(port, world)
        assert "unhandled_error" not in log.read_text(errors="replace")


def holds(
    served: Served, answer: tuple[int, dict[str, str], bytes], *allowed: int, half: bool = False
) -> None:
    """The answer is an allowed one, and the server is well.

    Args:
        served: the server.
        answer: status, headers, body.
        allowed: statuses.
        half: it was told that no more will come, and may have hung up before the body.
    """
    status, headers, body = answer
    assert status in allowed, (status, headers, body[:300])
    if status >= 400 and "x-request-id" in headers:  # the app's own answer, not the server's
        assert headers["content-type"] == "application/problem+json"
        assert (half and not body) or json.loads(_unchunked(headers, body))["status"] == status
    connection = HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()


def _unchunked(headers: dict[str, str], body: bytes) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
FRAMED: list[tuple[str, list[str], list[bytes], set[int]]] = [
    ("as it should be", [JSON, f"Content-Length: {len(BODY)}"], [BODY], {201}),
    ("in chunks", [JSON, CHUNKED], PARTS, {201}),
    ("in chunks with an extension", [JSON, CHUNKED], [b"1;a=b\r\n1\r\n0\r\n\r\n"], {422}),
    ("in chunks with a trailer", [JSON, CHUNKED], [PARTS[0], b"0\r\nX-Trailer: 1\r\n\r\n"], {201}),
    ("half of it", [JSON, "Content-Length: 1000"], [BODY], {400, NOT_ANSWERED}),
    ("none of it", [JSON, "Content-Length: 1000"], [], {400, NOT_ANSWERED}),
    # Granian tells the app of no difference between the last chunk and a client that hangs up;
    # what is whole JSON by then passes.
    ("chunks that never end", [JSON, CHUNKED], [PARTS[0]], {201, 400, NOT_ANSWERED}),
    ("half of a chunk", [JSON, CHUNKED], [b"ff\r\n{"], {400, NOT_ANSWERED}),
    ("a chunk of nonsense size", [JSON, CHUNKED], [b"zz\r\n{}\r\n"], {400, NOT_ANSWERED}),
    ("a negative chunk", [JSON, CHUNKED], [b"-1\r\n{}\r\n"], {400, NOT_ANSWERED}),
    ("a chunk of huge size", [JSON, CHUNKED], [b"f" * 17 + b"\r\n{}"], {400, NOT_ANSWERED}),
    ("more than was said", [JSON, "Content-Length: 2"], [b"{}" + BODY], {400, 422}),
    ("a negative length", [JSON, "Content-Length: -1"], [BODY], {400, NOT_ANSWERED}),
    ("a length in words", [JSON, "Content-Length: ten"], [BODY], {400, NOT_ANSWERED}),
    ("two lengths", [JSON, "Content-Length: 2", "Content-Length: 24"], [BODY], {400}),
    ("a length and chunks", [JSON, "Content-Length: 24", CHUNKED], PARTS, {201, 400}),
    ("another coding", [JSON, "Transfer-Encoding: gzip"], [BODY], {400, 415, NOT_ANSWERED}),
    ("no length", [JSON], [BODY], {400}),
    ("after 100-continue", [JSON, "Expect: 100-continue", "Content-Length: 24"], [BODY], {201}),
    ("two types", [JSON, "Content-Type: text/xml", "Content-Length: 24"], [BODY], {201, 400, 415}),
    ("no type", ["Content-Length: 24"], [BODY], {415}),
]


@pytest.mark.parametrize(
    ("headers", "pieces", "allowed"), [row[1:] for row in FRAMED], ids=[row[0] for row in FRAMED]
)
def test_a_body_however_framed_is_read_whole_or_refused(
    served: Served, headers: list[str], pieces: list[bytes], allowed: set[int]
) -> None:
    head = served.head("POST", "/api/v1/courses", *headers)
    answer = served.exchange(head, *pieces, half=NOT_ANSWERED in allowed)
    holds(served, answer, *allowed)


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "in chunks"])
def test_a_body_over_the_limit_is_413(served: Served, announced: bool) -> None:
    size = served.world.settings.max_body_bytes + 1
    body = b'{"title": "' + b"x" * size + b'"}'
    how = f"Content-Length: {len(body)}" if announced else CHUNKED
    framed = [body] if announced else [b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)]
    head = served.head("POST", "/api/v1/courses", JSON, how)
    answer = served.exchange(head, *framed)
    # It may hang up before it has read all; then the answer can be lost on its way.
    holds(served, answer, 413, NOT_ANSWERED)


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(
    ("size", "allowed"),
    [(2 * 1024 * 1024, {409}), (MAX_ARCHIVE_BYTES + 1, {413, NOT_ANSWERED})],
    ids=["of two MiB", "over its limit"],
)
def test_an_archive_may_be_larger_than_other_bodies(
    served: Served, announced: bool, size: int, allowed: set[int]
) -> None:
    text = {"modules": [{"title": "x", "lessons": [], "summary": "x" * 5000}]}
    body = zipped(
        {"manifest.json": MANIFEST, "version.json": json.dumps(text).encode() + b" " * size},
        compression=ZIP_STORED,
    )
    how = f"Content-Length: {len(body)}" if announced else CHUNKED
    framed = [body] if announced else [b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)]
    path = f"/api/v1/courses/{served.world.ids.course_id}/versions/import"
    head = served.head("POST", path, "Content-Type: application/zip", how)
    # The course has a draft: that is asked once all of it was read.
    holds(served, served.exchange(head, *framed), *allowed)


TARGETS: list[tuple[bytes, set[int]]] = [
    (b"/api/v1/courses/%00", {404}),
    (b"/api/v1/courses/a\x00b", {400, 404, NOT_ANSWERED}),
    (b"/api/v1/courses/\xff\xfe", {400, 404, NOT_ANSWERED}),
    (b"/api/v1/courses?cursor=\xff", {400, 422, NOT_ANSWERED}),
    (b"/api/v1/courses?cursor=%ff", {400, 422}),
    (b"/api/v1/courses?limit=1&limit=2", {400}),
    (b"/api/v1/courses?" + b"a" * 60_000, {400, 414, 422, 431, NOT_ANSWERED}),
    (b"/" + b"a" * 200_000, {400, 404, 414, 431, NOT_ANSWERED}),
    (b"/api/v1/../../etc/passwd", {404}),
    (b"/api/v1/%2e%2e/%2e%2e/etc/passwd", {404}),
    (b"//api//v1//courses", {308, 404}),
    (b"http://evil.example/api/v1/courses", {200, 400, 404}),
    (b"*", {400, 404}),
    (b"", {400, NOT_ANSWERED}),
    (b"courses", {308, 400, 404, NOT_ANSWERED}),
    (b"/api/v1/courses#fragment", {200, 400, 404}),
    (b"/api/v1/courses HTTP/1.1 x", {400, NOT_ANSWERED}),
    (b"/api/v1/courses%", {404}),
]


@pytest.mark.parametrize(
    ("target", "allowed"), TARGETS, ids=[repr(target[:40]) for target, _ in TARGETS]
)
def test_any_bytes_in_the_request_line_are_answered_or_refused(
    served: Served, target: bytes, allowed: set[int]
) -> None:
    head = served.head("GET", "/api/v1/courses").replace(b"/api/v1/courses", target, 1)
    holds(served, served.exchange(head), *allowed)


HEADS: list[tuple[str, bytes, set[int]]] = [
    ("NUL in a header", b"X-A: a\x00b", {400, NOT_ANSWERED}),
    ("raw bytes in a header", b"X-A: \xff\xfe", {200, 400}),
    ("raw bytes in X-Request-ID", b"X-Request-ID: \xff", {200, 400}),
    ("a bare line feed", b"X-A: a\nX-B: b", {200, 400}),
    ("a bare carriage return", b"X-A: a\rX-B: b", {400, NOT_ANSWERED}),
    ("a folded header", b"X-A: a\r\n b", {200, 400, NOT_ANSWERED}),
    ("a space before the colon", b"X-A : a", {200, 400, NOT_ANSWERED}),
    ("a header without a name", b": a", {400, NOT_ANSWERED}),
    ("a header without a colon", b"nonsense", {400, NOT_ANSWERED}),
    ("a second Host", b"Host: admin.localhost", {200, 400, 404}),
    ("a second Authorization", b"Authorization: Bearer x", {200, 400, 401}),
    ("a header of 64 kB", b"X-A: " + b"x" * 65_536, {200, 400, 431, NOT_ANSWERED}),
    ("a header of 1 MB", b"X-A: " + b"x" * 1_048_576, {400, 431, NOT_ANSWERED}),
    ("a thousand headers", b"\r\n".join(b"X-%d: a" % number for number in range(1000)), {400, 431}),
    ("a cookie of NULs", b"Cookie: a=%00; b=\xff", {200, 400}),
    ("an upgrade", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", {200, 400}),
    ("a websocket", b"Connection: Upgrade\r\nUpgrade: websocket", {200, 400, 405}),
    ("a method override", b"X-HTTP-Method-Override: DELETE", {200}),
    ("another host forwarded", b"X-Forwarded-Host: admin.localhost", {200}),
]


@pytest.mark.parametrize(
    ("line", "allowed"), [row[1:] for row in HEADS], ids=[row[0] for row in HEADS]
)
def test_any_header_is_ignored_or_refused(served: Served, line: bytes, allowed: set[int]) -> None:
    head = served.head("GET", "/api/v1/me").removesuffix(b"\r\n") + line + b"\r\n\r\n"
    holds(served, served.exchange(head), *allowed)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"\x00" * 100,
        bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/v1/me\r\n\r\n",
        b"GET /api/v1/me HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\n\r\n",
        b"GET /api/v1/me HTTP/1.0\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nHost: ",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"{}\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_hardly_a_request_harms_nobody(served: Served, raw: bytes) -> None:
    answer = served.exchange(raw, half=True)
    holds(served, answer, 400, 404, 405, 505, NOT_ANSWERED, half=True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/auth/login"),
        ("POST", "/api/v1/webhooks/sandbox"),
        ("PUT", "/api/v1/files/{write token}"),
        ("POST", "/api/v1/wallet/top-ups"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        (["Content-Length: 1000"], [b"{"]),
        ([CHUNKED], [b"ff\r\n{"]),
        ([CHUNKED], [b"zz\r\n"]),
        (["Content-Length: -1"], [b"{}"]),
    ],
    ids=["half", "half a chunk", "nonsense", "negative"],
)
def test_a_half_sent_body_changes_nothing_wherever_bodies_are_read(
    served: Served, method: str, path: str, headers: list[str], pieces: list[bytes]
) -> None:
    known: dict[str, Any] = served.world.known
    for name, value in known.items():
        path = path.replace("{" + name + "}", value)
    before = contents(served)
    head = served.head(method, path, JSON, "Idempotency-Key: k", *headers, token="student")
    holds(served, served.exchange(head, *pieces, half=True), 400, 413, NOT_ANSWERED, half=True)
    after = contents(served)
    assert {what for what in before | after if before.get(what) != after.get(what)} == set()


def contents(served: Served) -> dict[str, object]:
    """Return the rows of each of the organization's tables, and its stored files.

    Without keys of idempotent requests: they are taken before a body is read.
    """
    world = served.world
    tables = text(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'idempotency_keys'"
        " AND relnamespace = CAST(:schema AS regnamespace)"
    )
    schema = names.schema_name(world.organization_id)
    found: dict[str, object] = {}
    with world.database.transaction(OrganizationScope(world.organization_id)) as session:
        for table in session.scalars(tables, {"schema": schema}):
            rows = text(f"SELECT CAST(t AS text) FROM {names.quote(table)} t")
            found[table] = sorted(session.scalars(rows))
    root = world.settings.storage_path
    assert root is not None
    files = ((path, path.stat()) for path in root.rglob("*") if path.is_file())
    found |= {str(path): (status.st_size, status.st_mtime_ns) for path, status in files}
    return found
