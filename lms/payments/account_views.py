"""Routes of the organization's accounts at payment providers."""

from __future__ import annotations

from typing import Any

from lms.core.encryption import SecretBox
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.payments import accounts
from lms.payments.account_schemas import (
    PaymentAccountIn,
    PaymentAccountOut,
    PaymentAccountsOut,
    PaymentProviderOut,
)
from lms.payments.accounts import ShownAccount, StoredAccount
from lms.payments.errors import KeysRefusedError, ProviderAwayError
from lms.payments.examples import PAYMENT_ACCOUNT
from lms.payments.providers.base import ProviderUnavailable
from lms.payments.providers.registry import Providers
from lms.payments.providers.stripe_keys import refusal_of

blp = TenantBlueprint(
    "Payment accounts",
    __name__,
    description="The organization's own accounts at payment providers.",
)


@blp.operation(
    "GET",
    "/payment-provider",
    id="getPaymentProvider",
    returns=PaymentProviderOut,
    example={"provider": "stripe", "publishable_key": "pk_test_51Hq8"},
)
def get_payment_provider(call: Call) -> dict[str, str | None]:
    """Read who takes payments here.

    `publishable_key` is what the provider's own script needs in a front end; both are null where
    wallets alone pay.
    """
    account = accounts.stored_account(call.session)
    name = call.use(Providers).name_for(account)
    key = account.publishable_key if account is not None and account.provider == name else None
    return {"provider": name, "publishable_key": key}


@blp.operation(
    "GET",
    "/payment-accounts",
    id="listPaymentAccounts",
    returns=PaymentAccountsOut,
    roles=ADMINS,
    example={"items": [PAYMENT_ACCOUNT]},
)
def list_payment_accounts(call: Call) -> dict[str, list[ShownAccount]]:
    """List the accounts at payment providers: at most one, at Stripe.

    For admins. Of the secrets, only the last four characters are shown.
    """
    return {"items": accounts.list_accounts(call.session, call.use(SecretBox))}


@blp.operation(
    "GET",
    "/payment-accounts/<string:provider_name>",
    id="getPaymentAccount",
    returns=PaymentAccountOut,
    roles=ADMINS,
    etag=True,
    not_modified=False,
    example=PAYMENT_ACCOUNT,
)
def get_payment_account(call: Call, provider_name: str) -> ShownAccount:
    """Read the account at a payment provider.

    For admins. `open` says what is not settled there yet: the account cannot be removed before, and
    keys of another account could not see it through.
    """
    return accounts.show_account(call.session, call.use(SecretBox), provider_name)


@blp.operation(
    "PUT",
    "/payment-accounts/<string:provider_name>",
    id="putPaymentAccount",
    body=PaymentAccountIn,
    returns=PaymentAccountOut,
    roles=ADMINS,
    transaction="steps",
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=PAYMENT_ACCOUNT,
)
def put_payment_account(call: Call, provider_name: str, body: dict[str, Any]) -> ShownAccount:
    """Enter the organization's account at `stripe`, or replace all of its keys.

    For admins. From then on payments through the provider go to this account. The secrets are kept
    encrypted and never shown again. The provider is asked with the secret key first: 422
    `keys_refused` when it does not take it, 503 `provider_unavailable` when it does not answer;
    nothing is changed then. The other two cannot be tried: a wrong publishable key fails in the
    front end, and a wrong webhook secret makes the provider's events 400. Keys may be replaced at
    any time, by ones of the same account: with those of another one, what is open (see `open` in
    the answer) or paid at the old one can be neither settled nor refunded. 409
    `secrets_not_configured` when this installation cannot keep secrets.
    """
    expected_version, box = call.expected_version(), call.use(SecretBox)
    new = accounts.seal_account(box, provider_name, **body)
    _try_keys(call, new)
    with call.transaction() as session:
        return accounts.put_account(
            session, call.actor, box, new, expected_version=expected_version
        )


@blp.operation(
    "DELETE",
    "/payment-accounts/<string:provider_name>",
    id="deletePaymentAccount",
    status=204,
    roles=ADMINS,
    if_match="optional",
    refusals=(409,),
)
def delete_payment_account(call: Call, provider_name: str) -> None:
    """Remove an account at a payment provider.

    For admins. What was paid there can then be given back only at the provider, or into the
    learner's wallet. 409 `payment_account_in_use` while payments, top-ups or refunds are still open
    there: `open` says how many of each, and `detail` what to do.
    """
    accounts.delete_account(
        call.session, call.actor, provider_name, expected_version=call.expected_version()
    )


def _try_keys(call: Call, new: StoredAccount) -> None:
    """Ask the provider with new keys, outside any transaction."""
    provider = call.use(Providers).for_organization(call.organization_id, new, webhook_url=None)
    try:
        refusal = refusal_of(provider)
    except ProviderUnavailable as error:
        raise ProviderAwayError(
            "The provider cannot be asked whether it takes these keys. Nothing was changed; try"
            " again later."
        ) from error
    if refusal is not None:
        raise KeysRefusedError(
            "The provider does not take these keys. Nothing was changed.",
            errors=[{"pointer": "/secret_key", "message": refusal}],
        )
