"""The sandbox payment provider: a small server of its own, for development and tests.

It behaves like a provider on the far side of a network: a process of its own, its own memory, its
own idempotency, webhooks that come when they come. No real money is behind it.
"""

from __future__ import annotations

import argparse
import hmac
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from lms.payments.providers.sandbox import ACCOUNT_HEADER
from lms.payments.providers.sandbox_file import SandboxFile
from lms.payments.providers.sandbox_outbox import Outbox
from lms.payments.providers.sandbox_store import Answer, SandboxStore, refusal
from lms.payments.providers.sandbox_target import local_target
from lms.payments.providers.sandbox_tokens import OUTCOMES
from lms.payments.providers.sandbox_webhooks import WebhookSender

SECRET_KEY_VARIABLE = "SANDBOX_SECRET_KEY"  # noqa: S105 - names the secret, is not one
WEBHOOK_SECRET_VARIABLE = "SANDBOX_WEBHOOK_SECRET"  # noqa: S105 - names the secret, is not one

_ENVIRONMENT_VARIABLES = ("ENVIRONMENT", "LMS_ENVIRONMENT")
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_POLL_SECONDS = 0.1  # how long a stop may take to be noticed
_HOST = "127.0.0.1"
_LARGEST_BODY = 64 * 1024  # bytes
_LARGEST_AMOUNT = 2**53 - 1  # minor units: the largest whole number that every JSON reader keeps
_LONGEST_KEY = 255  # characters, as Stripe allows


def _check_webhook_url(url: str) -> None:
    try:
        local_target(url)
    except ValueError as error:
        raise ValidationError("Must be http to a loopback address or *.localhost.") from error


class _PaymentBody(Schema):
    amount = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=1, max=_LARGEST_AMOUNT)
    )
    currency = fields.String(required=True, validate=validate.Regexp(r"[A-Z]{3}\Z"))
    token = fields.String(required=True)
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), load_default=dict)
    webhook_url = fields.String(load_default="", validate=_check_webhook_url)


class _RefundBody(Schema):
    amount = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=1, max=_LARGEST_AMOUNT)
    )


class _ListQuery(Schema):
    created_after = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**53 - 1))
    cursor = fields.String(load_default=None)


def create_sandbox(store: SandboxStore, sender: WebhookSender, *, secret_key: str) -> Flask:
    """Build the sandbox's HTTP side.

    Args:
        store: What it remembers.
        sender: Told when there may be webhooks to send.
        secret_key: What callers must present as their Bearer token.

    Returns:
        A WSGI application for werkzeug's server, whose sockets it closes for
        `tok_timeout_after_success`.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY

    @app.before_request
    def authenticate() -> Response | None:
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

    @app.post("/v1/payments")
    def create_payment() -> Response:
        body = _load(_PaymentBody())
        answer = store.create_payment(_account(), _idempotency_key(), body)
        sender.wake()
        made_now = answer.status == 201 and not answer.replayed
        if made_now and not OUTCOMES[body["token"]].answered:
            _hang_up()
        return _respond(answer)

    @app.get("/v1/payments")
    def list_payments() -> Response:
        query: Any = _ListQuery().load(request.args.to_dict())
        return _respond(store.list_payments(_account(), **query))

    @app.get("/v1/payments/<payment_id>")
    def fetch_payment(payment_id: str) -> Response:
        return _respond(store.fetch_payment(_account(), payment_id))

    @app.post("/v1/payments/<payment_id>/settle")
    def settle(payment_id: str) -> Response:
        answer = store.settle(_account(), payment_id)
        sender.wake()
        return _respond(answer)

    _serve_refunds(app, store, sender)
    return app


def _serve_refunds(app: Flask, store: SandboxStore, sender: WebhookSender) -> None:
    @app.post("/v1/payments/<payment_id>/refunds")
    def refund(payment_id: str) -> Response:
        amount = _load(_RefundBody())["amount"]
        answer = store.refund(_account(), _idempotency_key(), payment_id, amount)
        sender.wake()
        return _respond(answer)

    @app.get("/v1/refunds/<refund_id>")
    def fetch_refund(refund_id: str) -> Response:
        return _respond(store.fetch_refund(_account(), refund_id))

    @app.post("/v1/refunds/<refund_id>/settle")
    def settle_refund(refund_id: str) -> Response:
        answer = store.settle_refund(_account(), refund_id)
        sender.wake()
        return _respond(answer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox until it is interrupted or terminated.

    Args:
        arguments: The command line without the program's name; the process's own by default.

    Returns:
        The exit status: 0 after an orderly stop, 2 when it must not or cannot start.

    Raises:
        SystemExit: The port is in use (after saying so), or the command line is wrong.
    """
    options = _parser().parse_args(arguments)
    for variable in _ENVIRONMENT_VARIABLES:
        if os.environ.get(variable) == "production":
            return _complain(f"it only plays at money and never runs with {variable}=production")
    secret_key = os.environ.get(SECRET_KEY_VARIABLE)
    webhook_secret = os.environ.get(WEBHOOK_SECRET_VARIABLE)
    if not secret_key or not webhook_secret:
        return _complain(f"set {SECRET_KEY_VARIABLE} and {WEBHOOK_SECRET_VARIABLE}")
    try:
        file = SandboxFile(options.data)
    except sqlite3.Error as error:
        return _complain(f"cannot use {options.data}: {error}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sandbox %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    store = SandboxStore(file, settle_after=options.settle_after)
    sender = WebhookSender(store, Outbox(file), secret=webhook_secret)
    app = create_sandbox(store, sender, secret_key=secret_key)
    server = make_server(_HOST, options.port, app, threaded=True)
    # blocked in every thread and waited for in this one: a stop cannot come at a bad moment
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    sender.start()
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
    print(f"sandbox: listening on http://{_HOST}:{server.port}", flush=True)
    signal.sigwait(_STOP_SIGNALS)
    server.shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lms.payments.providers.sandbox_server",
        description="A payment provider for development and tests. It plays at money.",
        epilog=(
            f"Environment: {SECRET_KEY_VARIABLE} is what callers present as their Bearer token, "
            f"{WEBHOOK_SECRET_VARIABLE} signs the webhooks; both are required. "
            f"Magic tokens: {', '.join(OUTCOMES)}."
        ),
    )
    parser.add_argument(
        "--port", type=int, required=True, help=f"port on {_HOST}; 0 takes a free one and says it"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="SQLite file with the state; made when missing"
    )
    parser.add_argument(
        "--settle-after",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="when what is pending succeeds by itself (default: %(default)s)",
    )
    return parser


def _complain(reason: str) -> int:
    print(f"sandbox: {reason}", file=sys.stderr)
    return 2


def _load(schema: Schema) -> dict[str, Any]:
    # marshmallow refuses what is not an object; its types promise more shapes than one can have
    return schema.load(request.get_json())  # pyright: ignore[reportReturnType]


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


if __name__ == "__main__":
    sys.exit(main())
