from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lms.core.money import Money
from lms.core.tables import write_csv


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_text_that_a_spreadsheet_would_run_is_neutralised(text: str) -> None:
    assert write_csv(["a"], [[text]]).replace('"', "") == f"a\r\n'{text}\r\n"


def test_numbers_stay_numbers_and_nothing_is_an_empty_cell() -> None:
    assert write_csv(["a", "b", "c"], [[-5, Decimal("-0.05"), None]]) == "a,b,c\r\n-5,-0.05,\r\n"


def test_texts_with_commas_quotes_and_line_breaks_are_quoted() -> None:
    assert write_csv(["a"], [['x, "y"\nz']]) == 'a\r\n"x, ""y""\nz"\r\n'


def test_times_are_utc() -> None:
    noon = datetime(2027, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert write_csv(["a"], [[noon]]) == "a\r\n2027-01-01T10:00:00Z\r\n"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        *((-4900, "EUR", "-49.00"), (5, "EUR", "0.05"), (0, "EUR", "0.00"), (-7, "JPY", "-7")),
        *(
            (1250, "BHD", "1.250"),
            (5, "CLF", "0.0005"),
            (10**18 + 1, "EUR", "1" + "0" * 16 + ".01"),
        ),
    ],
)
def test_money_has_as_many_decimal_digits_as_its_currency(
    amount: int, currency: str, text: str
) -> None:
    money = Money(amount, currency)
    assert (f"{money.decimal:f}", str(money)) == (text, f"{text} {currency}")
