"""Secrets at rest: encrypted under the newest key of the settings, read under any of them."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from lms.core.errors import ConflictError, DomainError


class SecretsNotConfiguredError(ConflictError):
    """This installation has no key to keep secrets under."""

    code = "secrets_not_configured"


class UnreadableSecretError(DomainError):
    """A secret is encrypted under a key that this installation does not have (any more)."""

    kind = "unavailable"
    code = "secret_unreadable"


class SecretBox:
    """Encrypts and decrypts with Fernet (AES-128-CBC and HMAC-SHA256).

    Args:
        keys: url-safe base64 of 32 bytes each, the newest first. None: nothing can be kept.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [Fernet(key) for key in keys]

    @classmethod
    def from_setting(cls, secrets_keys: str) -> SecretBox:
        """Make one of the setting SECRETS_KEYS: keys, separated by commas."""
        return cls([key.strip() for key in secrets_keys.split(",") if key.strip()])

    def seal(self, secret: str) -> str:
        """Encrypt a secret under the newest key.

        Raises:
            SecretsNotConfiguredError: there is no key.
        """
        return self._newest().encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Decrypt what `seal` returned, under whichever key.

        Raises:
            UnreadableSecretError: none of the keys fits.
        """
        if self._keys:
            try:
                return MultiFernet(self._keys).decrypt(sealed).decode()
            except InvalidToken:
                pass
        raise UnreadableSecretError(
            "A secret is encrypted under a key that SECRETS_KEYS does not list (any more). Whoever"
            " runs this installation must put that key back at the list's end; or enter the secret"
            " anew."
        )

    def renew(self, sealed: str) -> str | None:
        """Encrypt a secret anew under the newest key.

        Returns:
            The new ciphertext, or None when it is under the newest key already.

        Raises:
            SecretsNotConfiguredError: there is no key.
            UnreadableSecretError: none of the keys fits.
        """
        newest = self._newest()
        try:
            newest.decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None

    def _newest(self) -> Fernet:
        if not self._keys:
            raise SecretsNotConfiguredError(
                "This installation cannot keep secrets: whoever runs it must set SECRETS_KEYS."
            )
        return self._keys[0]
