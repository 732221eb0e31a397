"""Routes by which admins see disputes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.payments import disputes
from lms.payments.dispute_schemas import DisputeOut, DisputeQuery
from lms.payments.disputes import DisputeView
from lms.payments.examples import DISPUTE

blp = TenantBlueprint(
    "Disputes",
    __name__,
    description="For admins: payments and top-ups that their payers contest at their banks.",
)


@blp.operation(
    "GET",
    "/disputes",
    id="listDisputes",
    query=DisputeQuery,
    returns=DisputeOut,
    paged=True,
    roles=ADMINS,
    example={"items": [DISPUTE], "next_cursor": None},
)
def list_disputes(call: Call, query: dict[str, Any]) -> Page[DisputeView]:
    """List disputes, newest first.

    For admins. Those with `status` `needs_response` want evidence until `evidence_due_at`, which is
    handed in at the provider. While a chargeback of a payment is open nothing of it can be given
    back; of a top-up the wallet gives the money at once, and gets it back when it is won.
    """
    return disputes.list_disputes(call.session, **query)


@blp.operation(
    "GET",
    "/disputes/<uuid:dispute_id>",
    id="getDispute",
    returns=DisputeOut,
    etag=True,
    roles=ADMINS,
    example=DISPUTE,
)
def get_dispute(call: Call, dispute_id: UUID) -> DisputeView:
    """Read a dispute.

    For admins. It follows the provider by itself.
    """
    return disputes.get_dispute(call.session, dispute_id)
