"""Which provider takes an organization's payments."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from lms.config import Settings
from lms.payments.errors import ProviderNotConfiguredError
from lms.payments.providers.base import PaymentProvider
from lms.payments.providers.sandbox import SandboxProvider


@dataclass(frozen=True, slots=True)
class Providers:
    """Makes an organization's connection to the installation's payment provider.

    Attributes:
        sandbox_url: where the sandbox server listens; None when there is no provider.
        sandbox_secret_key: proves to the sandbox that it is us.
        sandbox_webhook_secret: proves to us that a webhook comes from the sandbox.
    """

    sandbox_url: str | None
    sandbox_secret_key: str = field(repr=False)
    sandbox_webhook_secret: str = field(repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Providers:
        """Read what the installation's settings say about providers."""
        return cls(
            settings.sandbox_url, settings.sandbox_secret_key, settings.sandbox_webhook_secret
        )

    def for_organization(
        self, organization_id: UUID, *, webhook_url: str | None
    ) -> PaymentProvider:
        """Return an organization's account at the provider.

        Args:
            organization_id: its id is the account, so payments of two organizations never meet.
            webhook_url: where the provider reports changes; None when that is not known here.

        Raises:
            ProviderNotConfiguredError: this installation has none.
        """
        if self.sandbox_url is None:
            raise ProviderNotConfiguredError(
                "This academy takes no payments by a provider; pay from the wallet."
            )
        return SandboxProvider(
            base_url=self.sandbox_url,
            secret_key=self.sandbox_secret_key,
            webhook_secret=self.sandbox_webhook_secret,
            account=str(organization_id),
            webhook_url=webhook_url,
        )
