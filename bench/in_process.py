"""The API called in this process, without a server: for its memory, its profile and its check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.test import Client

from bench.check import Ask


def asking(app: Flask) -> Ask:
    """Return how `bench.check` asks an app."""
    client = Client(app)

    def ask(method: str, path: str, *, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        answer = client.open(path, method=method, headers=dict(headers), json=body)
        return answer.status_code, answer.get_json()

    return ask


def send(app: Flask, raw: bytes) -> tuple[int, int]:
    """Send a raw request, as `bench.expansion.expand` makes them.

    Returns:
        The answer's status and the bytes of its body.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    answer = Client(app).open(path, method=method, headers=headers, data=body)
    return answer.status_code, len(answer.get_data())
