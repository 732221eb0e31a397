"""What happens at the provider, its webhooks in any order, and the sweeper."""

from __future__ import annotations

import json
import time
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from lms.core.queue import SETTLE_PAYMENT
from lms.payments.providers.signing import sign
from tests.factories.sandbox import WEBHOOK_SECRET
from tests.lms.checkout.money_machine.machine import Machine
from tests.lms.checkout.money_machine.strategies import REACHABLE
from tests.lms.checkout.money_machine.things import Asked, Charge, Event, Mode, Refund, TopUp

NAME = """
    SELECT provider_payment_id AS name FROM payments WHERE id = :id
    UNION ALL SELECT provider_payment_id FROM wallet_top_ups WHERE id = :id
    UNION ALL SELECT provider_refund_id FROM refunds WHERE id = :id
"""


class ProviderRules(Machine):
    """News of money, by webhooks that come late, twice or not at all, and by asking."""

    def worked(self) -> list[Asked]:
        return [one for one in [*self.model.charges, *self.model.refunds] if one.has_work]

    def waiting(self) -> list[Asked]:
        asked = [*self.model.charges, *self.model.refunds]
        return [one for one in asked if one.standing == "pending" and one.named]

    def charged(self) -> list[Charge]:
        return [charge for charge in self.model.charges if charge.standing != "unasked"]

    @precondition(lambda self: self.worked())
    @rule(data=st.data(), mode=REACHABLE)
    def sweep(self, data: st.DataObject, mode: Mode) -> None:
        asked = data.draw(st.sampled_from(self.worked()))
        was = asked.state
        self.model.sweep(asked, mode)
        self.under(mode).do_work(SETTLE_PAYMENT, asked.id)
        self.ground.met[f"sweep: {type(asked).__name__.lower()} {was} -> {asked.state}"] += 1

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def let_it_succeed(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.waiting()))
        asked.standing = "succeeded"
        if isinstance(asked, Refund):
            self.academy.settle_refund_at_provider(self.name_of(asked))
        else:
            self.academy.settle_at_provider(self.name_of(asked))

    @precondition(lambda self: self.charged())
    @rule(data=st.data())
    def hear_news(self, data: st.DataObject) -> None:
        charge = data.draw(st.sampled_from(self.charged()))
        self.hear(charge, names_us=True)

    @precondition(lambda self: self.charged())
    @rule(data=st.data(), mode=REACHABLE)
    def hear_news_that_name_nobody(self, data: st.DataObject, mode: Mode) -> None:
        charge = data.draw(st.sampled_from(self.charged()))
        self.hear(charge, names_us=False, mode=mode)

    @precondition(lambda self: self.model.events)
    @rule(data=st.data(), mode=REACHABLE)
    def hear_news_again(self, data: st.DataObject, mode: Mode) -> None:
        event = data.draw(st.sampled_from(self.model.events))
        self.deliver("old event", event, mode)

    def hear(self, charge: Charge, *, names_us: bool, mode: Mode = "there") -> None:
        event = Event(charge, names_us, self.write_event(charge, names_us=names_us))
        self.model.events.append(event)
        self.deliver("new event", event, mode)

    def deliver(self, what: str, event: Event, mode: Mode) -> None:
        expected = self.model.deliver(event, mode)
        signature = sign(event.body, secret=WEBHOOK_SECRET, timestamp=int(time.time()))
        self.compare(what, self.under(mode).deliver(event.body, signature), expected)

    def write_event(self, charge: Charge, *, names_us: bool) -> bytes:
        kind = "top_up" if isinstance(charge, TopUp) else "payment"
        along = {"metadata": {kind: charge.id}} if names_us else {}
        event = {
            "id": f"evt_{uuid4().hex}",
            "type": "payment.updated",
            "created": int(time.time()),
            "account": str(self.academy.organization_id),
            "data": {"object": {"id": self.name_of(charge)} | along},
        }
        return json.dumps(event).encode()

    def name_of(self, asked: Asked) -> str:
        """The provider's identifier, whether or not we have heard it."""
        names = [row["name"] for row in self.academy.rows(NAME, id=UUID(asked.id))]
        return names[0] or self.academy.named_by_provider(asked.id)
