from __future__ import annotations

import pytest

from lms.config import ConfigurationError, Settings

ENOUGH = {
    "DATABASE_URL": "postgresql+psycopg://app:x@127.0.0.1/lms",
    "REDIS_URL": "redis://127.0.0.1",
    "SECRET_KEY": "s" * 32,
    "STORAGE_PATH": "/srv/lms",
}


def test_what_is_required_is_enough() -> None:
    settings = Settings.from_environment(ENOUGH)
    assert (settings.environment, settings.base_domain) == ("development", "localhost")


@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_URL", "SECRET_KEY", "STORAGE_PATH"])
def test_a_missing_setting_is_named(missing: str) -> None:
    environment = {name: value for name, value in ENOUGH.items() if name != missing}
    with pytest.raises(ConfigurationError, match=missing):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("DATABASE_POOL_SIZE", "many"),
        ("DATABASE_POOL_SIZE", "0"),
        ("ACCESS_TOKEN_SECONDS", "0"),
        ("LEASE_SECONDS", "-1"),
        ("S3_PATH_STYLE", "perhaps"),
        ("ENVIRONMENT", "staging"),
        ("LOG_FORMAT", "xml"),
        ("BASE_DOMAIN", "Example.com"),
        ("BASE_DOMAIN", ".example.com"),
        ("SECRETS_KEYS", "short"),
        ("SECRETS_KEYS", f"{'A' * 43}=,"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_environment({**ENOUGH, name: value})


def test_the_keys_for_secrets_are_a_list_the_newest_first() -> None:
    keys = f"{'A' * 43}=, {'B' * 42}A="
    assert Settings.from_environment({**ENOUGH, "SECRETS_KEYS": keys}).secrets_keys == keys


def test_production_reaches_stripe_encrypted() -> None:
    environment = {**ENOUGH, "ENVIRONMENT": "production", "STRIPE_API_BASE": "http://127.0.0.1:1"}
    with pytest.raises(ConfigurationError, match="STRIPE_API_BASE"):
        Settings.from_environment(environment)


def test_production_refuses_the_sandbox_provider() -> None:
    environment = {**ENOUGH, "ENVIRONMENT": "production", "SANDBOX_URL": "http://127.0.0.1:1"}
    with pytest.raises(ConfigurationError, match="SANDBOX_URL"):
        Settings.from_environment(environment)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environment({**ENOUGH, "S3_BUCKET": ""}).s3_bucket is None


def test_numbers_and_switches_are_read() -> None:
    settings = Settings.from_environment(
        {**ENOUGH, "LEASE_SECONDS": "2.5", "S3_PATH_STYLE": "FALSE", "TRUSTED_PROXIES": "1"}
    )
    assert (settings.lease_seconds, settings.s3_path_style) == (2.5, False)
    assert settings.trusted_proxies == 1
