"""Clients that call two organizations in turn, and notice whatever is not the right one's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from lms.embedded.process import LOOPBACK
from tests.factories.twins import Side, World

AWAY = 503
"""PostgreSQL ended the connection: the client repeats, as Retry-After tells it to."""
MOST_REPEATS = 20
FILE_LINES = 10_000


@dataclass(frozen=True)
class Answer:
    """A status, and the body as text."""

    status: int
    text: str


@dataclass
class Client:
    """One connection, used for both organizations in turn.

    Attributes:
        port: of the API, on this machine.
        world: the two organizations; their rows have the same ids.
        sent: requests so far.
        repeated: those of them that were answered AWAY.
        mismatches: what was not as it should be, in words.
        created: per host, ids of the courses whose creation was acknowledged.
    """

    port: int
    world: World
    sent: int = 0
    repeated: int = 0
    mismatches: list[str] = field(default_factory=list)
    created: dict[str, set[UUID]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._connection = HTTPConnection(LOOPBACK, self.port, timeout=30)

    def visit(self, number: int) -> None:
        """Do the next thing, at the one organization or at the other."""
        side = (self.world.acme, self.world.globex)[number % 2]
        MOVES[number // 2 % len(MOVES)](self, side)

    def expect(
        self,
        side: Side,
        status: int,
        shows: str,
        role: str,
        path: str,
        *,
        method: str = "GET",
        body: Any = None,
        token: str | None = None,
    ) -> Answer:
        """Send a request until PostgreSQL is there, and compare the answer.

        Args:
            side: the organization whose host is called.
            status: what it should answer.
            shows: what the body should contain.
            role: whose token is sent.
            path: below /api/v1.
            method: of HTTP.
            body: sent as JSON, or as it is when it is bytes.
            token: sent instead of the role's.
        """
        for _ in range(MOST_REPEATS):
            answer = self._ask(side, method, path, token or side.tokens[role], body)
            if answer is not None and answer.status != AWAY:
                break
            self.repeated += 1
        else:
            raise AssertionError(f"{method} {path} is never answered")
        if answer.status != status or shows not in answer.text:
            self._complain(side, f"{method} {path}", f"{answer.status} {answer.text[:300]}")
        return answer

    def send(
        self, side: Side, method: str, path: str, token: str | None = None, body: Any = None
    ) -> None:
        """Send a request; nobody waits for the answer yet."""
        headers = {"Host": side.host}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if method == "PATCH":
            headers["If-Match"] = '"99"'
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.sent += 1
        self._connection.request(method, f"/api/v1{path}", body=data, headers=headers)

    def download(self, side: Side, address: str, *, whole: bool) -> None:
        """Read a file, or its beginning and then leave."""
        self.send(side, "GET", urlsplit(address).path.removeprefix("/api/v1"))
        response = self._connection.getresponse()
        data = response.read() if whole else response.read(1000)
        if response.status == AWAY:
            self.repeated += 1
        elif response.status != 200 or not file_of(side).startswith(data):
            self._complain(side, address, f"{response.status} {data[:300]!r}")
        if not whole:
            self.leave()

    def leave(self) -> None:
        """Close the connection, whatever is still on its way."""
        self._connection.close()

    def _ask(self, side: Side, method: str, path: str, token: str, body: Any) -> Answer | None:
        """Return the answer; None when the connection, kept from before, was closed meanwhile."""
        try:
            self.send(side, method, path, token, body)
            response = self._connection.getresponse()
        except ConnectionError:
            self.leave()
            return None
        answer = Answer(response.status, response.read().decode())
        self._compare(side, f"{method} {path}", f"{response.getheaders()}{answer.text}")
        return answer

    def _compare(self, side: Side, what: str, seen: str) -> None:
        other = self.world.globex if side is self.world.acme else self.world.acme
        # As a word: seven digits may stand within a random id.
        if other.canary in seen or re.search(rf"\b{other.mark}\b", seen):
            self._complain(side, what, f"shows what is {other.host}'s: {seen[:300]}")

    def _complain(self, side: Side, what: str, said: str) -> None:
        self.mismatches.append(f"{side.host} {what}: {said}")


def file_of(side: Side) -> bytes:
    """Return what a side's file holds: nothing but its canary."""
    return f"{side.canary}\n".encode() * FILE_LINES


def read_me(client: Client, side: Side) -> None:
    client.expect(side, 200, f"student {side.canary}", "student", "/me")


def read_course(client: Client, side: Side) -> None:
    path = f"/courses/{client.world.shared.course_id}"
    client.expect(side, 200, f"Course {side.canary}", "admin", path)


def read_outline(client: Client, side: Side) -> None:
    path = f"/course-versions/{client.world.shared.version_id}/outline"
    client.expect(side, 200, f"Lesson {side.canary}", "student", path)


def read_wallet(client: Client, side: Side) -> None:
    client.expect(side, 200, str(side.mark), "student", "/wallet")


def list_users(client: Client, side: Side) -> None:
    client.expect(side, 200, side.canary, "admin", "/users")


def read_what_only_acme_has(client: Client, side: Side) -> None:
    has = side is client.world.acme
    path = f"/courses/{client.world.acme_only.course_id}"
    shows = f"{side.canary}only" if has else "not_found"
    client.expect(side, 200 if has else 404, shows, "admin", path)


def record_progress(client: Client, side: Side) -> None:
    ids = client.world.shared
    path = f"/enrollments/{ids.enrollment_id}/lessons/{ids.lesson_id}/progress"
    client.expect(side, 200, "", "student", path, method="PUT", body={"watched": [[0, 3]]})


def create_course(client: Client, side: Side) -> None:
    body = {"title": f"Created {side.canary}"}
    answer = client.expect(side, 201, side.canary, "admin", "/courses", method="POST", body=body)
    if answer.status == 201:
        made = client.created.setdefault(side.host, set())
        made.add(UUID(json.loads(answer.text)["id"]))


def create_without_a_title(client: Client, side: Side) -> None:
    client.expect(side, 422, "title", "admin", "/courses", method="POST", body={})


def send_broken_json(client: Client, side: Side) -> None:
    client.expect(side, 400, "", "admin", "/courses", method="POST", body=b'{"title": "x')


def change_what_somebody_else_changed(client: Client, side: Side) -> None:
    path = f"/courses/{client.world.shared.course_id}"
    client.expect(side, 412, "", "admin", path, method="PATCH", body={"title": "Lost update"})


def delete_what_is_in_use(client: Client, side: Side) -> None:
    """PostgreSQL refuses a statement, and with it the transaction."""
    path = f"/courses/{client.world.shared.course_id}"
    client.expect(side, 409, "", "admin", path, method="DELETE")


def come_with_the_others_token(client: Client, side: Side) -> None:
    other = client.world.globex if side is client.world.acme else client.world.acme
    client.expect(side, 401, "", "admin", "/me", token=other.tokens["admin"])


def leave_before_the_answer(client: Client, side: Side) -> None:
    client.send(side, "GET", "/users", side.tokens["admin"])
    client.leave()


def read_file(client: Client, side: Side, *, whole: bool = True) -> None:
    ids = client.world.shared
    path = f"/enrollments/{ids.enrollment_id}/media-files/{ids.media_file_id}/download"
    answer = client.expect(side, 200, "url", "student", path)
    if answer.status == 200:
        client.download(side, json.loads(answer.text)["url"], whole=whole)


def leave_a_file_half_way(client: Client, side: Side) -> None:
    read_file(client, side, whole=False)


MOVES: tuple[Callable[[Client, Side], None], ...] = (
    read_me,
    read_course,
    delete_what_is_in_use,
    read_wallet,
    create_course,
    read_outline,
    leave_before_the_answer,
    read_what_only_acme_has,
    record_progress,
    send_broken_json,
    list_users,
    read_file,
    change_what_somebody_else_changed,
    read_me,
    come_with_the_others_token,
    read_course,
    create_without_a_title,
    leave_a_file_half_way,
    read_outline,
)
