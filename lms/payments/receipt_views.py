"""Routes of receipts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.http.blueprint import TenantBlueprint
from lms.http.call import Call
from lms.payments import receipts
from lms.payments.examples import RECEIPT
from lms.payments.receipt_schemas import ReceiptOut, ReceiptQuery
from lms.payments.receipts import ReceiptView

blp = TenantBlueprint(
    "Receipts",
    __name__,
    description="What an accountant files: one for each payment, top-up and refund.",
)


@blp.operation(
    "GET",
    "/receipts",
    id="listReceipts",
    query=ReceiptQuery,
    returns=ReceiptOut,
    paged=True,
    example={"items": [RECEIPT], "next_cursor": None},
)
def list_receipts(call: Call, query: dict[str, Any]) -> Page[ReceiptView]:
    """List receipts, newest first.

    Yours; admins get everybody's and may filter by `user_id`. With `payment_id`, the receipt of a
    payment and those of its refunds. Number, amount and date never change; names, address and
    titles are those of today, so file what you read. Numbers count up by one in each year
    of the academy's time zone. 403 when somebody else's are asked for by one who is not an admin.
    """
    return receipts.list_receipts(call.session, call.actor, **query)


@blp.operation(
    "GET",
    "/payments/<uuid:payment_id>/receipt",
    id="getPaymentReceipt",
    returns=ReceiptOut,
    example=RECEIPT,
)
def get_payment_receipt(call: Call, payment_id: UUID) -> ReceiptView:
    """Read the receipt of a payment: yours, or any for admins.

    404 also while nothing was paid: a free place has no receipt.
    """
    return receipts.of_payment(call.session, call.actor, payment_id)
