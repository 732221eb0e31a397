"""The organization's own accounts at payment providers. Their secrets go in and never come out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.encryption import SecretBox, UnreadableSecretError
from lms.core.errors import NotFoundError, StaleVersionError
from lms.core.versions import check_version
from lms.payments.errors import PaymentAccountInUseError
from lms.payments.models import PaymentAccount
from tenants.session import organization_of

PROVIDERS = ("stripe",)
"""Where organizations have accounts of their own."""

FIND = text("SELECT provider, publishable_key, secret_key, webhook_secret FROM payment_accounts")
PUT = text("""
    INSERT INTO payment_accounts (provider, publishable_key, secret_key, webhook_secret)
    VALUES (:provider, :publishable_key, :secret_key, :webhook_secret)
    ON CONFLICT (provider) DO UPDATE
       SET publishable_key = excluded.publishable_key, secret_key = excluded.secret_key,
           webhook_secret = excluded.webhook_secret, updated_at = now(),
           version = payment_accounts.version + 1
     WHERE payment_accounts.version
           = COALESCE(CAST(:expected_version AS integer), payment_accounts.version)
    RETURNING provider
""")
# Whoever removes the account waits until what is being begun there is committed, and counts then.
# New keys do not wait: they are of the same account.
HOLD = text("""
    SELECT provider, publishable_key, secret_key, webhook_secret FROM payment_accounts
       FOR KEY SHARE
""")
# A refund may be owed without anybody asking for it at this moment.
COUNT_OPEN = text("""
    SELECT count(*) FILTER (WHERE o.operation = 'payment') AS payments,
           count(*) FILTER (WHERE o.operation = 'top_up') AS top_ups,
           count(*) FILTER (WHERE o.operation = 'refund') AS refunds,
           count(*) FILTER (WHERE o.operation = 'dispute') AS disputes
      FROM (SELECT operation, subject_id FROM provider_attempts
             WHERE provider = :provider AND outcome IN ('unknown', 'pending')
            UNION
            SELECT 'refund', r.id FROM refunds r JOIN payments p ON p.id = r.payment_id
             WHERE p.provider = :provider AND r.destination = 'provider'
               AND r.state IN ('created', 'pending')
            UNION
            SELECT 'dispute', d.id FROM disputes d
             WHERE d.provider = :provider AND d.status IN ('needs_response', 'under_review')) o
""")
HOLD_ALL = text("""
    SELECT provider, secret_key, webhook_secret FROM payment_accounts FOR NO KEY UPDATE
""")
# What is shown stays the same, so neither version nor date moves.
RE_ENCRYPT = text("""
    UPDATE payment_accounts SET secret_key = :secret_key, webhook_secret = :webhook_secret
     WHERE provider = :provider
""")


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account as it is stored: the secrets are encrypted."""

    provider: str
    publishable_key: str
    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenThere:
    """How much at a provider is not settled yet."""

    payments: int
    top_ups: int
    refunds: int
    disputes: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.payments + self.top_ups + self.refunds + self.disputes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAccount:
    """An account as admins see it.

    Attributes:
        provider: the provider's name.
        publishable_key: what front ends use; no secret.
        secret_key_last4: its last four characters; None when it cannot be decrypted.
        webhook_secret_last4: so too.
        version: for the ETag.
        created_at: when it was entered first.
        updated_at: when it was entered last.
        open: what is not settled there yet.
    """

    provider: str
    publishable_key: str
    secret_key_last4: str | None
    webhook_secret_last4: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    open: OpenThere


def stored_account(session: Session) -> StoredAccount | None:
    """Return the organization's account at a provider, or None; it has one at most."""
    row = session.execute(FIND).one_or_none()
    return None if row is None else StoredAccount(*row)


def held_account(session: Session) -> StoredAccount | None:
    """Return the organization's account, which stays until this transaction ends.

    For whoever begins something at the provider. Who removes an account holds nothing else, so this
    may be locked before or after anything.
    """
    row = session.execute(HOLD).one_or_none()
    return None if row is None else StoredAccount(*row)


def list_accounts(session: Session, box: SecretBox) -> list[ShownAccount]:
    """Return the organization's accounts, without their secrets."""
    rows = session.scalars(select(PaymentAccount).order_by(PaymentAccount.provider)).all()
    return [_shown(session, row, box) for row in rows]


def show_account(session: Session, box: SecretBox, provider: str) -> ShownAccount:
    """Return one account, without its secrets.

    Raises:
        NotFoundError: there is no such account.
    """
    account = session.get(PaymentAccount, provider)
    if account is None:
        raise NotFoundError("There is no such account.")
    return _shown(session, account, box)


def seal_account(
    box: SecretBox, provider: str, *, publishable_key: str, secret_key: str, webhook_secret: str
) -> StoredAccount:
    """Return an account as it would be stored.

    Args:
        box: encrypts the secrets.
        provider: one of `PROVIDERS`.
        publishable_key: what front ends use.
        secret_key: with which we ask the provider.
        webhook_secret: with which the provider signs.

    Raises:
        NotFoundError: organizations have no accounts at such a provider.
        SecretsNotConfiguredError: this installation cannot keep secrets.
    """
    if provider not in PROVIDERS:
        raise NotFoundError(f"Organizations have accounts at: {', '.join(PROVIDERS)}.")
    return StoredAccount(provider, publishable_key, box.seal(secret_key), box.seal(webhook_secret))


def put_account(
    session: Session,
    actor: Actor,
    box: SecretBox,
    new: StoredAccount,
    *,
    expected_version: int | None,
) -> ShownAccount:
    """Enter an account, or replace all of its keys.

    Args:
        session: the organization's session.
        actor: an admin.
        box: reads the secrets, for what is shown of them.
        new: the account, of `seal_account`.
        expected_version: the version that the client read; None for any.

    Raises:
        StaleVersionError: the account was changed since the client read it.
    """
    before = session.get(PaymentAccount, new.provider)
    if before is not None:
        check_version(before, expected_version)
    elif expected_version is not None:
        raise StaleVersionError("There is no such account any more.")
    audited = None if before is None else _audited(before)
    values = {**asdict(new), "expected_version": expected_version}
    if session.execute(PUT, values).one_or_none() is None:
        raise StaleVersionError("It was changed at this moment; read it again and repeat.")
    account = session.get_one(PaymentAccount, new.provider, populate_existing=True)
    _record(session, actor, "payment_account.put", before=audited, after=_audited(account))
    return _shown(session, account, box)


def delete_account(
    session: Session, actor: Actor, provider: str, *, expected_version: int | None
) -> None:
    """Remove an account, unless something is still open at the provider.

    Args:
        session: the organization's session.
        actor: an admin.
        provider: its name.
        expected_version: the version that the client read; None for any.

    Raises:
        NotFoundError: there is no such account.
        StaleVersionError: the account was changed since the client read it.
        PaymentAccountInUseError: a payment, top-up, refund or dispute is still open there.
    """
    account = session.get(PaymentAccount, provider, with_for_update=True)
    if account is None:
        raise NotFoundError("There is no such account.")
    check_version(account, expected_version)
    still_open = _count_open(session, provider)
    if still_open.total:
        raise PaymentAccountInUseError.of(provider, asdict(still_open))
    _record(session, actor, "payment_account.delete", before=_audited(account), after=None)
    session.delete(account)
    session.flush()


def re_encrypt(session: Session, box: SecretBox) -> int:
    """Encrypt the organization's secrets anew under the newest key; a repeat finds nothing to do.

    Returns:
        How many accounts were under an older key.

    Raises:
        SecretsNotConfiguredError: there is no key.
        UnreadableSecretError: a secret is under a key that is not in the settings.
    """
    changed = 0
    for row in session.execute(HOLD_ALL).all():
        secret_key, webhook_secret = box.renew(row.secret_key), box.renew(row.webhook_secret)
        if secret_key is None and webhook_secret is None:
            continue
        values = {
            "provider": row.provider,
            "secret_key": secret_key or row.secret_key,
            "webhook_secret": webhook_secret or row.webhook_secret,
        }
        session.execute(RE_ENCRYPT, values)
        changed += 1
    return changed


def _count_open(session: Session, provider: str) -> OpenThere:
    return OpenThere(*session.execute(COUNT_OPEN, {"provider": provider}).one())


def _shown(session: Session, account: PaymentAccount, box: SecretBox) -> ShownAccount:
    return ShownAccount(
        provider=account.provider,
        publishable_key=account.publishable_key,
        secret_key_last4=_last4(account.secret_key, box),
        webhook_secret_last4=_last4(account.webhook_secret, box),
        version=account.version,
        created_at=account.created_at,
        updated_at=account.updated_at,
        open=_count_open(session, account.provider),
    )


def _last4(sealed: str, box: SecretBox) -> str | None:
    try:
        return box.open(sealed)[-4:]
    except UnreadableSecretError:
        return None


def _audited(account: PaymentAccount) -> dict[str, Any]:
    return {"provider": account.provider, "publishable_key": account.publishable_key}


def _record(
    session: Session,
    actor: Actor,
    action: str,
    *,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    """Write to the audit log, under the organization's id: accounts are named, not numbered."""
    subject = ("organization", organization_of(session).id)
    audit.record(session, action, subject, actor_id=actor.user_id, before=before, after=after)
