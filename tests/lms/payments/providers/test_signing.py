from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lms.payments.providers.base import InvalidWebhook, ProviderEvent
from lms.payments.providers.sandbox import SandboxProvider
from lms.payments.providers.signing import sign

NOW = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
EVENT = {
    "id": "evt_1",
    "type": "payment.succeeded",
    "account": "acme",
    "created": int(NOW.timestamp()) - 2,
    "data": {"object": {"id": "pay_1"}},
}
BODY = json.dumps(EVENT).encode()
ACME = SandboxProvider(
    base_url="http://127.0.0.1:1",
    secret_key="sk",
    webhook_secret="whsec",
    account="acme",
    webhook_url="http://127.0.0.1:1/webhooks",
)


def signed(body: bytes = BODY, *, secret: str = "whsec", at: datetime = NOW) -> str:
    return sign(body, secret=secret, timestamp=int(at.timestamp()))


def test_a_genuine_webhook_is_read_into_an_event_in_utc() -> None:
    assert ACME.parse_webhook(BODY, signed(), now=NOW) == ProviderEvent(
        id="evt_1",
        type="payment.succeeded",
        payment_id="pay_1",
        account="acme",
        created=NOW - timedelta(seconds=2),
    )


def test_the_signature_is_stripes_scheme() -> None:
    # the digest was made with: printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec
    expected = "t=1700000000,v1=7d44587dddbaf4c7f70fef20f48cd594834ffea1641e3ac227b84408298738af"
    assert sign(b"{}", secret="whsec", timestamp=1_700_000_000) == expected


def test_a_body_changed_by_one_byte_is_refused() -> None:
    with pytest.raises(InvalidWebhook):
        ACME.parse_webhook(BODY + b" ", signed(), now=NOW)


def test_a_signature_made_with_another_secret_is_refused() -> None:
    with pytest.raises(InvalidWebhook):
        ACME.parse_webhook(BODY, signed(secret="other"), now=NOW)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_signature_five_minutes_off_is_taken(seconds: int) -> None:
    header = signed(at=NOW + timedelta(seconds=seconds))
    assert ACME.parse_webhook(BODY, header, now=NOW).id == "evt_1"


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_signature_further_off_is_refused(seconds: int) -> None:
    with pytest.raises(InvalidWebhook):
        ACME.parse_webhook(BODY, signed(at=NOW + timedelta(seconds=seconds)), now=NOW)


def test_the_time_cannot_be_freshened_without_the_secret() -> None:
    old = signed(at=NOW - timedelta(hours=1))
    freshened = f"t={int(NOW.timestamp())},{old.partition(',')[2]}"
    with pytest.raises(InvalidWebhook):
        ACME.parse_webhook(BODY, freshened, now=NOW)


def test_one_matching_signature_among_several_is_enough() -> None:
    time_part, _, good = signed().partition(",")
    header = f"{time_part},v1={'0' * 64},{good}"
    assert ACME.parse_webhook(BODY, header, now=NOW).id == "evt_1"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=,v1=",
        f"t={int(NOW.timestamp())}",
        "v1=" + "0" * 64,
        f"{signed()},t=1",
        "t=" + "9" * 5000 + ",v1=" + "0" * 64,
        "t=²,v1=" + "0" * 64,
        f"t={int(NOW.timestamp())},v1=é",
    ],
)
def test_a_malformed_signature_is_refused(header: str) -> None:
    with pytest.raises(InvalidWebhook):
        ACME.parse_webhook(BODY, header, now=NOW)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"null", b"{}", json.dumps({**EVENT, "created": 10**30}).encode()],
)
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        ACME.parse_webhook(body, signed(body), now=NOW)


def test_a_genuine_event_of_another_account_is_refused() -> None:
    with pytest.raises(InvalidWebhook):
        replace(ACME, account="globex").parse_webhook(BODY, signed(), now=NOW)


def test_secrets_stay_out_of_the_adapters_representation() -> None:
    provider = replace(ACME, secret_key="hush-key", webhook_secret="hush-hook")
    assert "hush" not in repr(provider)
