"""The sandbox server's thread that settles pending payments and posts signed webhooks."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

import httpx

from lms.payments.providers.sandbox import SIGNATURE_HEADER
from lms.payments.providers.sandbox_outbox import Delivery, Outbox
from lms.payments.providers.sandbox_store import SandboxStore
from lms.payments.providers.sandbox_target import local_target
from lms.payments.providers.signing import sign

_log = logging.getLogger("lms.sandbox")

_TIMEOUT_SECONDS = 5.0
_PAUSE_AFTER_TROUBLE_SECONDS = 1.0


class WebhookSender(threading.Thread):
    """Sends what is due and sleeps until more is; `wake` tells it that there may be more.

    Args:
        store: Where pending payments wait.
        outbox: Where webhooks wait.
        secret: Signs the webhooks.
    """

    def __init__(self, store: SandboxStore, outbox: Outbox, *, secret: str) -> None:
        super().__init__(name="webhooks", daemon=True)
        self._store = store
        self._outbox = outbox
        self._secret = secret
        self._changed = threading.Event()

    def wake(self) -> None:
        """Look again soon for settlements and webhooks that are due."""
        self._changed.set()

    def run(self) -> None:
        """Work until the process ends."""
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                self._changed.clear()
                try:
                    pause = self._work(client)
                except sqlite3.Error:
                    _log.exception("the sandbox's data file cannot be used; trying again")
                    pause = _PAUSE_AFTER_TROUBLE_SECONDS
                self._changed.wait(pause)

    def _work(self, client: httpx.Client) -> float | None:
        """Do all that is due; returns the seconds until more is, None when nothing is known."""
        self._store.settle_due()
        while (delivery := self._outbox.next_delivery()) is not None:
            self._deliver(client, delivery)
        upcoming = [self._store.next_settlement(), self._outbox.next_due()]
        times = [due_at for due_at in upcoming if due_at is not None]
        return max(0.0, min(times) - time.time()) if times else None

    def _deliver(self, client: httpx.Client, delivery: Delivery) -> None:
        target, host = local_target(delivery.url)
        # signed anew at each attempt: receivers refuse signatures that are minutes old
        signature = sign(delivery.body, secret=self._secret, timestamp=int(time.time()))
        headers = {
            "Host": host,
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature,
        }
        try:
            response = client.post(target, content=delivery.body, headers=headers)
            arrived, result = response.is_success, f"status {response.status_code}"
        except httpx.HTTPError as error:
            arrived, result = False, repr(error)
        if arrived:
            self._outbox.delivered(delivery.event_id)
            return
        pause = self._outbox.not_delivered(delivery.event_id)
        then = "given up" if pause is None else f"again in {pause:g} s"
        _log.warning("webhook %s to %s: %s; %s", delivery.event_id, delivery.url, result, then)
