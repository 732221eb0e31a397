"""Two editors at once, against the API as it is served: whoever is late is told, nothing is lost.

In each round both read the same state before either writes, so exactly one write may succeed. Who
is refused reads again, and writes again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from lms.config import Settings
from lms.embedded.process import LOOPBACK
from tenants.session import Database
from tests.factories.courses import Content, make_draft
from tests.factories.storm import AWAY
from tests.lms.courses.conftest import Api
from tests.servers.api import serving

EDITORS = 2
ROUNDS = 15
PATIENCE = 30.0
LESSON_MEMBERS = (
    *("kind", "title", "content", "estimated_seconds", "required", "preview", "weight"),
    *("completion", "availability"),
)


@pytest.fixture(scope="module")
def port(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log: Path = tmp_path_factory.mktemp("storm") / "api.log"
    with serving(replace(settings, database_pool_size=4), log, threads=4) as port:
        yield port
        assert "unhandled_error" not in log.read_text(errors="replace")


@dataclass
class Editor:
    """Edits over a connection of their own."""

    number: int
    client: httpx.Client

    def read(self, path: str) -> httpx.Response:
        return self._ask("GET", path).raise_for_status()

    def write(self, method: str, path: str, body: Any, etag: str) -> int:
        """Write what is based on a state; returns the status, 200 or 412."""
        answer = self._ask(method, path, json=body, headers={"If-Match": etag})
        assert answer.status_code in (200, 412), answer.text
        return answer.status_code

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        # "Others are changing the same thing": repeated unchanged, as Retry-After says.
        while (answer := self.client.request(method, path, **more)).status_code == AWAY:
            pass
        return answer


@pytest.fixture
def editors(port: int, instructor: Api, admin: Api) -> Iterator[list[Editor]]:
    made = [
        Editor(
            number,
            httpx.Client(
                base_url=f"http://{LOOPBACK}:{port}/api/v1",
                headers={**api.person.headers, "Host": api.host},
                timeout=PATIENCE,
            ),
        )
        for number, api in enumerate((instructor, admin))
    ]
    yield made
    for editor in made:
        editor.client.close()


@pytest.fixture
def draft(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_draft(database, acme, instructor.person, outline=[["text"] * 4, ["text"] * 3])


def storm(
    editors: list[Editor], edit: Callable[[Editor, int], Callable[[], int]]
) -> list[list[int]]:
    """Let editors edit at once, round by round; returns the statuses of each round's first writes.

    Args:
        editors: each in a thread.
        edit: reads the present state and returns what writes the editor's change to it.
    """
    together = threading.Barrier(len(editors))

    def work(editor: Editor) -> list[int]:
        told = []
        for number in range(ROUNDS):
            write = edit(editor, number)
            together.wait(PATIENCE)
            told.append(write())
            status = told[-1]
            while status != 200:
                status = edit(editor, number)()
            together.wait(PATIENCE)
        return told

    with ThreadPoolExecutor(len(editors)) as pool:
        return [sorted(statuses) for statuses in zip(*pool.map(work, editors), strict=True)]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_no_edit_of_one_lesson_is_lost(editors: list[Editor], draft: Content, method: str) -> None:
    path = f"/lessons/{draft.lesson_ids[0]}"
    editors[0].client.patch(path, json={"content": ""}, headers={"If-Match": "*"})

    def edit(editor: Editor, number: int) -> Callable[[], int]:
        seen = editor.read(path)
        lesson = seen.json()
        content = f"{lesson['content']}\n{editor.number} {number}".strip()
        body = {"content": content}
        if method == "PUT":
            body = {**{name: lesson[name] for name in LESSON_MEMBERS}, **body}
        return lambda: editor.write(method, path, body, seen.headers["ETag"])

    told = storm(editors, edit)

    assert told == [[200, 412]] * ROUNDS
    lines = editors[0].read(path).json()["content"].splitlines()
    assert sorted(lines) == sorted(
        f"{editor} {number}" for editor in range(EDITORS) for number in range(ROUNDS)
    )


def test_no_order_that_two_set_at_once_is_lost(editors: list[Editor], draft: Content) -> None:
    version = f"/course-versions/{draft.version_id}"

    def order_of(editor: Editor) -> list[dict[str, Any]]:
        return [
            {
                "id": module["id"],
                "lesson_ids": [
                    lesson["id"]
                    for lesson in editor.read(f"/modules/{module['id']}/lessons").json()["items"]
                ],
            }
            for module in editor.read(f"{version}/modules").json()["items"]
        ]

    def rotate(editor: Editor, _: int) -> Callable[[], int]:
        """Move the first lesson of all behind the last; modules keep their lengths."""
        etag = editor.read(version).headers["ETag"]
        modules = order_of(editor)
        flat = [lesson for module in modules for lesson in module["lesson_ids"]]
        rotated = iter([*flat[1:], flat[0]])
        body = {
            "modules": [
                {"id": module["id"], "lesson_ids": [next(rotated) for _ in module["lesson_ids"]]}
                for module in modules
            ]
        }
        return lambda: editor.write("PUT", f"{version}/order", body, etag)

    told = storm(editors, rotate)

    assert told == [[200, 412]] * ROUNDS
    turns = EDITORS * ROUNDS % len(draft.lesson_ids)
    expected = [*draft.lesson_ids[turns:], *draft.lesson_ids[:turns]]
    found = [one for module in order_of(editors[0]) for one in module["lesson_ids"]]
    assert found == [str(one) for one in expected]
