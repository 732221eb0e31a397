"""What rules choose from."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.lms.checkout.money_machine.machine import LEARNERS
from tests.lms.checkout.money_machine.offers import COUPONS, FEW_SEATS, FREE, RUNS
from tests.lms.checkout.money_machine.things import STANDINGS, TIMES_OUT, Mode

SOMEBODY = st.integers(0, LEARNERS - 1)
TWICE_THE_SAME = [0, 1, 0]
MANY = st.one_of(
    st.lists(SOMEBODY, min_size=1, max_size=LEARNERS, unique=True), st.just(TWICE_THE_SAME)
)
SOMEWHERE = st.sampled_from([*FEW_SEATS, *FEW_SEATS, *range(RUNS)])
FOR_FREE = st.sampled_from([*FREE, *FREE, *range(RUNS)])
TOKENS = st.sampled_from(list(STANDINGS))
SOME_COUPON = st.integers(0, COUPONS - 1)
WAYS = st.sampled_from(["wallet", "provider", "free"])
LATE_TOKENS = st.sampled_from(["tok_pending", "tok_pending", TIMES_OUT])
AMOUNTS = st.sampled_from([1, 333, 700, 1501, 4900, 10_000])

ANY_MODE: list[Mode] = ["there", "there", "there", "away", "refusing"]
REACHED_OR_NOT: list[Mode] = ["there", "there", "there", "there", "away"]
NOT_THERE: list[Mode] = ["away", "refusing"]
MODES = st.sampled_from(ANY_MODE)
UNREACHED = st.sampled_from(NOT_THERE)
REACHABLE = st.sampled_from(REACHED_OR_NOT)


def euros(amount: int) -> dict[str, Any]:
    """An amount as requests write it."""
    return {"amount": amount, "currency": "EUR"}
