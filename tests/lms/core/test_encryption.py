from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from lms.core.encryption import SecretBox, SecretsNotConfiguredError, UnreadableSecretError

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_is_sealed_is_not_readable_and_comes_out_as_it_went_in() -> None:
    box = SecretBox.from_setting(NEW)
    sealed = box.seal("sk_live_1")
    assert "sk_live_1" not in sealed
    assert box.open(sealed) == "sk_live_1"
    assert box.seal("sk_live_1") != sealed


def test_older_keys_still_read_and_the_newest_writes() -> None:
    sealed = SecretBox.from_setting(OLD).seal("x")
    both = SecretBox.from_setting(f"{NEW}, {OLD}")
    assert both.open(sealed) == "x"
    renewed = both.renew(sealed)
    assert renewed is not None
    assert SecretBox.from_setting(NEW).open(renewed) == "x"
    assert both.renew(renewed) is None


def test_an_unknown_key_says_what_to_do() -> None:
    sealed = SecretBox.from_setting(OLD).seal("x")
    for box in (SecretBox.from_setting(NEW), SecretBox.from_setting("")):
        with pytest.raises(UnreadableSecretError, match="SECRETS_KEYS"):
            box.open(sealed)
    with pytest.raises(UnreadableSecretError):
        SecretBox.from_setting(NEW).renew(sealed)


def test_an_altered_ciphertext_is_not_read() -> None:
    box = SecretBox.from_setting(NEW)
    sealed = box.seal("x")
    with pytest.raises(UnreadableSecretError):
        box.open(sealed[:-4] + ("A" if sealed[-4] != "A" else "B") + sealed[-3:])


def test_without_a_key_nothing_is_kept() -> None:
    with pytest.raises(SecretsNotConfiguredError, match="SECRETS_KEYS"):
        SecretBox.from_setting("").seal("x")
