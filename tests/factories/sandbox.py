"""A sandbox provider in its own process, providers that misbehave, and apps that pay by them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from flask import Flask

from lms.app import create_app
from lms.config import Settings

SECRET_KEY = "sk_test_of_the_sandbox"
WEBHOOK_SECRET = "whsec_test_of_the_sandbox"
START_SECONDS = 20.0
NOWHERE = "http://127.0.0.1:9"
"""Where no provider listens (the discard port)."""


@contextmanager
def running_sandbox(data: Path, *, settle_after: float = 600) -> Iterator[str]:
    """Run a sandbox server in a process of its own; gives its base URL."""
    command = [sys.executable, "-m", "lms.payments.providers.sandbox_server", "--port", "0"]
    secrets = {"SANDBOX_SECRET_KEY": SECRET_KEY, "SANDBOX_WEBHOOK_SECRET": WEBHOOK_SECRET}
    with (
        data.with_suffix(".log").open("ab") as log,
        subprocess.Popen(
            [*command, "--data", str(data), "--settle-after", str(settle_after)],
            env={**os.environ, **secrets},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], START_SECONDS)[0], "it did not start"
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


@contextmanager
def refusing_provider(code: str, *, fetches_from: str | None = None) -> Iterator[str]:
    """Run a provider that refuses everything new with a code; gives its base URL.

    Args:
        code: its reason.
        fetches_from: the sandbox from which it answers what is only read; None refuses that too.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(400, {"error": {"code": code, "message": "No."}})

        def do_GET(self) -> None:
            if fetches_from is None:
                self._answer(400, {"error": {"code": code, "message": "No."}})
                return
            names = ("Authorization", "Sandbox-Account")
            headers = {name: self.headers[name] for name in names}
            answer = httpx.get(fetches_from + self.path, headers=headers)
            self._answer(answer.status_code, answer.json())

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object, **_kwargs: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def paying_app(settings: Settings, sandbox_url: str | None) -> Iterator[Flask]:
    """Build an app whose payments go to a sandbox; None for an installation without a provider."""
    settings = replace(
        settings,
        sandbox_url=sandbox_url,
        sandbox_secret_key=SECRET_KEY,
        sandbox_webhook_secret=WEBHOOK_SECRET,
        database_pool_size=16,
    )
    app = create_app(settings)
    yield app
    app.extensions["edge"].database.dispose()


def call_sandbox(sandbox_url: str | None, account: UUID, method: str, path: str) -> dict[str, Any]:
    """Ask a sandbox itself, past the product; gives its answer."""
    headers = {"Authorization": f"Bearer {SECRET_KEY}", "Sandbox-Account": str(account)}
    answer = httpx.request(method, f"{sandbox_url}{path}", headers=headers, trust_env=False)
    return answer.raise_for_status().json()
