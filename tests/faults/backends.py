"""What a stand's product speaks to beyond its database: a store of files, a payment provider."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import boto3
import httpx

from lms.core.ids import new_id
from lms.core.storage.s3 import S3Storage
from lms.embedded.process import free_port
from lms.supervisor import Supervisor
from tests.factories.jobs import REPOSITORY
from tests.factories.sandbox import SECRET_KEY, WEBHOOK_SECRET, call_sandbox

BUCKET = "lms"
READY_SECONDS = 60.0
S3_KEY = "test"
SANDBOX_SECRETS = {"SANDBOX_SECRET_KEY": SECRET_KEY, "SANDBOX_WEBHOOK_SECRET": WEBHOOK_SECRET}
SETTLE_SECONDS = 2.0
"""After which the provider lets succeed what is pending."""


def storage_at(port: int) -> S3Storage:
    """Return the store as it is reached at a port."""
    return S3Storage(
        bucket=BUCKET,
        endpoint_url=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key=S3_KEY,
        secret_key=S3_KEY,
        path_style=True,
    )


def start_store(supervisor: Supervisor) -> int:
    """Start an S3 server in a process of its own; returns its port."""
    port = free_port()
    program = str(Path(sys.executable).with_name("moto_server"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        # Otherwise it lets pages of every origin in, whatever the bucket's rule says.
        "MOTO_DISABLE_GLOBAL_CORS": "1",
    }
    supervisor.start("store", [program, "--host", "127.0.0.1", "--port", str(port)], environment)
    return port


def start_sandbox(supervisor: Supervisor, folder: Path) -> str:
    """Start a payment provider in a process of its own; returns its base URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    supervisor.start(
        "sandbox",
        [
            *(sys.executable, "-m", "lms.payments.providers.sandbox_server"),
            *("--port", str(port), "--data", str(folder / "sandbox.sqlite")),
            *("--settle-after", str(SETTLE_SECONDS)),
        ],
        {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **SANDBOX_SECRETS},
    )

    def answers() -> bool:
        try:
            return "data" in call_sandbox(url, new_id(), "GET", "/v1/payments")
        except httpx.HTTPError:
            return False

    supervisor.wait_ready("sandbox", answers, READY_SECONDS)
    return url


def make_bucket(supervisor: Supervisor, port: int) -> None:
    """Make the bucket as soon as the store answers."""
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/moto-api/", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    supervisor.wait_ready("store", answers, READY_SECONDS)
    session = boto3.Session(S3_KEY, S3_KEY, region_name="us-east-1")
    client = session.client("s3", endpoint_url=url)
    client.create_bucket(Bucket=BUCKET)
    client.close()
