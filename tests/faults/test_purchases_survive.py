"""API workers are killed around their calls to the payment provider: each charge is made once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lms.checkout.reconcile.operations import reconcile
from lms.payments.providers.base import ProviderPayment
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.registry import Providers
from tenants.engines import create_admin_engine
from tests.factories.jobs import until
from tests.factories.money import Academy
from tests.faults.buyers import Buyers, Intent
from tests.faults.calls import PHASES, REACHED, Calls
from tests.faults.load import in_threads
from tests.faults.stand import Stand, fresh_slug, running_stand

SHORT_KILLS = 6
LONG_KILLS = 200
BACK_SECONDS = 30.0
SETTLE_SECONDS = 120.0
OVERTIME_SECONDS = 20.0
"""So much longer than planned a kill may take, on average."""

ANSWERS = {
    "purchase": {201, 202, 402},
    "top-up": {201, 202, 402},
    "refund": {201, 202, 409},
    "withdrawal": {200, 409},
}
REFUSALS = {"payment_declined", "not_refundable", "transition_not_allowed"}

SUBJECTS = """
    SELECT k.key, k.subject_id::text AS id, COALESCE(p.state, t.state, r.state) AS state,
           (SELECT count(*) FROM payments other
             WHERE (other.user_id, other.run_id) = (p.user_id, p.run_id)) AS payments
      FROM idempotency_keys k
      LEFT JOIN payments p ON p.id = k.subject_id
      LEFT JOIN wallet_top_ups t ON t.id = k.subject_id
      LEFT JOIN refunds r ON r.id = k.subject_id
"""
OPEN = """
    SELECT (SELECT count(*) FROM payments WHERE state IN ('created', 'pending'))
         + (SELECT count(*) FROM wallet_top_ups WHERE state IN ('created', 'pending'))
         + (SELECT count(*) FROM refunds WHERE state IN ('created', 'pending'))
         + (SELECT count(*) FROM provider_attempts WHERE outcome IN ('unknown', 'pending'))
         + (SELECT count(*) FROM enrollments WHERE state = 'pending') AS things
"""
COME_DUE = """
    UPDATE platform.work SET due_at = now()
     WHERE organization_id = :id AND kind = 'settle_payment' AND state = 'waiting'
       AND due_at > now()
"""
CHARGES = """
    SELECT 'payment' AS operation, p.id::text AS id, p.state, p.amount,
           COALESCE((SELECT sum(r.amount) FROM refunds r WHERE r.payment_id = p.id
                        AND r.destination = 'provider' AND r.state = 'succeeded'), 0)::bigint
           AS given_back
      FROM payments p
    UNION ALL
    SELECT 'top_up', id::text, state, amount, 0 FROM wallet_top_ups
"""
MADE = """
    SELECT id::text AS id FROM payments UNION ALL SELECT id::text FROM wallet_top_ups
    UNION ALL SELECT id::text FROM refunds WHERE created_by IS NOT NULL
"""


def open_academy(stand: Stand) -> Academy:
    slug = fresh_slug("till")
    return Academy(
        stand.app,
        stand.database,
        create_admin_engine(stand.postgres.admin_url),
        stand.make_organization(slug),
        slug,
    )


def strike(
    calls: Calls, count: int, rng: random.Random, say: Callable[[str], None], *, pause: float
) -> None:
    """Kill so many workers, as often in each phase."""
    began = time.monotonic()
    deadline = began + count * (pause + OVERTIME_SECONDS)
    left = [PHASES[number % len(PHASES)] for number in range(count)]
    rng.shuffle(left)
    while left:
        assert time.monotonic() < deadline, f"{left} met no call"
        if calls.kill(left[-1]):
            left.pop()
            if len(left) % 20 == 0:
                say(f"{time.monotonic() - began:5.0f} s: {count - len(left)}/{count} kills")
        else:
            rng.shuffle(left)
        time.sleep(rng.uniform(0, 2 * pause))


def settle(stand: Stand, academy: Academy) -> None:
    """Let the sweeper finish what nobody came back for, without waiting for its pauses."""
    until(stand.is_ready, BACK_SECONDS)

    def settled() -> bool:
        academy.execute_as_owner(COME_DUE, id=academy.organization_id)
        return academy.rows(OPEN) == [{"things": 0}]

    until(settled, SETTLE_SECONDS, every=0.5)


def charged(provider: PaymentProvider) -> dict[tuple[str, str], list[ProviderPayment]]:
    """All that the provider has, by what it was to us."""
    found: dict[tuple[str, str], list[ProviderPayment]] = defaultdict(list)
    cursor = None
    while True:
        page = provider.list_payments(cursor=cursor)
        for payment in page.payments:
            ((operation, subject_id),) = payment.metadata.items()
            found[operation, subject_id].append(payment)
        cursor = page.next_cursor
        if cursor is None:
            return found


def wrong_charges(academy: Academy, provider: PaymentProvider) -> Iterator[str]:
    """Whatever was not charged once, or not given back once."""
    theirs = charged(provider)
    for ours in academy.rows(CHARGES):
        found = theirs.pop((ours["operation"], ours["id"]), [])
        told = [(one.status, one.amount, one.refunded_amount) for one in found]
        if told != [(ours["state"], ours["amount"], ours["given_back"])]:
            yield f"{ours} is at the provider {told}"
    yield from (f"{name} is not ours: {payments}" for name, payments in theirs.items())


def wrong_answers(academy: Academy, intents: list[Intent]) -> Iterator[str]:
    """Whoever was told something that is not so, or wanted once what was made twice."""
    subjects = {row["key"]: row for row in academy.rows(SUBJECTS)}
    made = {row["id"] for row in academy.rows(MADE)}
    for intent in intents:
        subject = subjects.get(intent.key)
        trouble = None
        if intent.status is not None and intent.status not in ANSWERS[intent.what]:
            trouble = "is no answer to it"
        elif intent.code not in (None, *REFUSALS):
            trouble = "is no refusal of it"
        elif subject is None:
            trouble = "was made, and is not there" if (intent.status or 500) < 300 else None
        elif intent.what in ("purchase", "top-up"):
            trouble = _trouble_with_charge(intent, subject)
        elif intent.what == "refund" and intent.status == 201 and subject["state"] != "succeeded":
            trouble = f"was given back, and is {subject['state']}"
        if trouble is not None:
            yield f"{intent} {trouble}"
        if subject is not None:
            made.discard(subject["id"])
    yield from (f"{name} was made for nobody" for name in made)


def _trouble_with_charge(intent: Intent, subject: dict[str, Any]) -> str | None:
    ends = {201: {"succeeded"}, 402: {"failed"}}.get(intent.status or 0, {"succeeded", "failed"})
    if subject["state"] not in ends:
        return f"is {subject['state']}"
    if intent.what == "purchase" and subject["payments"] != 1:
        return f"has {subject['payments']} payments"
    return None


def histogram(academy: Academy, calls: Calls, intents: list[Intent]) -> str:
    """Return the kills by phase, and how far the requests were that they left unanswered."""
    subjects = {row["key"]: row["id"] for row in academy.rows(SUBJECTS)}
    killed = Counter(kill.phase for kill in calls.kills)
    broken: Counter[tuple[str, str]] = Counter()
    for intent in intents:
        for at in intent.broken:
            causes = [kill for kill in calls.kills if kill.at <= at]
            if causes:
                reached = calls.reached(subjects.get(intent.key), at)
                broken[causes[-1].phase, reached] += 1
    heads = "".join(f"{column:>10}" for column in ("kills", *REACHED))
    lines = [f"{'phase':10}{heads}"]
    for phase in PHASES:
        cells = (killed[phase], *(broken[phase, reached] for reached in REACHED))
        lines.append(f"{phase:10}" + "".join(f"{cell:10}" for cell in cells))
    return "\n".join(lines)


def survive(
    stand: Stand, say: Callable[[str], None], *, seed: int, kills: int, clients: int, pause: float
) -> None:
    """Kill workers while people move money, and then account for all of it."""
    say(f"\nseed {seed}")
    rng = random.Random(seed)
    academy = open_academy(stand)
    buyers = Buyers(stand, academy, seed, waits_for_leases=kills > SHORT_KILLS)
    steps = [partial(buyers.buy, number) for number in range(clients)]
    with Calls(stand, rng) as calls, in_threads(*steps, stop=buyers.stop):
        strike(calls, kills, rng, say, pause=pause)
    settle(stand, academy)
    say(histogram(academy, calls, buyers.intents))
    say(buyers.summary())
    provider = Providers.from_settings(stand.settings).for_organization(
        academy.organization_id, webhook_url=None
    )
    assert list(wrong_answers(academy, buyers.intents)) == []
    assert list(wrong_charges(academy, provider)) == []
    step = partial(academy.database.transaction, academy.scope)
    report = reconcile(step, provider=provider)
    assert report.findings == []
    assert len(calls.kills) >= kills
    assert {kill.phase for kill in calls.kills} == set(PHASES)


def test_each_charge_is_made_once_whenever_a_worker_is_killed(stand: Stand) -> None:
    survive(stand, print, seed=0, kills=SHORT_KILLS, clients=8, pause=0.5)


@pytest.mark.long
def test_each_charge_is_made_once_over_hundreds_of_kills(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Takes about ten minutes. FAULTS_SEED repeats a run's choices."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    with running_stand(folder, media_workers=1, api_workers=4) as stand:
        try:
            survive(stand, say, seed=seed, kills=LONG_KILLS, clients=24, pause=1.0)
        except BaseException:
            print(stand.logs())
            raise
