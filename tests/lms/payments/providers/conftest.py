from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import pytest

from lms.payments.providers.sandbox import SIGNATURE_HEADER, SandboxProvider

SECRET_KEY = "sk_test_of_the_sandbox"
WEBHOOK_SECRET = "whsec_test_of_the_sandbox"
DEADLINE = 20.0  # seconds until a test gives up on something that should happen at once


def _until(condition: Callable[[], bool]) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _environment(**changes: str) -> dict[str, str]:
    secrets = {"SANDBOX_SECRET_KEY": SECRET_KEY, "SANDBOX_WEBHOOK_SECRET": WEBHOOK_SECRET}
    return {**os.environ, **secrets, **changes}


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "lms.payments.providers.sandbox_server", *options]


class StartSandbox(Protocol):
    """Runs a sandbox server in a process of its own, for as long as it is needed."""

    def __call__(
        self, data: Path, *, settle_after: float = 600
    ) -> AbstractContextManager[RunningSandbox]: ...


class RunServer(Protocol):
    """Runs a sandbox server that is expected to end by itself."""

    def __call__(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]: ...


@dataclass(frozen=True)
class RunningSandbox:
    url: str
    process: subprocess.Popen[str]


@contextmanager
def _running_sandbox(data: Path, *, settle_after: float = 600) -> Iterator[RunningSandbox]:
    command = _command("--port", "0", "--data", str(data), "--settle-after", str(settle_after))
    with (
        data.with_suffix(".log").open("ab") as log,
        subprocess.Popen(
            command, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], DEADLINE)[0], "it did not start"
            yield RunningSandbox(process.stdout.readline().split()[-1], process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def start_sandbox() -> StartSandbox:
    return _running_sandbox


@pytest.fixture(scope="module")
def run_server() -> RunServer:
    def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(*options),
            env=_environment(**environment),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    return run


@dataclass(frozen=True)
class Received:
    host: str
    signature: str
    body: bytes


@dataclass
class Inbox:
    """What a tiny HTTP server received, by path, and what it is to answer."""

    port: int
    received: dict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[int]] = field(default_factory=dict)

    def wait(self, path: str, count: int) -> list[Received]:
        _until(lambda: len(self.received[path]) >= count)
        return self.received[path]


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signature = self.headers[SIGNATURE_HEADER] or self.headers["Stripe-Signature"]
            box.received[self.path].append(Received(self.headers["Host"], signature, body))
            statuses = box.answers.get(self.path)
            self.send_response(statuses.pop(0) if statuses else 204)
            self.end_headers()

        def log_message(self, *_args: object, **_kwargs: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box = Inbox(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield box
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def sandbox(
    tmp_path_factory: pytest.TempPathFactory, start_sandbox: StartSandbox
) -> Iterator[RunningSandbox]:
    """A sandbox server whose pending payments succeed by themselves after half a second."""
    data = tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite"
    with start_sandbox(data, settle_after=0.5) as running:
        yield running


@pytest.fixture
def path() -> str:
    """A webhook path of one test alone."""
    return f"/{uuid.uuid4()}"


@pytest.fixture
def academy(inbox: Inbox, path: str) -> SandboxProvider:
    """The adapter of an organization of one test alone, without a server to speak to yet."""
    return SandboxProvider(
        base_url="http://127.0.0.1:9",
        secret_key=SECRET_KEY,
        webhook_secret=WEBHOOK_SECRET,
        account=str(uuid.uuid4()),
        webhook_url=f"http://127.0.0.1:{inbox.port}{path}",
    )


@pytest.fixture
def provider(academy: SandboxProvider, sandbox: RunningSandbox) -> SandboxProvider:
    """The adapter of an organization of one test alone, speaking to the module's server."""
    return replace(academy, base_url=sandbox.url)
