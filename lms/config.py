"""Settings: read from the environment once, frozen, passed down, never imported by rules."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal


class ConfigurationError(Exception):
    """A setting is missing or makes no sense; the message names it."""


SPARE_ORGANIZATIONS = 3
"""Schemas that stand ready for new organizations, unless the setting says otherwise."""

MOST_SPARE_ORGANIZATIONS = 10
"""All may be built in one transaction, which holds a lock on each of their tables and indexes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that differs between installations.

    Each field is the environment variable of the same name in upper case; README lists them all.
    """

    database_url: str
    database_admin_url: str | None = None
    spare_organizations: int = SPARE_ORGANIZATIONS
    database_pool_size: int = 4
    database_prepared_statements: bool = True
    database_organizations_per_connection: int = 400
    database_statements_per_connection: int = 2000
    redis_url: str
    secret_key: str
    secrets_keys: str = ""
    environment: Literal["development", "production"] = "development"
    base_domain: str = "localhost"
    public_scheme: Literal["http", "https"] = "http"
    trusted_proxies: int = 0
    access_token_seconds: int = 15 * 60
    refresh_token_seconds: int = 30 * 24 * 3600
    host_cache_seconds: float = 60.0
    max_body_bytes: int = 1024 * 1024
    storage_path: Path | None = None
    s3_bucket: str | None = None
    s3_endpoint_url: str | None = None
    s3_public_endpoint_url: str | None = None
    s3_region: str = "us-east-1"
    s3_access_key: str | None = None
    s3_secret_key: str | None = None
    s3_path_style: bool = True
    max_upload_bytes: int = 20 * 1024**3
    lease_seconds: float = 30.0
    scratch_path: Path | None = None
    sandbox_url: str | None = None
    sandbox_secret_key: str = ""
    sandbox_webhook_secret: str = ""
    stripe_api_base: str = "https://api.stripe.com"
    seat_hold_seconds: int = 30 * 60
    waitlist_offer_seconds: int = 24 * 3600
    max_top_up_amount: int = 1_000_000
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Args:
            environment: names and values; the process's own by default.

        Raises:
            ConfigurationError: a setting is missing or cannot be read; the message names it.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            raw = environment.get(field.name.upper())
            if raw is None or raw == "":
                continue
            values[field.name] = _read(field.name, str(field.type), raw)
        for required in ("database_url", "redis_url", "secret_key"):
            if required not in values:
                raise ConfigurationError(
                    f"{required.upper()} is not set; README lists the settings."
                )
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse combinations that cannot work.

        Raises:
            ConfigurationError: with what to change.
        """
        if len(self.secret_key.encode()) < 32:
            raise ConfigurationError("SECRET_KEY needs at least 32 bytes; use a random one.")
        if self.base_domain != self.base_domain.strip(".").lower() or not self.base_domain:
            raise ConfigurationError("BASE_DOMAIN is lower case, without a dot at its ends.")
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name.upper()} must be more than 0.")
        if not 0 <= self.spare_organizations <= MOST_SPARE_ORGANIZATIONS:
            raise ConfigurationError(
                f"SPARE_ORGANIZATIONS must be 0 to {MOST_SPARE_ORGANIZATIONS}."
            )
        if self.s3_bucket is None and self.storage_path is None:
            raise ConfigurationError("Set STORAGE_PATH (local files) or S3_BUCKET.")
        if self.secrets_keys and not are_secrets_keys(self.secrets_keys):
            raise ConfigurationError(
                "SECRETS_KEYS lists keys of 32 bytes in url-safe base64, separated by commas;"
                " `openssl rand -base64 32 | tr +/ -_` makes one."
            )
        if self.environment == "production" and self.sandbox_url is not None:
            raise ConfigurationError("SANDBOX_URL is refused when ENVIRONMENT=production.")
        if self.environment == "production" and not self.stripe_api_base.startswith("https://"):
            raise ConfigurationError("STRIPE_API_BASE must be https when ENVIRONMENT=production.")

    def admin_url(self) -> str:
        """Return DATABASE_ADMIN_URL.

        Raises:
            ConfigurationError: when it is not set; only provisioning and migrations need it.
        """
        if self.database_admin_url is None:
            raise ConfigurationError("DATABASE_ADMIN_URL is needed to provision and migrate.")
        return self.database_admin_url


POSITIVE = (
    *(
        "database_pool_size",
        "database_statements_per_connection",
        "access_token_seconds",
        "refresh_token_seconds",
        "max_body_bytes",
    ),
    *("max_upload_bytes", "lease_seconds", "seat_hold_seconds", "max_top_up_amount"),
    "waitlist_offer_seconds",
)


def are_secrets_keys(setting: str) -> bool:
    """Tell whether SECRETS_KEYS lists keys as Fernet takes them."""
    try:
        return all(len(base64.urlsafe_b64decode(key.strip())) == 32 for key in setting.split(","))
    except ValueError:
        return False


def _read(name: str, kind: str, raw: str) -> Any:
    try:
        if kind.startswith("bool"):
            return {"1": True, "true": True, "0": False, "false": False}[raw.lower()]
        if kind.startswith("int"):
            return int(raw)
        if kind.startswith("float"):
            return float(raw)
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"{name.upper()} cannot be {raw!r}: expected {kind}.") from error
    if kind.startswith("Path"):
        return Path(raw)
    if kind.startswith("Literal") and f"'{raw}'" not in kind.replace('"', "'"):
        raise ConfigurationError(f"{name.upper()} cannot be {raw!r}: expected {kind}.")
    return raw
