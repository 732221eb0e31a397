"""Our API as the comparison's harness knows a target: how to start it, what to ask of it, as whom.

The same description drives our own measurements, so there is one definition of the measured work.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask

from bench.academy import Academy
from bench.report import ROOT
from bench.seed import Organization, Seed
from bench.stage import SECRET_KEY, Stage
from lms.core.ids import new_id
from lms.http import auth
from tenants.session import OrganizationScope

TOKEN_SECONDS = 12 * 3600
PAGE = 20
API = "/api/v1"

OPERATIONS: dict[str, dict[str, Any]] = {
    "courses": {"method": "GET", "path": f"{API}/courses?limit={PAGE}${{page}}"},
    "outline": {"method": "GET", "path": f"{API}/course-versions/${{version_id}}/outline"},
    "progress": {
        "method": "PUT",
        "path": f"{API}/enrollments/${{enrollment_id}}/lessons/${{lesson_id}}/progress",
        "body": {"position_seconds": "${n}", "watched": [[0, 120]]},
    },
    "enroll": {
        "method": "POST",
        "path": f"{API}/runs/${{run_id}}/enrollments",
        "headers": {"Idempotency-Key": "${uuid}"},
        "body": {"payment": {"method": "wallet"}},
        "once_per": "run_id",
        "reset": True,
        "expect": 201,
    },
}
"""The measured requests, as templates."""

# Requests go round the organizations, at most 30,000 of them: an organization that shares them
# with 49 or 299 others needs only the beginning of its pairs.
PAIRS = ((1, 2880), (50, 600), (300, 120))


def production_command(port: str) -> list[str]:
    """Return how the image starts the API, on a loopback port."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*?\])$", dockerfile, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError("the Dockerfile has no CMD")
    server, *arguments = json.loads(found[1].replace("\\\n", ""))
    places = {"--host": "127.0.0.1", "--port": port}
    for option, value in places.items():
        arguments[arguments.index(option) + 1] = value
    return [binary(server), *arguments]


def binary(name: str) -> str:
    """Return a program of this virtual environment."""
    return str(Path(sys.executable).parent / name)


def write_target(stage: Stage, folder: Path) -> Path:
    """Write the target and its tenants, with fresh tokens, for the comparison's harness.

    Returns:
        The target's file.
    """
    tenants = folder / "ours-tenants.json"
    tenants.write_text(json.dumps(make_tenants(stage.seed)), encoding="utf-8")
    reset = [sys.executable, "-m", "bench.reset", stage.conninfo]
    target = {
        "name": "ours",
        "tenants": tenants.name,
        "health_path": "/readyz",
        "launch": {
            "cwd": str(ROOT),
            "env": stage.environment,
            "cmd": production_command("$PORT"),
        },
        "reset": ["/usr/bin/env", f"PYTHONPATH={ROOT}", *reset],
        "operations": OPERATIONS,
    }
    path = folder / "ours.json"
    path.write_text(json.dumps(target, indent=1), encoding="utf-8")
    return path


def make_tenants(seed: Seed, *, secret_key: str = SECRET_KEY) -> list[dict[str, Any]]:
    """Return every organization's host, schema, students with tokens, and lists of ids.

    Args:
        seed: the organizations.
        secret_key: with which the API checks tokens.
    """
    app = Flask(__name__)
    auth.configure(
        app, secret_key=secret_key, access_seconds=TOKEN_SECONDS, refresh_seconds=TOKEN_SECONDS
    )
    with app.app_context():
        return [_tenant(seed.academy, organization) for organization in seed.organizations]


def _tenant(academy: Academy, organization: Organization) -> dict[str, Any]:
    own = organization.own
    pairs = next(pairs for below, pairs in PAIRS if organization.number < below)
    indices = range(min(pairs, len(academy.students) * len(academy.versions) * 48))
    return {
        "host": organization.host,
        "schema": organization.schema,
        "students": [
            {"id": own(one.id), "token": token_of(organization, own(one.id), own(one.session_id))}
            for one in academy.students
        ],
        "vars": {
            "page": _pages([own(one) for one in academy.courses]),
            "version_id": [own(one) for one in academy.versions],
            "enrollment_id": [own(_enrollment_of(academy, index)) for index in indices],
            "lesson_id": [own(_lesson_of(academy, index)) for index in indices],
            "run_id": [own(one) for one in academy.runs],
        },
    }


def _lesson_of(academy: Academy, index: int) -> str:
    lessons = [lesson for version in academy.lessons for lesson in version]
    return lessons[index % len(lessons)]


def _enrollment_of(academy: Academy, index: int) -> str:
    """Return the enrollment of the request's student in the version that its lesson is of."""
    per_version = len(academy.lessons[0])
    version = index // per_version % len(academy.versions)
    return academy.enrollments[version][index % len(academy.students)]


def _pages(courses: Sequence[str]) -> list[str]:
    """Return the query's end for each page of the list: nothing for the first, then a cursor."""
    last = [courses[index] for index in range(PAGE - 1, len(courses) - 1, PAGE)]
    return ["", *(f"&cursor={_cursor(UUID(one))}" for one in last)]


def _cursor(key: UUID) -> str:
    return base64.urlsafe_b64encode(key.bytes).decode().rstrip("=")


def token_of(organization: Organization, user_id: str, session_id: str) -> str:
    """Return an access token, signed by the product's own code. Needs an app context."""
    scope = OrganizationScope(organization.id)
    tokens = auth.issue_tokens(scope, UUID(user_id), UUID(session_id), new_id())
    return tokens["access_token"]
