"""Wallet credit that the organization gives to many learners at once: all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.pagination import Page, paginate, paginate_rows
from lms.payments import postings
from lms.payments.errors import CurrencyMismatchError, WrongSharesError
from lms.payments.models import CreditGrant, Wallet, WalletTransaction
from lms.payments.postings import Cause, Entry
from lms.users.models import User
from tenants.session import organization_of

FIND_PEOPLE = text("""
    SELECT u.id, u.email, u.deactivated_at IS NOT NULL AS is_deactivated,
           w.currency AS wallet_currency
      FROM users u LEFT JOIN wallets w ON w.user_id = u.id
     WHERE u.id = ANY (CAST(:ids AS uuid[])) OR u.email = ANY (CAST(:emails AS text[]))
""")

# In one order, so that two grants that make the same wallets at once never deadlock.
MAKE_WALLETS = text("""
    INSERT INTO wallets (id, user_id, currency)
    SELECT made.id, made.user_id, CAST(:currency AS text)
      FROM unnest(CAST(:wallet_ids AS uuid[]), CAST(:user_ids AS uuid[])) AS made (id, user_id)
     ORDER BY made.user_id
        ON CONFLICT (user_id) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Share:
    """What one learner is to get.

    Attributes:
        learner: id or normalised e-mail address.
        amount: minor units, more than nothing.
        pointer: where the request names them, for refusals.
    """

    learner: UUID | str
    amount: int
    pointer: str


def grant_credit(
    session: Session,
    actor: Actor,
    shares: Sequence[Share],
    *,
    grant_id: UUID,
    currency: str,
    reason: str,
    errors: Sequence[dict[str, str]] = (),
) -> CreditGrant:
    """Give learners credit, in as many statements however many they are.

    Wallets are made where they are missing, and what a wallet owes is paid first.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: the admin.
        shares: who gets how much.
        grant_id: the same for every request with one Idempotency-Key.
        currency: of all shares; the organization's.
        reason: for the journal; learners see it.
        errors: what is wrong already, to be told together with what is found here, in order; the
            second step of every pointer is a number.

    Raises:
        CurrencyMismatchError: the organization's currency is another.
        WrongSharesError: with everybody who is unknown, deactivated, named twice, or has a wallet
            in another currency.
    """
    ours = organization_of(session).currency
    if currency != ours:
        raise CurrencyMismatchError(
            f"Wallets here are in {ours}; give credit in {ours}.", expected=ours
        )
    people = _find_people(session, shares)
    found = [*errors, *_wrong_shares(shares, people, currency)]
    found.sort(key=lambda error: int(error["pointer"].split("/")[2]))
    if found:
        raise WrongSharesError(
            "Nobody got anything: not everybody can get their share; see errors.", errors=found
        )
    owners = [people[share.learner] for share in shares]
    _make_wallets(session, owners, currency)
    total = sum(share.amount for share in shares)
    session.add(
        CreditGrant(
            id=grant_id, amount=total, currency=currency, reason=reason, created_by=actor.user_id
        )
    )
    session.flush()
    postings.credit(
        session,
        [
            Entry(owner.id, share.amount, f"grant:{grant_id}:{owner.id}")
            for owner, share in zip(owners, shares, strict=True)
        ],
        Cause(
            kind="deposit",
            counter_account=f"promotion:{grant_id}",
            reason=reason,
            created_by=actor.user_id,
            grant_id=grant_id,
        ),
    )
    audit.record(
        session,
        "credit_grant.create",
        ("credit_grant", grant_id),
        actor_id=actor.user_id,
        after={"total": total, "currency": currency, "learners": len(shares), "reason": reason},
    )
    return session.get_one(CreditGrant, grant_id)


def credit_grants(session: Session, *, limit: int, cursor: str | None) -> Page[CreditGrant]:
    """Read a page of the organization's grants, newest first.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    query = select(CreditGrant)
    return paginate(session, query, CreditGrant.id, limit=limit, cursor=cursor, newest_first=True)


def credit_grant(session: Session, grant_id: UUID) -> CreditGrant:
    """Return a grant.

    Raises:
        NotFoundError: there is none.
    """
    grant = session.get(CreditGrant, grant_id)
    if grant is None:
        raise NotFoundError("There is no such grant.")
    return grant


def recipients(
    session: Session, grant_id: UUID, *, limit: int, cursor: str | None
) -> Page[Row[UUID, str, str, int, str]]:
    """Read a page of who got what by a grant, in the order in which their accounts were made.

    Raises:
        NotFoundError: there is no such grant.
        InvalidCursorError: the cursor is not one of this list.
    """
    credit_grant(session, grant_id)
    query = (
        select(
            Wallet.user_id,
            User.email,
            User.name,
            WalletTransaction.amount,
            WalletTransaction.currency,
        )
        .join(Wallet, Wallet.id == WalletTransaction.wallet_id)
        .join(User, User.id == Wallet.user_id)
        .where(WalletTransaction.grant_id == grant_id, WalletTransaction.kind == "deposit")
    )
    return paginate_rows(session, query, Wallet.user_id, limit=limit, cursor=cursor)


def _find_people(session: Session, shares: Sequence[Share]) -> dict[UUID | str, Row[UUID, str]]:
    learners = [share.learner for share in shares]
    values = {
        "ids": [one for one in learners if isinstance(one, UUID)],
        "emails": [one for one in learners if isinstance(one, str)],
    }
    people: dict[UUID | str, Row[UUID, str]] = {}
    for row in session.execute(FIND_PEOPLE, values):
        people[row.id] = people[row.email] = row
    return people


def _wrong_shares(
    shares: Sequence[Share], people: dict[UUID | str, Row[UUID, str]], currency: str
) -> list[dict[str, str]]:
    wrong: list[dict[str, str]] = []
    seen: set[UUID] = set()
    for share in shares:
        person = people.get(share.learner)
        if person is None:
            message = "There is nobody with this id or address."
        elif person.is_deactivated:
            message = "This account is deactivated."
        elif person.id in seen:
            message = "This person is named twice."
        elif person.wallet_currency not in (None, currency):
            message = f"This person's wallet is in {person.wallet_currency}."
        else:
            seen.add(person.id)
            continue
        wrong.append({"pointer": share.pointer, "message": f"{share.learner}: {message}"})
    return wrong


def _make_wallets(session: Session, owners: Sequence[Row[UUID, str]], currency: str) -> None:
    missing = [owner.id for owner in owners if owner.wallet_currency is None]
    session.execute(
        MAKE_WALLETS,
        {
            "currency": currency,
            "user_ids": missing,
            "wallet_ids": [new_id() for _ in missing],
        },
    )
