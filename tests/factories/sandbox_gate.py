"""A gate before the sandbox: a test sees each request on its way, and may hold it or lose it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, cast

import httpx

Moment = Literal["asked", "decided", "answered"]
"""`asked`: the provider does not know of it yet; `decided`: the provider has answered, and nobody
has heard it; `answered`: the answer is on its way to whoever asked."""

PASSED_ON = ("Authorization", "Sandbox-Account", "Idempotency-Key", "Content-Type")
ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Passing:
    """A request to the provider at one moment of its way.

    Attributes:
        moment: how far it is.
        method: of HTTP.
        path: at the provider.
        key: its Idempotency-Key; None for what only reads.
        port: of the connection on which whoever asks will hear the answer.
        answer: the provider's, once it has decided; None where it hung up.
    """

    moment: Moment
    method: str
    path: str
    key: str | None
    port: int
    answer: Any = None


Watch = Callable[[Passing], bool]
"""Is called at each moment, in the request's own thread; False loses the request there."""


def let_pass(_passing: Passing) -> bool:
    """Do nothing; what a gate begins with."""
    return True


class Gate:
    """Stands before a sandbox; `watch` may be changed at any time.

    Args:
        sandbox_url: the sandbox's.

    Attributes:
        watch: is told of each request.
    """

    def __init__(self, sandbox_url: str) -> None:
        self.watch: Watch = let_pass
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.gate = self
        self._server.sandbox_url = sandbox_url
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="gate", daemon=True
        )

    @property
    def url(self) -> str:
        """Where the product reaches the sandbox through the gate."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    gate: Gate
    sandbox_url: str

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: who asked may be dead by now."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, *_args: object, **_kwargs: object) -> None:
        pass

    def _pass_on(self) -> None:
        server = cast("_Server", self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        passing = Passing(
            "asked",
            self.command,
            self.path,
            self.headers.get("Idempotency-Key"),
            self.client_address[1],
        )
        if not server.gate.watch(passing):
            return
        answer = self._ask(server.sandbox_url, body)
        said = None if answer is None else answer.json()
        if not server.gate.watch(replace(passing, moment="decided", answer=said)):
            return
        if answer is None:
            return
        with suppress(OSError):
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
        server.gate.watch(replace(passing, moment="answered", answer=said))

    def _ask(self, sandbox_url: str, body: bytes) -> httpx.Response | None:
        """Ask the sandbox; None where it hangs up after it has decided."""
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        try:
            return httpx.request(
                self.command,
                sandbox_url + self.path,
                headers=headers,
                content=body,
                timeout=ANSWER_SECONDS,
                trust_env=False,
            )
        except httpx.TransportError:
            return None
