"""What a signed address of the local store says, and the signature that makes it true.

A token is URL-safe JSON with an HMAC-SHA256. The HTTP method is the signature's purpose
(itsdangerous calls it the salt): a token signed for reading can never be taken for one that writes.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from lms.core.storage.base import InvalidSignature


@dataclass(frozen=True, slots=True)
class ReadClaim:
    """Permission to GET (or HEAD) one object.

    Attributes:
        key: The object's key.
        expires_at: Seconds since 1970 UTC; from then on the claim is void.
        content_type: Media type to answer with instead of the stored one.
        download_name: Answer as a download under this name.
    """

    key: str
    expires_at: int
    content_type: str | None = None
    download_name: str | None = None


@dataclass(frozen=True, slots=True)
class PartClaim:
    """Permission to PUT one part of an upload.

    Attributes:
        key: The key that the upload is for.
        expires_at: Seconds since 1970 UTC; from then on the claim is void.
        upload_id: The upload.
        number: Number of the part, from 1.
        size: Bytes that the part must have.
    """

    key: str
    expires_at: int
    upload_id: str
    number: int
    size: int


Claim = ReadClaim | PartClaim

_METHODS: dict[str, type[Claim]] = {"GET": ReadClaim, "PUT": PartClaim}


class ClaimSigner:
    """Turns claims into tokens and back, with one secret for all processes of an installation."""

    def __init__(self, secret: bytes) -> None:
        self._serializers = {
            claim_type: URLSafeSerializer(
                secret,
                salt=f"lms.storage.{method}",
                signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
            )
            for method, claim_type in _METHODS.items()
        }

    def sign(self, claim: Claim) -> str:
        """Return the token of a claim: letters, digits, ``-``, ``_`` and ``.``."""
        content = {name: value for name, value in asdict(claim).items() if value is not None}
        return str(self._serializers[type(claim)].dumps(content))

    def verify(self, token: str, *, method: str, now: datetime) -> Claim:
        """Return the claim of a token that is genuine, current, and for this method.

        Args:
            token: What ``sign`` returned.
            method: The request's method; HEAD is let in where GET is.
            now: The current time, UTC.

        Raises:
            InvalidSignature: It is not.
        """
        claim_type = _METHODS.get("GET" if method == "HEAD" else method)
        if claim_type is None:
            raise InvalidSignature(f"no address is signed for {method}")
        try:
            content: dict[str, Any] = self._serializers[claim_type].loads(token)
            claim = claim_type(**content)
        except (BadData, TypeError, UnicodeError) as error:
            raise InvalidSignature("the address was altered or is for another method") from error
        if now.timestamp() >= claim.expires_at:
            raise InvalidSignature("the address has expired")
        return claim
