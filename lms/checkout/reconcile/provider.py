"""Our payments and top-ups against the provider's own list of them, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from lms.checkout.reconcile import provider_disputes
from lms.checkout.reconcile.report import CheckResult, Finding, ProviderList, results_of
from lms.checkout.reconcile.steps import LOOKED_AT_AGAIN, Allowance, Bounds, Step, listed_since
from lms.payments.providers.base import ProviderPayment, ProviderRejected
from lms.payments.providers.interface import PaymentProvider

CHECKS = (
    *("provider_unknown", "provider_missing", "provider_amount"),
    *("provider_status", "provider_refunded", provider_disputes.CHECK),
)

STANDS = {
    "created": "pending",
    "pending": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}
"""How a payment stands, ours and the provider's: open, paid, or without money."""

OURS = text("""
    SELECT 'payment' AS kind, p.id, p.provider_payment_id, p.amount, p.currency, p.state,
           p.created_at, p.created_at > now() - interval '15 minutes' AS is_young,
           CAST(COALESCE(sum(r.amount) FILTER (WHERE r.state = 'succeeded'), 0) AS bigint)
           AS refunded_least,
           CAST(COALESCE(sum(r.amount), 0) AS bigint) AS refunded_most
      FROM payments p
      LEFT JOIN refunds r ON r.payment_id = p.id AND r.destination = 'provider'
                         AND r.state IN ('created', 'pending', 'succeeded')
     WHERE p.provider = :provider
     GROUP BY p.id
    UNION ALL
    SELECT 'top_up', t.id, t.provider_payment_id, t.amount, t.currency, t.state, t.created_at,
           t.created_at > now() - interval '15 minutes', t.refunded_amount, t.refunded_amount
      FROM wallet_top_ups t WHERE t.provider = :provider
""")
"""With what we gave back: a refund that is under way may be at the provider already, or not yet."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """What we have and what the provider has of one payment; one of them may be missing."""

    ours: Row[Any] | None
    theirs: ProviderPayment | None


class _Ours:
    """Our payments and top-ups, found by the provider's identifier or by what we sent along."""

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self.by_id: dict[UUID, Row[Any]] = {row.id: row for row in rows}
        self._by_name = {row.provider_payment_id: row for row in rows if row.provider_payment_id}
        self._unnamed = {
            (row.kind, str(row.id)): row for row in rows if row.provider_payment_id is None
        }

    def claim(self, theirs: ProviderPayment) -> Row[Any] | None:
        """Return what a payment of the provider is to us. Two of theirs are never one of ours."""
        named = self._by_name.get(theirs.id)
        if named is not None:
            return named
        for pair in theirs.metadata.items():
            if pair in self._unnamed:
                return self._unnamed.pop(pair)
        return None


def compare(
    step: Step,
    provider: PaymentProvider,
    *,
    since: datetime | None = None,
    bounds: Bounds | None = None,
) -> tuple[list[CheckResult], ProviderList]:
    """Compare our books with the provider's; it is asked outside any transaction.

    Its lists are read before our books, and what differs is fetched and read once more, so that
    what is paid meanwhile is no difference. What is missing from a list that was not read to its
    end is none either.

    Args:
        step: opens a transaction of the organization.
        provider: its account.
        since: only what was made since then; None for everything.
        bounds: how much may be asked; None to read the whole lists.

    Returns:
        What each check found, and how far the lists were read.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it lists nothing for us.
    """
    allowance = Allowance(bounds)
    listed, is_complete = _read_list(provider, since, allowance)
    with step() as session:
        ours = _read(session, provider)
    pairs = _pairs(listed, ours, since, is_complete=is_complete)
    suspects = sorted((pair for pair in pairs if any(_differences(pair))), key=_order)
    again: list[_Pair] = []
    for pair in suspects[:LOOKED_AT_AGAIN]:
        if allowance.is_over:
            break
        again.append(_look_again(provider, pair))
    looked_at = len(again)
    if again:
        with step() as session:
            now = _read(session, provider).by_id
        again = [
            pair if pair.ours is None else _Pair(now[pair.ours.id], pair.theirs) for pair in again
        ]
    findings = [
        finding for pair in [*again, *suspects[looked_at:]] for finding in _differences(pair)
    ]
    disputes, has_all_disputes = provider_disputes.compare_disputes(
        step, provider, since=since, allowance=allowance
    )
    return (
        results_of(CHECKS, [*findings, *disputes]),
        ProviderList(len(listed), is_complete and has_all_disputes),
    )


def _read_list(
    provider: PaymentProvider, since: datetime | None, allowance: Allowance
) -> tuple[list[ProviderPayment], bool]:
    """Return the provider's payments, and whether they are all."""
    created_after = listed_since(since)

    def page_after(cursor: str | None) -> tuple[Sequence[ProviderPayment], str | None]:
        page = provider.list_payments(created_after=created_after, cursor=cursor)
        return page.payments, page.next_cursor

    return allowance.read(page_after)


def _read(session: Session, provider: PaymentProvider) -> _Ours:
    return _Ours(session.execute(OURS, {"provider": provider.name}).all())


def _pairs(
    listed: Iterable[ProviderPayment], ours: _Ours, since: datetime | None, *, is_complete: bool
) -> Iterator[_Pair]:
    met: set[UUID] = set()
    for theirs in listed:
        row = ours.claim(theirs)
        if row is not None:
            met.add(row.id)
        yield _Pair(row, theirs)
    for row in ours.by_id.values() if is_complete else ():
        if row.id not in met and (since is None or row.created_at >= since):
            yield _Pair(row, None)


def _look_again(provider: PaymentProvider, pair: _Pair) -> _Pair:
    name = pair.theirs.id if pair.theirs is not None else None
    if pair.ours is not None and name is None:
        name = pair.ours.provider_payment_id
    if name is None:
        return pair
    try:
        return _Pair(pair.ours, provider.fetch_payment(name))
    except ProviderRejected:
        return _Pair(pair.ours, None)


def _differences(pair: _Pair) -> Iterator[Finding]:
    ours, theirs = pair.ours, pair.theirs
    if ours is not None and theirs is not None:
        yield from _compared(ours, theirs)
    elif theirs is not None and STANDS[theirs.status] != "failed":
        found = f"{theirs.status} payment of {theirs.amount} {theirs.currency}"
        yield Finding(
            check="provider_unknown",
            subject_type="provider_payment",
            subject_id=theirs.id,
            expected="nothing: it is not in our books",
            found=found,
        )
    elif ours is not None and theirs is None and _must_be_there(ours):
        yield _finding(
            "provider_missing",
            ours,
            f"{ours.state} {ours.provider_payment_id or 'without a name'}",
            "nothing at the provider",
        )


def _must_be_there(ours: Row[Any]) -> bool:
    """Tell whether the provider took our money, or named it to us and has not refused it."""
    named = ours.provider_payment_id is not None
    return ours.state == "succeeded" or (named and STANDS[ours.state] == "pending")


def _compared(ours: Row[Any], theirs: ProviderPayment) -> Iterator[Finding]:
    if (ours.amount, ours.currency) != (theirs.amount, theirs.currency):
        yield _finding(
            "provider_amount",
            ours,
            f"{ours.amount} {ours.currency}",
            f"{theirs.amount} {theirs.currency}",
        )
    is_under_way = ours.is_young and STANDS[ours.state] == "pending"  # a job asks within a minute
    if STANDS[ours.state] != STANDS[theirs.status] and not is_under_way:
        yield _finding("provider_status", ours, ours.state, theirs.status)
    if not ours.refunded_least <= theirs.refunded_amount <= ours.refunded_most:
        under_way = ours.refunded_most - ours.refunded_least
        yield _finding(
            "provider_refunded",
            ours,
            f"{ours.refunded_least} {ours.currency} given back"
            + (f", {under_way} under way" if under_way else ""),
            f"{theirs.refunded_amount} {theirs.currency} given back",
        )


def _finding(check: str, ours: Row[Any], expected: str, found: str) -> Finding:
    return Finding(
        check=check,
        subject_type=ours.kind,
        subject_id=str(ours.id),
        expected=expected,
        found=found,
    )


def _order(pair: _Pair) -> str:
    """Sort what is only at the provider last, by names."""
    if pair.ours is not None:
        return str(pair.ours.id)
    return f"~{pair.theirs.id}" if pair.theirs is not None else ""
