"""How we talk to a store that speaks S3."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from boto3.session import Session
from botocore.config import Config


def make_client(
    session: Session, endpoint_url: str | None, *, path_style: bool, patient: bool = True
) -> Any:
    """Return a client with time-outs; nothing is connected before its first use.

    Args:
        session: Holds credentials and region.
        endpoint_url: Address of the store; None for Amazon.
        path_style: Put the bucket's name into the path instead of the host name.
        patient: Try four times and wait up to a minute for an answer; otherwise once, 3 seconds.
    """
    client: Any = session.client(
        "s3",
        endpoint_url=endpoint_url,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if path_style else "virtual"},
            connect_timeout=5 if patient else 2,
            read_timeout=60 if patient else 3,
            retries={"mode": "standard", "total_max_attempts": 4 if patient else 1},
            tcp_keepalive=True,
            # The checksums that botocore adds by default are unknown to many stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    client.meta.events.register("before-call.s3.DeleteObjects", _add_content_md5)
    return client


def _add_content_md5(params: dict[str, Any], **_: Any) -> None:
    """Send the checksum that DeleteObjects required for years: many stores know no other."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
