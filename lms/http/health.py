"""Health, on any host: `/healthz` (the process answers), `/readyz` (what it stands on does too)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
from flask import Flask, Response, jsonify

log = structlog.get_logger()
Check = Callable[[], None]


def register(app: Flask, checks: Mapping[str, Check]) -> None:
    """Add both routes.

    Args:
        app: the app.
        checks: name -> function that raises when that part does not work.
    """

    def healthz() -> Response:
        return jsonify(status="ok")

    def readyz() -> tuple[Response, int]:
        results = {name: _try(name, check) for name, check in checks.items()}
        ready = all(result == "ok" for result in results.values())
        return jsonify(status="ok" if ready else "unavailable", checks=results), (
            200 if ready else 503
        )

    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)


def _try(name: str, check: Check) -> str:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the answer is "not ready"
        log.warning("not_ready", check=name, error=str(error))
        return "unavailable"
    return "ok"
