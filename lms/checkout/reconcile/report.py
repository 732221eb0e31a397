"""What a reconciliation finds: differences, by the check that found them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

FINDINGS_SHOWN = 100
"""Most findings that one check lists; it always says how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row that differs.

    Attributes:
        check: the name of the check that found it.
        subject_type: what differs: `wallet`, `payment`, `run`, ...
        subject_id: which, as text; of several columns joined by slashes.
        expected: what the rest of the books says of it. Amounts are minor units.
        found: what it says itself.
    """

    check: str
    subject_type: str
    subject_id: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: the check's.
        total: how many rows differ.
        findings: the first of them, in an order that stays the same; at most `FINDINGS_SHOWN`.
    """

    name: str
    total: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ProviderList:
    """How far a provider's list was read.

    Attributes:
        payments: how many payments were read.
        is_complete: whether they are all.
    """

    payments: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks of one organization found, in the order in which they ran.

    `provider_list` is None when the provider's list was not asked for.
    """

    checks: tuple[CheckResult, ...]
    provider_list: ProviderList | None = None

    @property
    def total(self) -> int:
        """How many differences there are, also those that are not listed."""
        return sum(check.total for check in self.checks)

    @property
    def findings(self) -> list[Finding]:
        """The differences that are listed."""
        return list(chain.from_iterable(check.findings for check in self.checks))


def results_of(names: Sequence[str], findings: Iterable[Finding]) -> list[CheckResult]:
    """Sort findings by check.

    Args:
        names: of all checks that looked, also of those that found nothing.
        findings: what they found, in any order.
    """
    by_check: dict[str, list[Finding]] = {name: [] for name in names}
    for finding in sorted(findings, key=lambda one: (one.subject_type, one.subject_id, one.found)):
        by_check[finding.check].append(finding)
    return [
        CheckResult(name, len(found), tuple(found[:FINDINGS_SHOWN]))
        for name, found in by_check.items()
    ]
