"""Which provider takes an organization's payments."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from lms.config import Settings
from lms.core.encryption import SecretBox
from lms.payments.accounts import StoredAccount
from lms.payments.errors import ProviderNotConfiguredError
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.sandbox import SandboxProvider
from lms.payments.providers.stripe import StripeProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """Makes an organization's connection to a payment provider.

    Attributes:
        sandbox_url: where the sandbox server listens; None when there is none.
        sandbox_secret_key: proves to the sandbox that it is us.
        sandbox_webhook_secret: proves to us that a webhook comes from the sandbox.
        stripe_api_base: where Stripe's API is.
        box: decrypts the organizations' secrets.
    """

    sandbox_url: str | None
    sandbox_secret_key: str = field(repr=False)
    sandbox_webhook_secret: str = field(repr=False)
    stripe_api_base: str
    box: SecretBox = field(repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Providers:
        """Read what the installation's settings say about providers."""
        return cls(
            sandbox_url=settings.sandbox_url,
            sandbox_secret_key=settings.sandbox_secret_key,
            sandbox_webhook_secret=settings.sandbox_webhook_secret,
            stripe_api_base=settings.stripe_api_base,
            box=SecretBox.from_setting(settings.secrets_keys),
        )

    def name_for(self, account: StoredAccount | None) -> str | None:
        """Return the provider of new payments: the organization's own, else the sandbox, or None.

        Args:
            account: the organization's own, as stored.
        """
        if account is not None:
            return account.provider
        return None if self.sandbox_url is None else SandboxProvider.name

    def for_organization(
        self,
        organization_id: UUID,
        account: StoredAccount | None = None,
        *,
        webhook_url: str | None,
        name: str | None = None,
    ) -> PaymentProvider:
        """Return an organization's account at the provider.

        Args:
            organization_id: its id is or marks the account, so payments of two organizations never
                meet.
            account: the organization's own, as stored.
            webhook_url: where the sandbox reports changes; None when that is not known here.
            name: the provider that was asked before; None for the one that takes new payments.

        Raises:
            ProviderNotConfiguredError: there is none, or none of this name.
            UnreadableSecretError: the account's secrets are under a key that we do not have.
        """
        wanted = name or self.name_for(account)
        if wanted == SandboxProvider.name and self.sandbox_url is not None:
            return SandboxProvider(
                base_url=self.sandbox_url,
                secret_key=self.sandbox_secret_key,
                webhook_secret=self.sandbox_webhook_secret,
                account=str(organization_id),
                webhook_url=webhook_url,
            )
        if wanted == StripeProvider.name and account is not None and account.provider == wanted:
            return StripeProvider(
                secret_key=self.box.open(account.secret_key),
                webhook_secret=self.box.open(account.webhook_secret),
                account=str(organization_id),
                api_base=self.stripe_api_base,
            )
        if name is not None:
            raise ProviderNotConfiguredError(f"This academy has no account at {name} (any more).")
        raise ProviderNotConfiguredError(
            "This academy takes no payments by a provider; pay from the wallet."
        )
