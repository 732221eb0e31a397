"""Money: an integer of minor units and an ISO 4217 currency. No floats anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from iso4217 import Currency

MAX_AMOUNT = 10**12
"""Largest amount accepted in one request, in minor units; far below BIGINT, so sums fit."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount.

    Attributes:
        amount: minor units (cents for EUR, yen for JPY).
        currency: ISO 4217 code, upper case.
    """

    amount: int
    currency: str

    def __str__(self) -> str:
        return f"{self.decimal:f} {self.currency}"

    @property
    def decimal(self) -> Decimal:
        """The amount in whole units, exactly, with as many digits as the currency has."""
        return Decimal(self.amount).scaleb(-(Currency(self.currency).exponent or 0))


def is_currency(code: str) -> bool:
    """Tell whether ISO 4217 has this code (upper case) with minor units defined.

    Exponents come from the `iso4217` package; babel's display digits differ for 13 currencies.
    """
    try:
        return Currency(code).exponent is not None
    except ValueError:
        return False
