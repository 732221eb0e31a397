"""What all rules share: the academy that they drive, the model beside it, and the comparison."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from hypothesis.stateful import RuleBasedStateMachine, invariant
from werkzeug.test import TestResponse

from lms.checkout.reconcile.operations import reconcile
from lms.core.ids import new_id
from lms.payments.providers.registry import Providers
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.lms.checkout.money_machine import books, offers
from tests.lms.checkout.money_machine.model import Model
from tests.lms.checkout.money_machine.things import (
    Asked,
    Expected,
    Learner,
    Mode,
    Request,
)

LEARNERS = 4
FUNDS = 12_000
STEPS_BETWEEN_CHECKS = 10
"""After so many the books are reconciled, and at the end of each example."""


@dataclass
class Ground:
    """What all examples stand on, and what they have met.

    Attributes:
        academy: of which each example makes another one.
        apps: an installation for each way in which the provider may behave.
        make_organization: provisions one by its slug.
        steps: how many were made.
        met: how often each answer to each operation came.
    """

    academy: Academy
    apps: Mapping[Mode, Flask]
    make_organization: Callable[[str], UUID]
    steps: int = 0
    met: Counter[str] = field(default_factory=Counter)

    def new_academy(self) -> Academy:
        """An academy in whose books nothing is yet."""
        slug = f"machine-{new_id().hex[-12:]}"
        return Academy(
            self.apps["there"],
            self.academy.database,
            self.academy.admin_engine,
            self.make_organization(slug),
            slug,
        )

    def summary(self) -> str:
        """How many steps there were, and each answer with how often it came."""
        lines = [f"{count:6} {what}" for what, count in sorted(self.met.items())]
        return "\n".join([f"{self.steps} steps", *lines])


class Machine(RuleBasedStateMachine):
    """An academy and the model of its money. Rules are in classes of their own, by what they do.

    A rule lets the model predict, sends the request, and leaves the comparison of the books to the
    invariant that runs after each step.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.academy = ground.new_academy()
        self.admin = self.academy.person("admin")
        self.requests: list[Request] = []
        self.model = Model(
            runs=offers.make_runs(self.academy),
            learners=[Learner(self.academy.person()) for _ in range(LEARNERS)],
            coupons=offers.make_coupons(self.academy),
        )
        self._fund()
        self._steps = -1  # the books are looked at once before the first
        self._unchecked = 0

    def _fund(self) -> None:
        """Let all but the last learner have something to spend."""
        for learner in self.model.learners[:-1]:
            self.model.adjust(learner, FUNDS)
            body = {"amount": {"amount": FUNDS, "currency": "EUR"}, "reason": "Cash"}
            path = f"/users/{learner.person.id}/wallet/adjustments"
            self.compare("fund", self.academy.post(path, self.admin, body), Expected(201))

    # --- what rules do

    def under(self, mode: Mode) -> Academy:
        """The academy, while its provider behaves in a way."""
        return self.academy.with_app(self.ground.apps[mode])

    def request(
        self,
        what: str,
        path: str,
        person: Person,
        body: Any,
        expected: Expected,
        *,
        mode: Mode = "there",
        makes: Asked | None = None,
        resume: Callable[[], Expected] | None = None,
        other_body: Any = None,
    ) -> TestResponse:
        """Send a request with a key of its own, and compare its answer.

        Args:
            what: the operation, for people.
            path, person, body: the request.
            expected: the answer, as the model predicts it.
            mode: how the provider behaves.
            makes: what the model has made of it; it gets its id.
            resume: see `Request`; as the model does for what it makes, by default.
            other_body: see `Request`.
        """
        key = str(uuid4())
        answer = self.under(mode).post(path, person, body, key=key)
        self.compare(what, answer, expected)
        if makes is not None:
            books.identify(self.academy, makes, key)
            resume = resume or partial(self.model.resume, makes)
        if expected.is_kept:
            kept = Request(what, path, person, body, key, expected, answer.data, resume, other_body)
            self.requests.append(kept)
        return answer

    def compare(self, what: str, answer: TestResponse, expected: Expected) -> None:
        """Compare an answer with what it should say."""
        body = answer.get_json(silent=True) or {}
        code = body.get("code") if answer.status_code >= 400 else None
        if (answer.status_code, code) != (expected.status, expected.code):
            raise AssertionError(f"{what}: {expected} was expected, not {answer.text}")
        self.ground.met[f"{what}: {expected.status} {expected.code or ''}".rstrip()] += 1

    # --- what holds after each of them

    @invariant()
    def books_are_as_predicted(self) -> None:
        """Wallets, seats, payments, enrollments, refunds, receipts and open work: all of them."""
        self._steps += 1
        self.ground.steps += self._steps > 0
        for refund in self.model.refunds:
            if not refund.id:
                books.identify_late_refund(self.academy, refund)
        found, predicted = books.read(self.academy), books.predict(self.model)
        if found != predicted:
            raise AssertionError("\n".join(books.differences(found, predicted)))
        self._unchecked += 1
        if self._unchecked >= STEPS_BETWEEN_CHECKS:
            self.reconcile()

    def reconcile(self, *, with_provider: bool = False) -> None:
        """Let `lms payments reconcile` look for differences."""
        self._unchecked = 0
        provider = None
        if with_provider:
            provider = Providers.from_settings(self.academy.settings).for_organization(
                self.academy.organization_id, webhook_url=None
            )
        step = partial(self.academy.database.transaction, self.academy.scope)
        report = reconcile(step, provider=provider)
        if report.total:
            raise AssertionError(f"reconcile finds {report.findings}")

    def teardown(self) -> None:
        """At the end of an example, everything agrees with the provider's list too."""
        self.ground.met.update(self.model.happened)
        if sys.exception() is not None:
            return  # something differs already, or hypothesis gives the example up
        self.reconcile(with_provider=True)
        for learner in self.model.learners:
            books.check_statement(self.academy, learner)
