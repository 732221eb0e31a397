"""The super-admins' route to an organization's books: they see whether they agree, not whose."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from lms.checkout.reconcile.operations import reconcile
from lms.checkout.reconcile.report import Report
from lms.checkout.reconcile.schemas import ReconciliationIn, ReconciliationOut
from lms.checkout.reconcile.steps import Bounds
from lms.http.blueprint import PlatformBlueprint
from lms.http.call import Call
from lms.payments.accounts import stored_account
from lms.payments.errors import ProviderAwayError
from lms.payments.providers.base import ProviderRejected, ProviderUnavailable
from lms.payments.providers.registry import Providers
from tenants.session import STILL_SETTLING, OrganizationScope

EXAMPLE = {
    "total": 1,
    "checks": [
        {
            "name": "wallet_balance",
            "total": 1,
            "findings": [
                {
                    "check": "wallet_balance",
                    "subject_type": "wallet",
                    "subject_id": "0193a1c2-7f00-7000-8000-000000000006",
                    "expected": "5100 EUR",
                    "found": "5000 EUR",
                }
            ],
        },
        {"name": "journal_chain", "total": 0, "findings": []},
    ],
    "provider_list": {"payments": 1000, "is_complete": False},
}
IN_A_REQUEST = Bounds(pages=10, seconds=10.0)
"""How much of a provider's list is read while somebody waits."""

blp = PlatformBlueprint(
    "Reconciliation",
    __name__,
    description="For super-admins: do an organization's books agree, and with the provider's?",
)


@blp.operation(
    "POST",
    "/organizations/<uuid:organization_id>/payments/reconcile",
    id="reconcilePayments",
    body=ReconciliationIn,
    returns=ReconciliationOut,
    transaction="steps",
    refusals=(409,),
    example=EXAMPLE,
)
def reconcile_payments(call: Call, organization_id: UUID, body: dict[str, Any]) -> Report:
    """Check that an organization's books agree.

    Recomputes wallets, journal, payments, refunds, disputes, seats and receipts from each other,
    and with `provider` compares them with the provider's own lists. Of each at most ten pages are
    read, or as many as it gives within ten seconds: when it has more, `provider_list` is not
    complete; ask for a shorter time with `since`, or let whoever runs the installation read them to
    the end with `lms payments reconcile --provider`. Reads only. 404 for an organization that is
    neither active, suspended nor being deleted; 409 `provider_not_configured` when there is no
    provider to compare with, 503 `provider_unavailable` when it does not answer.
    """
    step = partial(call.inside, OrganizationScope(organization_id, STILL_SETTLING))
    provider = None
    if body["provider"]:
        with step() as session:
            account = stored_account(session)
        provider = call.use(Providers).for_organization(organization_id, account, webhook_url=None)
    try:
        return reconcile(step, provider=provider, since=body["since"], bounds=IN_A_REQUEST)
    except (ProviderUnavailable, ProviderRejected) as error:
        raise ProviderAwayError("The provider's payments cannot be listed now.") from error
