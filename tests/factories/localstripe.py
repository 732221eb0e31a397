"""`localstripe`, somebody else's idea of Stripe, in a process of its own behind a strict proxy.

It keeps no Idempotency-Keys, gives back more than was paid, sends no news of refunds, and knows
PaymentIntents without their newer parameters. The proxy adds these, and nothing of what it can do.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from tests.factories.stripe_account import Refusal, only
from tests.factories.stripe_charging import CANCEL_PARAMETERS, INTENT_PARAMETERS
from tests.factories.stripe_server import event_of, signed
from tests.factories.stripe_taking_back import REFUND_PARAMETERS

SECRET_KEY = "sk_test_of_localstripe"
SECONDS_TO_START = 30

# By itself it would listen on every interface, and keep what it knows in a file of all instances.
RUNNER = """
import socket
from aiohttp import web
from localstripe.resources import store
from localstripe.server import app
store.dump_to_disk = lambda: None
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(app, sock=listener, print=None)
"""
NEWER = ("automatic_payment_methods[", "use_stripe_sdk", "cancellation_reason")
"""Parameters that it does not know; they change nothing for cards."""

Answer = tuple[int, dict[str, Any]]


@dataclass
class LocalStripe:
    """The process, and what the proxy adds.

    Attributes:
        upstream: localstripe's own address.
        url: the proxy's, for adapters.
        keys: what was asked with an Idempotency-Key, and answered.
        webhook: where news goes, and the secret that it is signed with.
    """

    upstream: str
    url: str = ""
    keys: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    webhook: tuple[str, str] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Answer:
        """Ask localstripe itself."""
        data = None if form is None else urlencode(form).encode()
        request = urllib.request.Request(self.upstream + path, data, method=method)
        request.add_header("Authorization", f"Bearer {SECRET_KEY}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                body = response.read()
                return response.status, json.loads(body) if body else {}
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def intents(self) -> list[dict[str, Any]]:
        return self.ask("GET", "/v1/payment_intents?limit=100")[1]["data"]

    def card(self, number: str) -> str:
        """Make a means of payment of a card's number."""
        card = {"number": number, "exp_month": "12", "exp_year": "2036", "cvc": "123"}
        form = {"type": "card"} | {f"card[{name}]": value for name, value in card.items()}
        return self.ask("POST", "/v1/payment_methods", form)[1]["id"]

    def authenticate(self, intent_id: str, client_secret: str, *, succeeds: bool) -> None:
        """Let a learner pass 3-D Secure, or fail it."""
        form = {"client_secret": client_secret, "success": str(succeeds).lower()}
        self.ask("POST", f"/v1/payment_intents/{intent_id}/_authenticate", form)

    def send_news_to(self, url: str, secret: str) -> None:
        self.ask("POST", "/_config/webhooks/test", {"url": url, "secret": secret})
        self.webhook = url, secret

    def write(self, path: str, form: dict[str, str]) -> Answer:
        """Do what a POST asks, as strictly as Stripe would."""
        known = {name: value for name, value in form.items() if not name.startswith(NEWER)}
        match path.split("/")[2:]:
            case ["payment_intents"]:
                only(INTENT_PARAMETERS, form)
                status, answer = self.ask("POST", path, known)
                if status == 402:
                    answer["error"]["payment_intent"] = self._charged_as(answer["error"]["charge"])
                return status, answer
            case ["payment_intents", intent_id, "cancel"]:
                only(CANCEL_PARAMETERS, form)
                status, answer = self.ask("POST", path, known)
                if status == 400:
                    answer["error"]["code"] = "payment_intent_unexpected_state"
                    intent = self.ask("GET", f"/v1/payment_intents/{intent_id}")[1]
                    answer["error"]["payment_intent"] = intent
                return status, answer
            case ["refunds"]:
                only(REFUND_PARAMETERS, form)
                return self._give_back(path, form)
        raise Refusal(404, f"Unrecognized request URL ({path}).")

    def _charged_as(self, charge_id: str) -> dict[str, Any]:
        charges = ((one["latest_charge"] or {}, one) for one in self.intents())
        return next(intent for charge, intent in charges if charge.get("id") == charge_id)

    def _give_back(self, path: str, form: dict[str, str]) -> Answer:
        charge = self.ask("GET", f"/v1/payment_intents/{form['payment_intent']}")[1][
            "latest_charge"
        ]
        left = charge["amount"] - charge["amount_refunded"]
        if left == 0:
            raise Refusal(400, "It has already been refunded.", code="charge_already_refunded")
        if int(form["amount"]) > left:
            raise Refusal(400, "Refund amount is greater than unrefunded amount.", param="amount")
        status, refund = self.ask("POST", path, form)
        if status == 200 and self.webhook is not None:
            url, secret = self.webhook
            body = event_of("refund.created", refund)
            headers = {"Stripe-Signature": signed(body, secret)}
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()
        return status, refund


@contextmanager
def running_localstripe() -> Iterator[LocalStripe]:
    """Run localstripe and its proxy, each on a free port of the loopback address."""
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], SECONDS_TO_START)[0], "it did not start"
            localstripe = LocalStripe(f"http://127.0.0.1:{int(process.stdout.readline())}")
            handler = type("Handler", (_Handler,), {"localstripe": localstripe})
            with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                server.daemon_threads = True
                thread = threading.Thread(target=server.serve_forever, args=(0.02,))
                thread.start()
                localstripe.url = f"http://127.0.0.1:{server.server_port}"
                try:
                    yield localstripe
                finally:
                    server.shutdown()
                    thread.join()
        finally:
            process.kill()


class _Handler(BaseHTTPRequestHandler):
    localstripe: ClassVar[LocalStripe]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(*self.localstripe.ask("GET", self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key, asked = self.headers["Idempotency-Key"], f"{self.path} {body}"
        with self.localstripe.lock:
            before = self.localstripe.keys.get(key)
            if before is not None and before[0] != asked:
                message = "Keys can only be used with the parameters they were first used with."
                self._answer(400, Refusal(400, message, type="idempotency_error").body)
            elif before is not None:
                self._answer(*before[1])
            else:
                self._answer(*self._write(key, asked, body))

    def _write(self, key: str, asked: str, body: str) -> Answer:
        try:
            answer = self.localstripe.write(self.path, dict(parse_qsl(body)))
        except Refusal as refusal:
            answer = refusal.status, refusal.body
        self.localstripe.keys[key] = asked, answer
        return answer

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object, **_kwargs: object) -> None:
        pass
