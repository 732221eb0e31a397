"""A strict stand-in for Stripe's HTTP protocol, in a thread: what the adapter relies on, no more.

Form-encoded requests and JSON answers; unknown parameters are refused; keys are kept with what was
asked and replayed with `Idempotent-Replayed`; refunds are capped; events are signed as Stripe does.
What really happens at Stripe besides, nobody knows here: the library on our side is Stripe's own.
"""

from __future__ import annotations

import json
import re
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

GOOD = "pm_card_visa"
DECLINED = "pm_card_visa_chargeDeclined"
POOR = "pm_card_visa_chargeDeclinedInsufficientFunds"
ASKS_3DS = "pm_card_authenticationRequired"
SLOW = "pm_debit_processing"
SLOW_REFUND = "pm_card_pendingRefund"
LOST = "pm_card_answer_lost"
"""The payment is made, and the connection dies before the first answer."""

DECLINES = {DECLINED: "generic_decline", POOR: "insufficient_funds"}
STATUSES = {ASKS_3DS: "requires_action", SLOW: "processing"}
TOKENS = {"tok_visa": GOOD, "ctoken_visa": GOOD}
MEANS = {GOOD, ASKS_3DS, SLOW, SLOW_REFUND, LOST, *DECLINES}

INTENT_PARAMETERS = re.compile(
    r"(amount|currency|confirm|payment_method|confirmation_token|use_stripe_sdk"
    r"|payment_method_data\[type\]|payment_method_data\[card\]\[token\]"
    r"|automatic_payment_methods\[(enabled|allow_redirects)\]|metadata\[\w+\]|expand\[0\])\Z"
)
REFUND_PARAMETERS = re.compile(r"(payment_intent|amount|metadata\[\w+\])\Z")


class Refusal(Exception):
    """An error as Stripe answers it."""

    def __init__(self, status: int, message: str, **error: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "message": message, **error}}


@dataclass
class Account:
    """What one secret key reaches."""

    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    means: dict[str, str] = field(default_factory=dict)
    keys: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)


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
                _charge(intent)
            else:
                _decline(intent, "payment_intent_authentication_failure", None)
            return intent

    def settle_refund(self, secret_key: str, refund_id: str) -> None:
        with self.lock:
            self.accounts[secret_key].refunds[refund_id]["status"] = "succeeded"

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
            return 200, _read(account, urlsplit(self.path)), False
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


def _read(account: Account, address: Any) -> dict[str, Any]:
    query = dict(parse_qsl(address.query))
    match address.path.split("/")[2:]:
        case ["payment_intents", "search"]:
            wanted = dict(re.findall(r"metadata\['(\w+)'\]:'([^']*)'", query["query"]))
            found = [
                intent
                for intent in account.intents.values()
                if wanted.items() <= intent["metadata"].items()
            ]
            return {
                "object": "search_result",
                "url": "/v1/payment_intents/search",
                "has_more": False,
                "data": [_shown(intent, expanded=False) for intent in found],
            }
        case ["payment_intents"]:
            assert query.get("expand[0]") == "data.latest_charge"
            since = int(query.get("created[gte]", 0))
            made = [one for one in account.intents.values() if one["created"] >= since]
            page = _page(list(reversed(made)), query)
            return {**page, "data": [_shown(intent, expanded=True) for intent in page["data"]]}
        case ["payment_intents", intent_id]:
            expanded = query.get("expand[0]") == "latest_charge"
            return _shown(_found(account.intents, intent_id, "payment_intent"), expanded=expanded)
        case ["refunds"]:
            made = [
                r
                for r in account.refunds.values()
                if r["payment_intent"] == query["payment_intent"]
            ]
            return _page(list(reversed(made)), query)
        case ["refunds", refund_id]:
            return _found(account.refunds, refund_id, "refund")
    raise Refusal(404, f"Unrecognized request URL ({address.path}).")


def _page(things: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    ids = [thing["id"] for thing in things]
    start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
    limit = int(query.get("limit", 10))
    return {
        "object": "list",
        "url": "/v1/refunds",
        "has_more": start + limit < len(things),
        "data": things[start : start + limit],
    }


def _write(account: Account, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    try:
        if path == "/v1/payment_intents":
            return _create_intent(account, form)
        if path == "/v1/refunds":
            return _create_refund(account, form)
    except Refusal as refusal:
        return refusal.status, refusal.body
    raise Refusal(404, f"Unrecognized request URL ({path}).")


def _create_intent(account: Account, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    _only(INTENT_PARAMETERS, form)
    amount = _amount(form)
    if amount < 50:
        raise Refusal(400, "Amount must be at least 50.", code="amount_too_small", param="amount")
    if not re.fullmatch("[a-z]{3}", form["currency"]):
        raise Refusal(400, "Invalid currency.", param="currency")
    assert form["confirm"] == "true"
    assert form["automatic_payment_methods[allow_redirects]"] == "never"
    means = _means_of(form)
    intent_id = f"pi_{uuid4().hex[:24]}"
    intent = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "created": int(time.time()),
        "currency": form["currency"],
        "client_secret": f"{intent_id}_secret_{uuid4().hex}",
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": _metadata(form),
        "payment_method": means,
        "status": STATUSES.get(means, "requires_confirmation"),
    }
    account.intents[intent_id] = intent
    if means in DECLINES:
        error = _decline(intent, "card_declined", DECLINES[means])
        return 402, {"error": {**error, "payment_intent": _shown(intent, expanded=False)}}
    if means not in STATUSES:
        _charge(intent)
    return 200, _shown(intent, expanded=form.get("expand[0]") == "latest_charge")


def _means_of(form: dict[str, str]) -> str:
    card = "payment_method_data[card][token]"
    given = [name for name in ("payment_method", "confirmation_token", card) if name in form]
    assert len(given) == 1, given
    assert ("use_stripe_sdk" in form) == ("confirmation_token" not in form)
    token = form[given[0]]
    if not token:
        raise Refusal(400, "An empty string.", code="parameter_invalid_empty", param=given[0])
    means = TOKENS.get(token, token) if given[0] != "payment_method" else token
    if means not in MEANS:
        raise Refusal(400, f"No such token: '{token}'", code="resource_missing", param=given[0])
    return means


def _charge(intent: dict[str, Any]) -> None:
    intent["status"], intent["last_payment_error"] = "succeeded", None
    intent["latest_charge"] = {
        "id": f"ch_{uuid4().hex[:24]}",
        "object": "charge",
        "amount": intent["amount"],
        "amount_refunded": 0,
        "metadata": dict(intent["metadata"]),
        "payment_intent": intent["id"],
    }


def _decline(intent: dict[str, Any], code: str, decline_code: str | None) -> dict[str, Any]:
    error = {"type": "card_error", "code": code, "message": "Your card was declined."}
    if decline_code is not None:
        error["decline_code"] = decline_code
    intent["status"], intent["last_payment_error"] = "requires_payment_method", error
    return error


def _create_refund(account: Account, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    _only(REFUND_PARAMETERS, form)
    intent = _found(account.intents, form["payment_intent"], "payment_intent")
    charge = intent["latest_charge"]
    if charge is None:
        message = "This PaymentIntent does not have a successful charge to refund."
        raise Refusal(400, message, param="payment_intent")
    left, amount = charge["amount"] - charge["amount_refunded"], _amount(form)
    if left == 0:
        raise Refusal(400, "It has already been refunded.", code="charge_already_refunded")
    if amount > left:
        raise Refusal(400, "Refund amount is greater than unrefunded amount.", param="amount")
    charge["amount_refunded"] += amount
    refund = {
        "id": f"re_{uuid4().hex[:24]}",
        "object": "refund",
        "amount": amount,
        "currency": intent["currency"],
        "metadata": _metadata(form),
        "payment_intent": intent["id"],
        "status": "pending" if intent["payment_method"] == SLOW_REFUND else "succeeded",
    }
    account.refunds[refund["id"]] = refund
    return 200, refund


def _shown(intent: dict[str, Any], *, expanded: bool) -> dict[str, Any]:
    if expanded or intent["latest_charge"] is None:
        return intent
    return {**intent, "latest_charge": intent["latest_charge"]["id"]}


def _found(things: dict[str, dict[str, Any]], name: str, kind: str) -> dict[str, Any]:
    if name not in things:
        raise Refusal(404, f"No such {kind}: '{name}'", code="resource_missing", param=kind)
    return things[name]


def _only(known: re.Pattern[str], form: dict[str, str]) -> None:
    for name in form:
        if not known.match(name):
            message = f"Received unknown parameter: {name}"
            raise Refusal(400, message, code="parameter_unknown", param=name)


def _amount(form: dict[str, str]) -> int:
    if not re.fullmatch("[1-9][0-9]*", form["amount"]):
        raise Refusal(400, "Invalid integer.", code="parameter_invalid_integer", param="amount")
    return int(form["amount"])


def _metadata(form: dict[str, str]) -> dict[str, str]:
    return {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
