"""A strict stand-in for Stripe's HTTP protocol, in a thread: what the adapter relies on, no more.

Form-encoded requests and JSON answers; unknown parameters are refused; keys are kept with what was
asked and replayed with `Idempotent-Replayed`; refunds are capped, and refused while a charge is
charged back; events are signed as Stripe does. What really happens at Stripe besides, nobody knows
here: the library on our side is Stripe's own.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from lms.payments.providers.signing import sign
from tests.factories.stripe_account import LOST, Account, Refusal
from tests.factories.stripe_charging import (
    cancel_intent,
    charge,
    create_intent,
    decline,
    read_intents,
)
from tests.factories.stripe_taking_back import (
    create_refund,
    make_refund,
    move_dispute,
    open_dispute,
    read_disputes,
    read_refunds,
)


@dataclass
class StripeServer:
    """The stand-in: what it holds, and what a test can make happen at it.

    Attributes:
        url: its API base.
        accounts: by secret key; one that is not there is refused.
        answers_next: answers given instead of working, first come first served: status and body.
        requests: method, path and Idempotency-Key of what was asked.
    """

    url: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    answers_next: list[tuple[int, bytes]] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def open_account(self, secret_key: str) -> Account:
        return self.accounts.setdefault(secret_key, Account())

    def intents(self, secret_key: str) -> list[dict[str, Any]]:
        return list(self.accounts[secret_key].intents.values())

    def finish(self, secret_key: str, intent_id: str, *, succeeds: bool = True) -> dict[str, Any]:
        """Let a learner pass (or fail) 3-D Secure, or a debit arrive; returns the intent."""
        with self.lock:
            intent = self.accounts[secret_key].intents[intent_id]
            if succeeds:
                charge(intent)
            else:
                decline(intent, "payment_intent_authentication_failure", None)
            return intent

    def settle_refund(self, secret_key: str, refund_id: str) -> None:
        with self.lock:
            self.accounts[secret_key].refunds[refund_id]["status"] = "succeeded"

    def refund_in_dashboard(self, secret_key: str, intent_id: str, amount: int) -> dict[str, Any]:
        """Let somebody give money back past us; returns the refund, which is not marked."""
        with self.lock:
            account = self.accounts[secret_key]
            return make_refund(account, account.intents[intent_id], amount, {})

    def dispute(
        self,
        secret_key: str,
        intent_id: str,
        *,
        amount: int | None = None,
        status: str = "needs_response",
        reason: str = "fraudulent",
    ) -> dict[str, Any]:
        """Let a bank contest a charge; returns the dispute."""
        with self.lock:
            account = self.accounts[secret_key]
            return open_dispute(account, intent_id, amount=amount, status=status, reason=reason)

    def move_dispute(self, secret_key: str, dispute_id: str, status: str) -> dict[str, Any]:
        with self.lock:
            dispute = self.accounts[secret_key].disputes[dispute_id]
            move_dispute(dispute, status)
            return dispute

    def forget_keys(self, secret_key: str) -> None:
        """Remove Idempotency-Keys, as Stripe may after a day."""
        self.accounts[secret_key].keys.clear()


def event_of(kind: str, thing: dict[str, Any], **changes: Any) -> bytes:
    """The body of an event."""
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": kind,
        "created": int(time.time()),
        "api_version": "2020-08-27",
        "livemode": False,
        "data": {"object": thing},
        **changes,
    }
    return json.dumps(event, indent=2).encode()


def signed(body: bytes, secret: str, *, age: int = 0) -> str:
    """The `Stripe-Signature` of a body."""
    return sign(body, secret=secret, timestamp=int(time.time()) - age)


@contextmanager
def running_stripe() -> Iterator[StripeServer]:
    """Run the stand-in on a free port of the loopback address."""
    stripe = StripeServer()
    handler = type("Handler", (_Handler,), {"stripe": stripe})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        stripe.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield stripe
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    stripe: ClassVar[StripeServer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET", "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._serve("POST", body)

    def _serve(self, method: str, body: str) -> None:
        key = self.headers.get("Idempotency-Key")
        self.stripe.requests.append((method, self.path, key))
        if self.stripe.answers_next:
            status, content = self.stripe.answers_next.pop(0)
            self._answer(status, content)
            return
        try:
            with self.stripe.lock:
                status, answer, replayed = self._work(method, body, key)
        except Refusal as refusal:
            status, answer, replayed = refusal.status, refusal.body, False
        if status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        headers = {"Idempotent-Replayed": "true"} if replayed else {}
        self._answer(status, json.dumps(answer).encode(), **headers)

    def _work(self, method: str, body: str, key: str | None) -> tuple[int, dict[str, Any], bool]:
        scheme, _, secret_key = self.headers.get("Authorization", "").partition(" ")
        account = self.stripe.accounts.get(secret_key)
        if scheme != "Bearer" or account is None:
            raise Refusal(401, "Invalid API Key provided: sk_test_*****")
        if method == "GET":
            return 200, _read(account, self.path), False
        form = "application/x-www-form-urlencoded"
        assert self.headers["Content-Type"] == form
        assert key is not None
        assert len(key) <= 255
        asked = f"{self.path} {body}"
        earlier = account.keys.get(key)
        if earlier is not None:
            if earlier[0] != asked:
                message = (
                    "Keys can only be used with the parameters that they were first used with."
                )
                raise Refusal(400, message, type="idempotency_error")
            return earlier[1], earlier[2], True
        status, answer = _write(account, self.path, dict(parse_qsl(body, keep_blank_values=True)))
        # a copy as it is now: what is replayed is the first answer
        account.keys[key] = asked, status, json.loads(json.dumps(answer))
        if answer.get("payment_method") == LOST:
            return 0, answer, False
        return status, answer, False

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Request-Id", f"req_{uuid4().hex[:14]}")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object, **_kwargs: object) -> None:
        pass


def _read(account: Account, address: str) -> dict[str, Any]:
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    match parts.path.split("/")[2:]:
        case ["payment_intents", *path]:
            return read_intents(account, path, query)
        case ["refunds", *path]:
            return read_refunds(account, path, query)
        case ["disputes", *path]:
            return read_disputes(account, path, query)
    raise Refusal(404, f"Unrecognized request URL ({address}).")


def _write(account: Account, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    try:
        match path.split("/")[2:]:
            case ["payment_intents"]:
                return create_intent(account, form)
            case ["payment_intents", intent_id, "cancel"]:
                return cancel_intent(account, intent_id, form)
            case ["refunds"]:
                return create_refund(account, form)
    except Refusal as refusal:
        return refusal.status, refusal.body
    raise Refusal(404, f"Unrecognized request URL ({path}).")
