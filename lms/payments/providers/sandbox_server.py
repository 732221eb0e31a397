"""The sandbox payment provider: a small server of its own, for development and tests.

It behaves like a provider on the far side of a network: a process of its own, its own memory, its
own idempotency, webhooks that come when they come. No real money is behind it.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from werkzeug.serving import make_server

from lms.payments.providers.sandbox_app import Sandbox, create_sandbox
from lms.payments.providers.sandbox_disputes import SandboxDisputes
from lms.payments.providers.sandbox_file import SandboxFile
from lms.payments.providers.sandbox_outbox import Outbox
from lms.payments.providers.sandbox_refunds import SandboxRefunds
from lms.payments.providers.sandbox_store import SandboxStore
from lms.payments.providers.sandbox_tokens import OUTCOMES
from lms.payments.providers.sandbox_webhooks import WebhookSender

SECRET_KEY_VARIABLE = "SANDBOX_SECRET_KEY"  # noqa: S105 - names the secret, is not one
WEBHOOK_SECRET_VARIABLE = "SANDBOX_WEBHOOK_SECRET"  # noqa: S105 - names the secret, is not one

_ENVIRONMENT_VARIABLES = ("ENVIRONMENT", "LMS_ENVIRONMENT")
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_POLL_SECONDS = 0.1  # how long a stop may take to be noticed
_HOST = "127.0.0.1"


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
    refunds = SandboxRefunds(file, settle_after=options.settle_after)
    sandbox = Sandbox(store, refunds, SandboxDisputes(file), sender)
    app = create_sandbox(sandbox, secret_key=secret_key)
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
        help="when what is to come happens by itself (default: %(default)s)",
    )
    return parser


def _complain(reason: str) -> int:
    print(f"sandbox: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
