"""HTTP load that records every answer, and writers that repeat until they are acknowledged."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.factories.people import Person
from tests.faults.stand import Stand

TRANSPORT = "no answer"


@dataclass(frozen=True)
class Heard:
    """One request's answer.

    Attributes:
        what: the request, as the test calls it.
        status: HTTP status; None when the connection broke or nothing came in time.
        code: of a problem document.
        seconds: how long it took.
        proper: whether a 503 is a problem document that says when to come back.
    """

    what: str
    status: int | None
    code: str | None
    seconds: float
    proper: bool


@dataclass
class Load:
    """Threads that call the API until `stop`.

    Attributes:
        stand: whose API.
        slug: the organization.
        heard: all answers, in order.
        stop: set to end all; a writer first has what it has begun acknowledged.
    """

    stand: Stand
    slug: str
    heard: list[Heard] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def read(self, what: str, path: str, person: Person) -> None:
        """Read again and again."""
        client = self.stand.client(self.slug)
        while not self.stop.is_set():
            self._call(client, what, "GET", path, person)

    def write(
        self,
        what: str,
        method: str,
        requests: Iterator[tuple[str, Any, str | None]],
        person: Person,
        *,
        pause: float,
        patience: float = 60.0,
    ) -> None:
        """Write each of several things, repeating the very request until it is acknowledged.

        Args:
            what: for the record.
            method: of the requests.
            requests: path, body and Idempotency-Key of each.
            person: whose they are.
            pause: seconds between them.
            patience: seconds after which one that was not acknowledged is an error.

        Raises:
            AssertionError: one was not acknowledged.
        """
        client = self.stand.client(self.slug)
        for path, body, key in requests:
            if self.stop.is_set():
                break
            deadline = time.monotonic() + patience
            while not self._call(client, what, method, path, person, body, key):
                if time.monotonic() > deadline:
                    raise AssertionError(f"{what} was not acknowledged in {patience} s")
                time.sleep(0.1)
            time.sleep(pause)

    def summary(self) -> str:
        """Return how many answers of each kind there were, and the slowest."""
        kinds = Counter(
            f"{h.what}: {h.status or TRANSPORT} {h.code or ''}".strip() for h in self.heard
        )
        slowest = max(h.seconds for h in self.heard)
        lines = [f"{kind}: {count}" for kind, count in sorted(kinds.items())]
        return "\n".join([*lines, f"slowest answer: {slowest:.2f} s"])

    def _call(
        self,
        client: httpx.Client,
        what: str,
        method: str,
        path: str,
        person: Person,
        body: Any = None,
        key: str | None = None,
    ) -> bool:
        headers = {**person.headers, **({"Idempotency-Key": key} if key else {})}
        began = time.monotonic()
        status, code, proper = None, None, False
        try:
            answer = client.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            code = type(error).__name__
        else:
            status = answer.status_code
            if answer.headers.get("Content-Type") == "application/problem+json":
                code = answer.json()["code"]
                proper = answer.headers.get("Retry-After", "").isdigit()
        self.heard.append(Heard(what, status, code, time.monotonic() - began, proper))
        return status is not None and status < 300


@contextmanager
def in_threads(*steps: Callable[[], Any], stop: threading.Event) -> Iterator[list[Future[Any]]]:
    """Run steps beside the block; their errors are raised at its end.

    Args:
        steps: run until `stop` is set, or end earlier.
        stop: set when the block is left, also by an error: its threads are waited for.
    """
    with ThreadPoolExecutor(len(steps)) as threads:
        futures = [threads.submit(step) for step in steps]
        try:
            yield futures
        finally:
            stop.set()
    for future in futures:
        future.result()
