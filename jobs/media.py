"""Check a large upload against the checksum that the client declared."""

from __future__ import annotations

import hashlib

from sqlalchemy.orm import Session

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from lms.media import operations, uploads
from lms.media.models import MediaAsset


def check_upload(context: JobContext, claim: Claim) -> None:
    """Handle CHECK_UPLOAD; the subject is an asset in state `checking`. A repeat finds it settled.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
        StorageError: worth another attempt.
    """
    with context.holding(claim) as session:
        asset = session.get(MediaAsset, claim.subject_id)
        if asset is None or asset.state != "checking":
            claims.finish(session, claim)
            return
        key, expected = asset.storage_key, asset.sha256
    lease, digest = Lease(context, claim), hashlib.sha256()
    for chunk in context.storage.open_chunks(key):
        digest.update(chunk)
        lease.tick()
    matches = digest.hexdigest() == expected

    def settle() -> None:
        with context.holding(claim) as session:
            if matches:
                operations.accept(session, context.doorbell, claim.subject_id)
            else:
                operations.refuse(session, claim.subject_id, uploads.CHECKSUM_DIFFERS)
            claims.finish(session, claim)

    context.patiently(settle)


def gave_up(session: Session, claim: Claim, _error: str) -> None:
    """Tell the domain that the bytes could not be checked."""
    operations.refuse(session, claim.subject_id, uploads.NOT_CHECKED)
