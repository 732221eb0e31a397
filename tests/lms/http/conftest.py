"""An app with a few operations of its own, to show what the edge does for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import marshmallow as ma
import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

import lms.app
from lms.config import Settings
from lms.core.errors import ConflictError, RecordedRefusalError
from lms.core.ids import new_id
from lms.http.blueprint import ADMINS, PUBLIC, PlatformBlueprint, TenantBlueprint
from lms.http.call import Call
from lms.http.schemas import Boolean, MoneySchema, Schema, Text, UtcDateTime
from tenants.errors import StalePlanError

tenant = TenantBlueprint("Probe", __name__, description="Operations of the tests.")
platform = PlatformBlueprint("Platform probe", __name__, description="Operations of the tests.")

INSERT = text(
    "INSERT INTO users (id, email, name, account_type) VALUES (:id, :email, 'x', 'admin')"
)


class ProbeIn(Schema):
    """What the probe takes."""

    email = Text(required=True)
    price = ma.fields.Nested(MoneySchema)
    at = UtcDateTime()
    flag = Boolean()


class ProbeOut(Schema):
    """What the probe answers."""

    email = ma.fields.String()
    version = ma.fields.Integer()


class ChoiceIn(Schema):
    """What the probe may be told."""

    email = Text(load_default="nobody")


class ProbeQuery(Schema):
    """What the probe is asked."""

    word = Text()


class Thing:
    """A versioned thing."""

    email, version = "thing@acme.example", 3


STALE: list[str] = []


class DeclinedError(RecordedRefusalError):
    """A refusal with a mark."""

    kind = "payment_required"
    code = "declined"


def insert(session: Session, email: str) -> None:
    session.execute(INSERT, {"id": new_id(), "email": email})


@tenant.operation("POST", "/probe", id="probe", body=ProbeIn, returns=ProbeOut, status=201)
def probe(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Insert a row."""
    insert(call.session, body["email"])
    if body["email"].startswith("fail"):
        raise ConflictError("No.", reason="asked for")
    if body["email"].startswith("bug"):
        raise RuntimeError("a bug")
    if body["email"].startswith("gone"):
        driver: Any = call.session.connection().connection.driver_connection
        driver.close()
    return body


@tenant.operation(
    "POST", "/money", id="probeMoney", body=ProbeIn, returns=ProbeOut, status=201, idempotent=True
)
def probe_money(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Insert a row under a key."""
    insert(call.session, body["email"])
    return body


@tenant.operation(
    "POST",
    "/money-in-steps",
    id="probeMoneyInSteps",
    body=ProbeIn,
    returns=ProbeOut,
    status=201,
    idempotent=True,
    transaction="steps",
)
def probe_money_in_steps(call: Call, body: dict[str, Any]) -> Any:
    """Answer with the id under which the key's subject is made."""
    assert call.idempotent is not None
    with call.transaction() as session:
        subject_id = call.idempotent.claim(session)
    if body["email"].startswith("unlucky"):
        raise ConflictError("No.")
    response = jsonify(email=str(subject_id))
    response.status_code = 201
    response.headers["Location"] = "/api/v1/later"
    return response


@tenant.operation("POST", "/declined", id="probeDeclined", transaction="steps", body=ProbeIn)
def probe_declined(call: Call, body: dict[str, Any]) -> None:
    """Refuse, and leave a mark."""
    with call.transaction() as session:
        insert(session, "lost-" + body["email"])
        raise DeclinedError("Declined.", record=lambda again: insert(again, body["email"]))


@tenant.operation("POST", "/choice", id="probeChoice", body=ChoiceIn, returns=ProbeOut)
def probe_choice(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Say what was chosen."""
    del call
    return body


@tenant.operation("PATCH", "/choice", id="probeChange", body=ChoiceIn, returns=ProbeOut)
def probe_change(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Say what was changed."""
    del call
    return body


@tenant.operation("GET", "/thing", id="probeThing", returns=ProbeOut, etag=True, query=ProbeQuery)
def probe_thing(call: Call, query: dict[str, Any]) -> Thing:
    """Read a thing."""
    del call, query
    return Thing()


@tenant.operation("GET", "/seats", id="probeSeats", returns=ProbeOut, etag=True, not_modified=False)
def probe_seats(call: Call) -> Thing:
    """Read a thing that shows more than its row."""
    del call
    return Thing()


@tenant.operation("PATCH", "/thing", id="probePatch", returns=ProbeOut, if_match="required")
def probe_patch(call: Call) -> dict[str, Any]:
    """Change a thing."""
    return {"version": call.expected_version(required=True)}


@tenant.operation("GET", "/words/<word>", id="probeWord", returns=ProbeOut)
def probe_word(call: Call, word: str) -> dict[str, Any]:
    """Look a word up."""
    return {"email": call.session.execute(text("SELECT CAST(:w AS text)"), {"w": word}).scalar()}


@tenant.operation("GET", "/stale", id="probeStale", returns=ProbeOut)
def probe_stale(call: Call) -> dict[str, Any]:
    """Fail once as after a migration, then answer."""
    del call
    if not STALE:
        STALE.append("once")
        raise StalePlanError("a prepared statement outlived a migration")
    return {}


@tenant.operation("GET", "/admins-only", id="probeAdmins", returns=ProbeOut, roles=ADMINS)
def probe_admins(call: Call) -> dict[str, Any]:
    """Read what only admins may."""
    del call
    return {}


@tenant.operation("GET", "/public", id="probePublic", returns=ProbeOut, roles=PUBLIC)
def probe_public(call: Call) -> dict[str, Any]:
    """Read what everybody may."""
    return {"email": str(call.organization_id)}


@platform.operation("GET", "/public", id="probePlatform", returns=ProbeOut, roles=PUBLIC)
def probe_platform(call: Call) -> dict[str, Any]:
    """Read something of the platform."""
    return {"email": call.session.execute(text("SELECT current_user")).scalar_one()}


@pytest.fixture(scope="session")
def app(settings: Settings, acme: UUID, globex: UUID) -> Iterator[Flask]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lms.app, "BLUEPRINTS", (tenant, platform))
        app = lms.app.create_app(settings)
    app.test_client_class = AcmeClient
    yield app
    app.extensions["edge"].database.dispose()


class AcmeClient(FlaskClient):
    """Calls acme's host unless another one is named."""

    def open(self, *args: Any, **options: Any) -> Any:
        options.setdefault("base_url", "http://acme.localhost")
        return super().open(*args, **options)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
