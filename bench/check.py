"""Whether our answers have the substance that is measured, asked before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from bench.academy import BALANCE, LESSONS_PER_MODULE, MODULES, PRICE
from bench.target import API, PAGE

LESSONS = MODULES * LESSONS_PER_MODULE


class Ask(Protocol):
    """Asks the API."""

    def __call__(
        self, method: str, path: str, *, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        """Send a request with a JSON body, none when it is None; return status and JSON."""
        ...


class UnlikeError(Exception):
    """An answer is not what is to be measured; the message says how."""


@dataclass(frozen=True, slots=True)
class Client:
    """The first student of a tenant."""

    ask: Ask
    tenant: Mapping[str, Any]

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask, and return status and JSON."""
        known = {
            "Host": self.tenant["host"],
            "Authorization": f"Bearer {self.tenant['students'][0]['token']}",
        }
        return self.ask(method, API + path, body=body, headers={**known, **(headers or {})})


def check_answers(ask: Ask, tenants: Sequence[Mapping[str, Any]]) -> None:
    """Ask every measured operation once, of some tenants. Buys a run in each.

    Raises:
        UnlikeError: an answer differs.
    """
    for tenant in tenants:
        client = Client(ask, tenant)
        check_courses(client)
        check_outline(client)
        check_progress(client)
        check_purchase(client)


def check_courses(client: Client) -> None:
    """Every page has 20 courses that were not on another, each with its instructor."""
    seen: set[str] = set()
    pages = client.tenant["vars"]["page"]
    for page in pages:
        status, body = client.send("GET", f"/courses?limit={PAGE}{page}")
        _equal("status of the list", status, 200)
        _equal("courses on a page", len(body["items"]), PAGE)
        _equal("instructors", {bool(item["instructor"]["name"]) for item in body["items"]}, {True})
        seen |= {item["id"] for item in body["items"]}
    _equal("different courses", len(seen), PAGE * len(pages))


def check_outline(client: Client) -> None:
    """An outline has 8 modules, 48 lessons, 96 files, 24 videos."""
    version_id = client.tenant["vars"]["version_id"][0]
    status, body = client.send("GET", f"/course-versions/{version_id}/outline")
    _equal("status of the outline", status, 200)
    _equal("modules", len(body["modules"]), MODULES)
    lessons = [lesson for module in body["modules"] for lesson in module["lessons"]]
    media = [one for lesson in lessons for one in lesson["media"]]
    _equal("lessons", len(lessons), LESSONS)
    _equal("files", len(media), 2 * LESSONS)
    _equal("videos", sum(one["video_id"] is not None for one in media), LESSONS // 2)
    _equal("first lesson", lessons[0]["id"], client.tenant["vars"]["lesson_id"][0])


def check_progress(client: Client) -> None:
    """A report is kept: what comes back is what was sent."""
    ids = client.tenant["vars"]
    path = f"/enrollments/{ids['enrollment_id'][0]}/lessons/{ids['lesson_id'][0]}/progress"
    for position in (7, 8):
        status, body = client.send(
            "PUT", path, {"position_seconds": position, "watched": [[0, 120]]}
        )
        _equal("status of a report", status, 200)
        _equal("position", body["position_seconds"], position)
        _equal("completed", body["completed_at"], None)


def check_purchase(client: Client) -> None:
    """A purchase answers 201, debits the wallet once, and its repeat is replayed."""
    path = f"/runs/{client.tenant['vars']['run_id'][0]}/enrollments"
    body, key = {"payment": {"method": "wallet"}}, {"Idempotency-Key": str(uuid4())}
    status, bought = client.send("POST", path, body, key)
    _equal("status of a purchase", status, 201)
    _equal("repeated purchase", client.send("POST", path, body, key), (201, bought))
    _equal("enrollment", bought["enrollment"]["state"], "active")
    _equal("payment", bought["payment"]["state"], "succeeded")
    _equal("price", bought["payment"]["amount"]["amount"], PRICE)
    _, wallet = client.send("GET", "/wallet")
    _equal("balance", wallet["balance"]["amount"], BALANCE - PRICE)
    _, journal = client.send("GET", "/wallet/transactions")
    moved = {(one["payment_id"], one["amount"]["amount"]) for one in journal["items"]}
    _equal("debit", (str(UUID(bought["payment"]["id"])), -PRICE) in moved, True)
    _equal("second purchase", client.send("POST", path, body, {"Idempotency-Key": "again"})[0], 409)


def _equal(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise UnlikeError(f"{what}: {found!r} instead of {wanted!r}")
