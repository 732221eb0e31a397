"""Raw requests, expanded from templates."""

from __future__ import annotations

import json
import os
import string
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

READS, WRITES = 12_000, 30_000
"""Different requests that are made ready for one round at most; wrk plays them round."""


def expand(
    operation: Mapping[str, Any], tenants: Sequence[Mapping[str, Any]], total: int
) -> list[bytes]:
    """Return raw requests in the order in which they are sent.

    They go round the tenants, within a tenant round its students and each of its lists, as the
    comparison's own driver does it. `once_per` names a list of which every pair with a student
    occurs once.

    Args:
        operation: method, path, headers and body as templates.
        tenants: as in a tenants file.
        total: how many.
    """
    once = operation.get("once_per")
    key = os.urandom(8)
    made: list[bytes] = []
    for index in range(total):
        tenant = tenants[index % len(tenants)]
        turn = index // len(tenants)
        student = tenant["students"][turn % len(tenant["students"])]
        words: dict[str, Any] = {
            "n": turn % 3000,
            "uuid": UUID(bytes=key + index.to_bytes(8, "big")),
        }
        for name, values in tenant["vars"].items():
            place = turn + turn // len(values) if name == once else turn
            words[name] = values[place % len(values)]
        made.append(_raw(operation, tenant["host"], student["token"], words))
    return made


def _raw(operation: Mapping[str, Any], host: str, token: str, words: Mapping[str, Any]) -> bytes:
    lines = [
        f"{operation['method']} {string.Template(operation['path']).substitute(words)} HTTP/1.1",
        f"Host: {host}",
        "Accept: application/json",
        f"Authorization: Bearer {token}",
    ]
    for name, value in operation.get("headers", {}).items():
        lines.append(f"{name}: {string.Template(value).substitute(words)}")
    body = b""
    if "body" in operation:
        # "${n}" alone is a number.
        template = json.dumps(operation["body"]).replace('"${n}"', "${n}")
        body = string.Template(template).substitute(words).encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def total_of(operation: Mapping[str, Any], tenants: Sequence[Mapping[str, Any]]) -> int:
    """Return how many different requests one round may need."""
    if "once_per" in operation:
        pairs = sum(
            len(tenant["students"]) * len(tenant["vars"][operation["once_per"]])
            for tenant in tenants
        )
        return min(pairs, WRITES)
    return READS if operation["method"] == "GET" else WRITES
