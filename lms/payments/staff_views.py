"""Routes by which admins see learners' wallets and adjust them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.payments import operations, queries
from lms.payments.adjustments import adjust_wallet
from lms.payments.examples import ADJUSTMENT, WALLET
from lms.payments.models import Wallet, WalletTransaction
from lms.payments.schemas import AdjustmentIn, WalletOut, WalletTransactionOut

blp = TenantBlueprint(
    "Learners' wallets",
    __name__,
    description="For admins: what is in learners' wallets, and corrections by hand.",
)


@blp.operation(
    "GET",
    "/users/<uuid:user_id>/wallet",
    id="getUserWallet",
    returns=WalletOut,
    roles=ADMINS,
    example=WALLET,
)
def get_user_wallet(call: Call, user_id: UUID) -> Wallet:
    """Read a user's wallet.

    For admins. Everybody has one, in the organization's currency; it is made on first use.
    """
    return operations.wallet_of_user(call.session, user_id)


@blp.operation(
    "GET",
    "/users/<uuid:user_id>/wallet/transactions",
    id="listUserWalletTransactions",
    returns=WalletTransactionOut,
    paged=True,
    roles=ADMINS,
)
def list_user_wallet_transactions(
    call: Call, user_id: UUID, query: dict[str, Any]
) -> Page[WalletTransaction]:
    """List the movements of a user's wallet, newest first.

    For admins.
    """
    return queries.user_wallet_transactions(call.session, user_id, **query)


@blp.operation(
    "POST",
    "/users/<uuid:user_id>/wallet/adjustments",
    id="adjustUserWallet",
    body=AdjustmentIn,
    returns=WalletTransactionOut,
    status=201,
    roles=ADMINS,
    idempotent=True,
    refusals=(409,),
    example=ADJUSTMENT,
)
def adjust_user_wallet(call: Call, user_id: UUID, body: dict[str, Any]) -> WalletTransaction:
    """Put money into a user's wallet, or take it out.

    For admins; a negative amount takes money out. The learner sees the reason in the wallet's
    movements. What is put in first pays what the wallet owes, which a second movement shows. 409
    `insufficient_funds` with the `balance` when the wallet does not hold what is to be taken,
    `currency_mismatch` when it is in another currency.
    """
    if call.subject_id is None:
        raise TypeError("this operation declares that it is idempotent")
    return adjust_wallet(call.session, call.actor, user_id, adjustment_id=call.subject_id, **body)
