"""The sandbox server's HTTP side: what the academy asks, and what people would do elsewhere.

The learner's authentication, a dashboard's refunds and a bank's decisions are requests here.
"""

from __future__ import annotations

import hmac
import socket
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate
from werkzeug.exceptions import HTTPException

from lms.payments.providers.sandbox import ACCOUNT_HEADER
from lms.payments.providers.sandbox_answers import Answer, refusal
from lms.payments.providers.sandbox_disputes import DEFAULT_REASON, SandboxDisputes
from lms.payments.providers.sandbox_refunds import SandboxRefunds
from lms.payments.providers.sandbox_store import SandboxStore
from lms.payments.providers.sandbox_target import local_target
from lms.payments.providers.sandbox_tokens import OUTCOMES
from lms.payments.providers.sandbox_webhooks import WebhookSender

_LARGEST_BODY = 64 * 1024  # bytes
_LARGEST_AMOUNT = 2**53 - 1  # minor units: the largest whole number that every JSON reader keeps
_LONGEST_KEY = 255  # characters, as Stripe allows
_FOR_FRONT_ENDS = frozenset({"authenticate"})
"""Endpoints that the learner's browser calls: the client secret is what they prove."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the server serves.

    Attributes:
        payments: What can be asked about payments.
        refunds: What can be asked about refunds.
        disputes: What can be asked about disputes.
        sender: Told when there may be webhooks to send.
    """

    payments: SandboxStore
    refunds: SandboxRefunds
    disputes: SandboxDisputes
    sender: WebhookSender

    def changed(self, answer: Answer) -> Response:
        """Answer a request that may have changed something, and have it told."""
        self.sender.wake()
        return _respond(answer)


def _check_webhook_url(url: str) -> None:
    try:
        local_target(url)
    except ValueError as error:
        raise ValidationError("Must be http to a loopback address or *.localhost.") from error


def _amount(**options: Any) -> fields.Integer:
    return fields.Integer(
        strict=True, validate=validate.Range(min=1, max=_LARGEST_AMOUNT), **options
    )


def _metadata() -> fields.Dict:
    return fields.Dict(keys=fields.String(), values=fields.String(), load_default=dict)


class _PaymentBody(Schema):
    amount = _amount(required=True)
    currency = fields.String(required=True, validate=validate.Regexp(r"[A-Z]{3}\Z"))
    token = fields.String(required=True)
    metadata = _metadata()
    webhook_url = fields.String(load_default="", validate=_check_webhook_url)


class _AuthenticationBody(Schema):
    client_secret = fields.String(required=True)
    passed = fields.Boolean(required=True)


class _RefundBody(Schema):
    amount = _amount(required=True)
    metadata = _metadata()


class _DisputeBody(Schema):
    amount = _amount(load_default=None)
    reason = fields.String(load_default=DEFAULT_REASON)


class _DisputeChange(Schema):
    status = fields.String(required=True, validate=validate.OneOf(("under_review", "won", "lost")))


class _ListQuery(Schema):
    created_after = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**53 - 1))
    cursor = fields.String(load_default=None)


def create_sandbox(sandbox: Sandbox, *, secret_key: str) -> Flask:
    """Build the sandbox's HTTP side.

    Args:
        sandbox: What it serves.
        secret_key: What callers must present as their Bearer token.

    Returns:
        A WSGI application for werkzeug's server, whose sockets it closes for
        `tok_timeout_after_success`.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY

    @app.before_request
    def authenticate_caller() -> Response | None:
        if request.endpoint in _FOR_FRONT_ENDS:
            return None
        expected = f"Bearer {secret_key}".encode()
        given = request.headers.get("Authorization", "").encode()
        if hmac.compare_digest(expected, given):
            return None
        response = _respond(refusal(401, "unauthorized", "The secret key is missing or wrong."))
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        code = error.name.lower().replace(" ", "_")
        return _respond(refusal(error.code or 500, code, error.description or error.name))

    @app.errorhandler(ValidationError)
    def refuse_body(error: ValidationError) -> Response:
        return _respond(refusal(400, "invalid_request", str(error.normalized_messages())))

    _serve_payments(app, sandbox)
    _serve_refunds(app, sandbox)
    _serve_disputes(app, sandbox)
    return app


def _serve_payments(app: Flask, sandbox: Sandbox) -> None:
    store = sandbox.payments

    @app.post("/v1/payments")
    def create_payment() -> Response:
        body = _load(_PaymentBody())
        answer = store.create_payment(_account(), _idempotency_key(), body)
        response = sandbox.changed(answer)
        made_now = answer.status == 201 and not answer.replayed
        if made_now and not OUTCOMES[body["token"]].answered:
            _hang_up()
        return response

    @app.get("/v1/payments")
    def list_payments() -> Response:
        return _respond(store.list_payments(_account(), **_list_query()))

    @app.get("/v1/payments/<payment_id>")
    def fetch_payment(payment_id: str) -> Response:
        return _respond(store.fetch_payment(_account(), payment_id))

    @app.post("/v1/payments/<payment_id>/settle")
    def settle(payment_id: str) -> Response:
        return sandbox.changed(store.settle(_account(), payment_id))

    @app.post("/v1/payments/<payment_id>/cancel")
    def cancel(payment_id: str) -> Response:
        return sandbox.changed(store.cancel(_account(), payment_id))

    @app.post("/v1/payments/<payment_id>/authentication")
    def authenticate(payment_id: str) -> Response:
        return sandbox.changed(store.authenticate(payment_id, **_load(_AuthenticationBody())))


def _serve_refunds(app: Flask, sandbox: Sandbox) -> None:
    refunds = sandbox.refunds

    @app.post("/v1/payments/<payment_id>/refunds")
    def refund(payment_id: str) -> Response:
        body = _load(_RefundBody())
        return sandbox.changed(refunds.refund(_account(), _idempotency_key(), payment_id, **body))

    @app.get("/v1/payments/<payment_id>/refunds")
    def list_refunds(payment_id: str) -> Response:
        return _respond(refunds.list(_account(), payment_id))

    @app.get("/v1/refunds/<refund_id>")
    def fetch_refund(refund_id: str) -> Response:
        return _respond(refunds.fetch(_account(), refund_id))

    @app.post("/v1/refunds/<refund_id>/settle")
    def settle_refund(refund_id: str) -> Response:
        return sandbox.changed(refunds.settle(_account(), refund_id))


def _serve_disputes(app: Flask, sandbox: Sandbox) -> None:
    disputes = sandbox.disputes

    @app.post("/v1/payments/<payment_id>/disputes")
    def open_dispute(payment_id: str) -> Response:
        body = _load(_DisputeBody())
        return sandbox.changed(disputes.open(_account(), payment_id, **body))

    @app.get("/v1/disputes")
    def list_disputes() -> Response:
        return _respond(disputes.list(_account(), **_list_query()))

    @app.get("/v1/disputes/<dispute_id>")
    def fetch_dispute(dispute_id: str) -> Response:
        return _respond(disputes.fetch(_account(), dispute_id))

    @app.post("/v1/disputes/<dispute_id>")
    def move_dispute(dispute_id: str) -> Response:
        return sandbox.changed(disputes.move(_account(), dispute_id, **_load(_DisputeChange())))


def _load(schema: Schema) -> dict[str, Any]:
    # marshmallow refuses what is not an object; its types promise more shapes than one can have
    return schema.load(request.get_json())  # pyright: ignore[reportReturnType]


def _list_query() -> dict[str, Any]:
    return _ListQuery().load(request.args.to_dict())  # pyright: ignore[reportReturnType]


def _account() -> str:
    account = request.headers.get(ACCOUNT_HEADER)
    if not account:
        abort(400, f"The {ACCOUNT_HEADER} header is required.")
    return account


def _idempotency_key() -> str:
    key = request.headers.get("Idempotency-Key")
    if not key or len(key) > _LONGEST_KEY:
        abort(400, f"An Idempotency-Key of 1 to {_LONGEST_KEY} characters is required.")
    return key


def _hang_up() -> None:
    """Close the caller's connection under the answer, as a network that fails at the worst time."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)


def _respond(answer: Answer) -> Response:
    response = jsonify(answer.body)
    response.status_code = answer.status
    if answer.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response
